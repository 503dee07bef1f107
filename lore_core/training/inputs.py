"""A stage's inputs on local disk, verified, and read strictly before any accelerator is touched."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lore_core.artifacts import ArtifactRef, Manifest, verify
from lore_core.jobs.config import DistillStage, RuleMode, SftStage, TrainConfig
from lore_core.jobs.errors import JobError
from lore_core.records import Pair, RecordError, read_splits
from lore_core.records.leakage import canonical_query
from lore_core.records.schema import require_schema
from lore_core.training.export import QUANTIZED

TRAIN: Final = "train"
TUNE: Final = "tune"
CALIBRATION: Final = "calibration"
_RESOLVED: Final = "resolved.json"
_BASE_KINDS: Final = ("base-model", "model")


@dataclass(frozen=True, slots=True)
class StageInputs:
    """Folders of the fetched artifacts and the digests they were found to have."""

    root: Path
    resolved: dict[str, str]

    @property
    def base(self) -> Path:
        """The base model."""
        return self.root / "baseModel"

    @property
    def data(self) -> Path:
        """The pairs."""
        return self.root / "data"

    @property
    def rules(self) -> Path | None:
        """The rule set, where the stage has one."""
        return self.root / "ruleSet" if "ruleSet" in self.resolved else None

    @property
    def teacher(self) -> Path | None:
        """The teacher model, where the stage has one."""
        return self.root / "teacher" if "teacher" in self.resolved else None

    @classmethod
    def load(cls, root: Path) -> "StageInputs":
        """What `fetch` left in `root`."""
        return cls(root, json.loads((root / _RESOLVED).read_text(encoding="utf-8")))


def fetch(config: TrainConfig, root: Path) -> StageInputs:
    """Fetch and verify every input into `root`. Raises ArtifactError, or JobError where a kind does not fit."""
    resolved = {}
    for name, (ref, kinds) in _wanted(config).items():
        manifest = verify(ref, root / name)
        _check_kind(name, ref, manifest, kinds)
        _check_full(name, ref, manifest)
        require_schema(name, ref.uri, manifest.metadata)
        resolved[name] = manifest.digest
    (root / _RESOLVED).write_text(json.dumps(resolved), encoding="utf-8")
    return StageInputs(root, resolved)


def _wanted(config: TrainConfig) -> dict[str, tuple[ArtifactRef, tuple[str, ...]]]:
    base = config.spec.base if isinstance(config.spec, DistillStage) else config.base_model
    wanted = {"baseModel": (base, _BASE_KINDS), "data": (config.data, ("pairs",))}
    if config.rule_set is not None:
        wanted["ruleSet"] = (config.rule_set, ("rule-set",))
    elif isinstance(config.spec, SftStage) and config.spec.rule_mode is RuleMode.RETRIEVED:
        raise JobError(
            "MissingRuleSet", "ruleSet: rule mode Retrieved needs one; give it or use rule mode None", field="ruleSet"
        )
    if isinstance(config.spec, DistillStage) and config.spec.teacher is not None:
        wanted["teacher"] = (config.spec.teacher, ("model",))
    return wanted


def _check_kind(name: str, ref: ArtifactRef, manifest: Manifest, kinds: Iterable[str]) -> None:
    if manifest.kind not in kinds:
        allowed = " or ".join(kinds)
        raise JobError(
            "WrongArtifactKind", f"{name}: {ref.uri} is a {manifest.kind}, needed is a {allowed}", field=name
        )


def _check_full(name: str, ref: ArtifactRef, manifest: Manifest) -> None:
    if QUANTIZED in manifest.metadata:
        raise JobError(
            "BadBaseModel",
            f"{name}: {ref.uri} has 8-bit weights, which only a server computes with; name the model that it was made of",
            field=name,
        )


def read_training_pairs(config: TrainConfig, inputs: StageInputs) -> list[Pair]:
    """The training pairs of a stage's fetched data."""
    return read_train_split(config.data.uri, inputs.data)


def read_held_out_pairs(config: TrainConfig, inputs: StageInputs, split: str = TUNE) -> list[Pair]:
    """The tune split, or another that no stage trains on; empty where the data have none."""
    if not (inputs.data / f"{split}.jsonl").is_file():
        return []
    return read_splits(inputs.data, [split])[split]


def read_held_out_queries(config: TrainConfig, inputs: StageInputs) -> frozenset[str]:
    """Canonical queries of the splits that no stage trains on."""
    held_out = [pair for split in (TUNE, CALIBRATION) for pair in read_held_out_pairs(config, inputs, split)]
    return frozenset(canonical_query(query) for query in {pair.query for pair in held_out})


def require_held_out_pairs(config: TrainConfig, inputs: StageInputs, asked: str, split: str = TUNE) -> None:
    """Raises JobError where the data have no pair in a split that the spec's field `asked` needs."""
    if not read_held_out_pairs(config, inputs, split):
        raise JobError(
            "BadData",
            f"{config.data.uri}: has no pair in {split}.jsonl, which {asked} is measured on; add some or leave {asked} out",
            file=f"{split}.jsonl",
            field=f"spec.{asked}",
        )


def read_train_split(uri: str, folder: Path) -> list[Pair]:
    """The training pairs; every split is read so that a bad line anywhere ends the stage now.

    Raises RecordError's failure with the artifact's own uri in place of the local folder.
    """
    names = sorted(path.stem for path in folder.glob("*.jsonl"))
    if TRAIN not in names:
        raise JobError("BadData", f"{uri}: has no train.jsonl; import or generate pairs again", field="data")
    try:
        pairs = read_splits(folder, names)[TRAIN]
    except RecordError as error:
        raise error.named(folder, uri) from error
    if not pairs:
        raise JobError("BadData", f"{uri}/train.jsonl: holds no pair; add training pairs", file="train.jsonl")
    return pairs

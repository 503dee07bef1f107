"""Fine-tuning of models that are shown pictures: which bases do, what their data must be, and their batches and loss.

A pair's picture stands where its words would, token for token as the model is served (`scoring.pixels`).
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lore_core.artifacts.manifest import sha256_digest
from lore_core.jobs.config import SftStage
from lore_core.jobs.errors import JobError
from lore_core.prompts import CONTRACT_NAME, ModelKit, ServingContract
from lore_core.records import Pair, RecordError
from lore_core.records.jsonl import read_records
from lore_core.records.picture import BadPicture
from lore_core.scoring.pixels import PictureReader
from lore_core.training.examples import IGNORED, PADDING, Example

SEEING: Final = "qwen3_vl"
"""The model type of those that are shown pictures."""


def image_tokens(base: Path) -> int | None:
    """Most tokens of a picture, as the base's contract says; None for a base that is shown none. Raises ContractError."""
    path = base / CONTRACT_NAME
    return ServingContract.read(path).image_tokens if path.is_file() else None


def require_seeing(spec: SftStage, base: Path, most: int) -> None:
    """What a base that is shown pictures must have, apart from its weights. Raises JobError naming field and remedy."""
    if spec.share_prefix:
        raise JobError(
            "BadConfig",
            "spec.sharePrefix: positions of a picture are three-dimensional, which packed rows do not have; leave it out",
            field="spec.sharePrefix",
        )
    kit = ModelKit.load(base)
    try:
        reader = PictureReader(base, kit.encoder)
    except (OSError, KeyError) as error:
        raise JobError(
            "BadBaseModel",
            f"baseModel: its contract shows pictures, which it cannot read: {error}; import a whole Qwen3-VL folder",
            field="baseModel",
        ) from error
    if reader.most_tokens > most:
        raise JobError(
            "BadBaseModel",
            f"baseModel: a picture becomes up to {reader.most_tokens} tokens by size.longest_edge of its"
            f" preprocessor_config.json, its contract says {most}; import it with --image-tokens {reader.most_tokens}",
            field="baseModel",
        )


def check_pictures(base: Path, folder: Path, names: Sequence[str]) -> None:
    """Read every picture of these splits. Raises RecordError naming file, line and field of a broken one."""
    reader = PictureReader(base, ModelKit.load(base).encoder)
    for name in names:
        check_file(folder / f"{name}.jsonl", reader)


def check_file(path: Path, reader: PictureReader) -> None:
    """Read each different picture of a file of pairs once. Raises RecordError naming file, line and field of a broken one."""
    known = set[str]()
    for line, pair in read_records(path, Pair):
        key = sha256_digest(pair.image_base64.encode())
        if not pair.image_base64 or key in known:
            continue
        try:
            reader.read(pair.image_base64)
        except BadPicture as error:
            problem, _, remedy = str(error).rpartition("; ")
            raise RecordError(problem, remedy, file=path, line=line, field="image_base64") from error
        known.add(key)


def load_seeing(folder: Path, kit: ModelKit) -> Any:
    """A Qwen3-VL model in float32. Raises JobError where it is another, or prompts and pictures exceed its positions."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    config = AutoConfig.from_pretrained(str(folder))
    if config.model_type != SEEING:
        raise JobError(
            "BadBaseModel",
            f"baseModel: its contract shows pictures, its config.json says {config.model_type}; pictures are trained with"
            f" {SEEING} alone",
            field="baseModel",
        )
    if config.text_config.max_position_embeddings < kit.max_sequence - 1:
        raise JobError(
            "BadConfig",
            f"spec.maxPromptTokens: prompt, picture and answer have up to {kit.max_sequence - 1} tokens, the base"
            f" {config.text_config.max_position_embeddings} positions; lower it",
            field="spec.maxPromptTokens",
        )
    return AutoModelForImageTextToText.from_pretrained(str(folder), dtype="float32")


def collate_seen(examples: Sequence[Example], reader: PictureReader, label_weight: float) -> dict[str, Any]:
    """Tensors of n rows padded on the right: what the model takes, `targets` and `weights` (n×longest, of the next token).

    Where no example has a picture a row without targets shows an empty one, so that the vision tower takes part in every
    step of every rank: ranks exchange gradients by name.
    """
    import torch

    placed = [reader.placed((example.token_ids, example.picture)) for example in examples]
    spread = [_spread(example, len(ids)) for example, (ids, _) in zip(examples, placed, strict=True)]
    if all(shown is None for _, shown in placed):
        placed.append(reader.blank())
        spread.append([IGNORED] * len(placed[-1][0]))
    longest = max(len(ids) for ids, _ in placed)

    def filled(rows: Sequence[Sequence[float]], fill: float, dtype: Any) -> Any:
        return torch.tensor([[*row, *[fill] * (longest - len(row))] for row in rows], dtype=dtype)

    ids = filled([row for row, _ in placed], PADDING, torch.long)
    return {
        "input_ids": ids,
        "attention_mask": filled([[1] * len(row) for row, _ in placed], 0, torch.long),
        "targets": filled([[*row[1:], IGNORED] for row in spread], IGNORED, torch.long),
        "weights": filled([_weights([*row[1:], IGNORED], label_weight) for row in spread], 0.0, torch.float32),
        **reader.tensors([shown for _, shown in placed if shown is not None], ids),
    }


def _spread(example: Example, length: int) -> list[int]:
    """Targets of the example's row of `length` tokens. A picture stands before whatever is trained."""
    return [*[IGNORED] * (length - len(example.targets)), *example.targets]


def _weights(targets: Sequence[int], label_weight: float) -> list[float]:
    """1 for every trained token but the last, the label, which counts `label_weight`."""
    last = max((place for place, target in enumerate(targets) if target != IGNORED), default=-1)
    return [label_weight if place == last else float(target != IGNORED) for place, target in enumerate(targets)]


def counted(pairs: Sequence[Pair]) -> dict[str, int]:
    """Pairs of a stage by what the model was shown of the item's picture: itself, its words, or nothing."""
    shown = ("picture" if pair.image_base64 else "words" if pair.vqa_result else "nothing" for pair in pairs)
    return dict(sorted(Counter(shown).items()))

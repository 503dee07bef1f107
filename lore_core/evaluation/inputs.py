"""An evaluation's inputs: resolved to digests, fetched, verified and read strictly before a server is started."""

import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lore_core.artifacts import ArtifactRef, Manifest, open_store, verify
from lore_core.evaluation.evidence import KIND as EVIDENCE
from lore_core.evaluation.evidence import Bound, Evidence, EvidenceError, EvidenceReport, check_bound, read
from lore_core.evaluation.leaks import FIELD
from lore_core.evaluation.twins import Twins
from lore_core.jobs import EvaluateConfig, Gate, RuleMode, gate_set_digest
from lore_core.jobs.errors import JobError
from lore_core.prompts import CONTRACT_NAME, ModelKit, RuleSource
from lore_core.prompts.chat import chat_prompt_digest
from lore_core.records import Pair, RecordError, label_schema_digest, read_pairs
from lore_core.records.schema import require_schema


@dataclass(frozen=True)
class Survey:
    """A benchmark that was read once, strictly, from its first line to its last: how many pairs, and their fields."""

    pairs: int
    fields: frozenset[str]


class Benchmark:
    """The scored subsets on local disk, always in the order of their names and lines."""

    def __init__(self, uri: str, folder: Path, subsets: Iterable[str]) -> None:
        self._uri, self._folder, self._subsets = uri, folder, tuple(sorted(subsets))

    def pairs(self) -> Iterator[Pair]:
        """All pairs, streamed. Raises JobError with file, line and field."""
        seen: set[str] = set()
        try:
            for name in self._subsets:
                yield from _of_subset(self._uri, name, read_pairs(self._folder / f"{name}.jsonl", seen))
        except RecordError as error:
            raise error.named(self._folder, self._uri) from error

    def survey(self) -> Survey:
        """Read everything once. Raises JobError for a record that stands there twice, be it with two labels."""
        fields, twins = set[str](), Twins()
        count = 0
        for pair in self.pairs():
            if twins.again(pair):
                raise JobError(
                    "BadData",
                    f"{self._uri}/{pair.subset}.jsonl: {pair.id}: is the same record as one before it, under another id; keep "
                    "one, with one label",
                    file=f"{pair.subset}.jsonl",
                    field="id",
                )
            fields.update(pair.slice_fields)
            count += 1
        return Survey(count, frozenset(fields))


@dataclass(frozen=True)
class LocalModel:
    """A verified model artifact, and what renders its prompts."""

    folder: Path
    kit: ModelKit


@dataclass(frozen=True)
class Inputs:
    """Everything on local disk, with the digests it was found to have. Pairs are read as they are needed."""

    model: LocalModel | None
    """None where an endpoint is asked."""
    rules: RuleSource
    benchmark: Benchmark
    survey: Survey
    champion: Evidence | None
    bound: Bound
    training: tuple[str, ...] | None = None
    """The distinct queries trained on; None where no training data was given."""
    rair_total: str | None = None
    """Which of RAIR's published totals the benchmark's manifest says it has; None for another benchmark."""


def check_config(config: EvaluateConfig) -> None:
    """Refuse what can never be judged. Raises JobError naming the field."""
    if (found := gate_set_digest(config.gates)) != config.gate_set_digest:
        raise JobError(
            "DigestMismatch",
            f"gateSetDigest: is {config.gate_set_digest}, the gates' is {found}",
            field="gateSetDigest",
        )
    check_subsets(config.gates, config.benchmark.subsets)
    if config.benchmark.rule_mode is RuleMode.RETRIEVED and config.rule_set is None:
        raise JobError(
            "MissingRuleSet", "ruleSet: rule mode Retrieved needs one; give it or use rule mode None", field="ruleSet"
        )


def check_subsets(gates: Sequence[Gate], subsets: Collection[str]) -> None:
    """Refuse a gate on a subset that was not scored. Raises JobError."""
    for gate in gates:
        if gate.subset is not None and gate.subset not in subsets:
            raise JobError(
                "MissingSubset",
                f"gates.{gate.name}.subset: {gate.subset} is not scored; add it to benchmark.subsets",
                field=f"gates.{gate.name}.subset",
            )


def check_fields(gates: Sequence[Gate], known: Collection[str]) -> None:
    """Refuse a gate on a field that no record has: a slice of nothing would hide behind onMissing. Raises JobError."""
    for gate in gates:
        if unknown := sorted(set(gate.where) - set(known)):
            raise JobError(
                "UnknownField",
                f"gates.{gate.name}.where: no field {unknown[0]!r}; use one of {', '.join(sorted(known))}",
                field=f"gates.{gate.name}.where",
            )


def resolve(config: EvaluateConfig) -> dict[str, Manifest]:
    """The manifests of all inputs by config field, each checked against the digest its ref names and for its kind."""
    wanted = {"benchmark": (config.benchmark.ref, "benchmark")}
    if config.model is not None:
        wanted["model"] = (config.model, "model")
    if config.rule_set is not None:
        wanted["ruleSet"] = (config.rule_set, "rule-set")
    if config.training_data is not None:
        wanted["trainingData"] = (config.training_data, "pairs")
    if config.champion is not None:
        wanted["champion"] = (config.champion.evidence, EVIDENCE)
    return {field: _manifest(field, ref, kind) for field, (ref, kind) in wanted.items()}


def _manifest(field: str, ref: ArtifactRef, kind: str) -> Manifest:
    manifest = open_store(ref).manifest()
    if manifest.kind != kind:
        raise JobError("WrongArtifactKind", f"{field}: {ref.uri} is a {manifest.kind}, needed is a {kind}", field=field)
    return manifest


def fetch(config: EvaluateConfig, manifests: dict[str, Manifest], root: Path) -> Inputs:
    """Fetch into `root` what `resolve` found, and read it. Raises ArtifactError or JobError."""
    digests = {field: manifest.digest for field, manifest in manifests.items()}
    if config.model is not None:
        verify(_pinned(config.model, digests["model"]), root / "model")
    benchmark = _benchmark(config, digests["benchmark"], root / "benchmark")
    survey = benchmark.survey()
    training = _training_queries(config, manifests, root / "trainingData")
    check_fields(config.gates, survey.fields | ({FIELD} if training is not None else set()))
    if config.rule_set is not None:
        verify(_pinned(config.rule_set, digests["ruleSet"]), root / "ruleSet")
    rules = RuleSource.load(config.benchmark.rule_mode, root / "ruleSet" if config.rule_set else None)
    model = LocalModel(root / "model", ModelKit.load(root / "model")) if config.model is not None else None
    bound = _bound(config, manifests, model.kit if model else None)
    champion = None
    if config.champion is not None:
        champion = read(_pinned(config.champion.evidence, digests["champion"]), root / "champion")
    total = manifests["benchmark"].metadata.get("rairTotal")
    return Inputs(model, rules, benchmark, survey, champion, bound, training, str(total) if total else None)


def _training_queries(config: EvaluateConfig, manifests: dict[str, Manifest], folder: Path) -> tuple[str, ...] | None:
    if config.training_data is None:
        return None
    digest, trained_on = manifests["trainingData"].digest, manifests["model"].inputs.get("data")
    if trained_on not in (None, digest):
        raise JobError(
            "WrongTrainingData",
            f"trainingData: {config.training_data.uri} is {digest}, the model was trained on {trained_on}; name that one",
            field="trainingData",
        )
    manifest = verify(_pinned(config.training_data, digest), folder)
    names = sorted(entry.path for entry in manifest.files if entry.path.endswith(".jsonl"))
    try:
        return tuple({pair.query: None for name in names for pair in read_pairs(folder / name)})
    except RecordError as error:
        raise error.named(folder, config.training_data.uri) from error


def _pinned(ref: ArtifactRef, digest: str) -> ArtifactRef:
    return ArtifactRef(uri=ref.uri, digest=digest, credentials=ref.credentials)


def _benchmark(config: EvaluateConfig, digest: str, folder: Path) -> Benchmark:
    uri, subsets = config.benchmark.uri, config.benchmark.subsets
    manifest = verify(_pinned(config.benchmark.ref, digest), folder, only=tuple(f"{name}.jsonl" for name in subsets))
    there = {entry.path.removesuffix(".jsonl") for entry in manifest.files if entry.path.endswith(".jsonl")}
    if missing := [name for name in subsets if name not in there]:
        raise JobError(
            "MissingSubset",
            f"benchmark.subsets: {uri} has no {missing[0]}.jsonl; it has {', '.join(sorted(there)) or 'none'}",
            file=f"{missing[0]}.jsonl",
            field="benchmark.subsets",
        )
    return Benchmark(uri, folder, subsets)


def _of_subset(uri: str, name: str, pairs: Iterable[Pair]) -> Iterator[Pair]:
    line = 0
    for line, pair in enumerate(pairs, start=1):
        if pair.subset != name:
            raise JobError(
                "BadData",
                f"{uri}/{name}.jsonl:{line}: subset: is {pair.subset!r}, the file holds subset {name!r}; correct one of them",
                file=f"{name}.jsonl",
                line=line,
                field="subset",
            )
        yield pair
    if not line:
        raise JobError("BadData", f"{uri}/{name}.jsonl: holds no pair", file=f"{name}.jsonl")


def _bound(config: EvaluateConfig, manifests: dict[str, Manifest], kit: ModelKit | None) -> Bound:
    require_schema("benchmark", config.benchmark.uri, manifests["benchmark"].metadata)
    subject = _endpoint_bound(config) if kit is None else _model_bound(config, manifests["model"], kit)
    return Bound(
        **subject,
        label_schema=label_schema_digest(),
        rules=manifests["ruleSet"].digest if "ruleSet" in manifests else None,
        benchmark=manifests["benchmark"].digest,
        gate_set=config.gate_set_digest,
        training_data=manifests["trainingData"].digest if "trainingData" in manifests else None,
        champion=manifests["champion"].digest if "champion" in manifests else None,
        generation=config.generation.content_digest() if config.generation else None,
    )


def _endpoint_bound(config: EvaluateConfig) -> dict[str, Any]:
    assert config.endpoint is not None
    return {"endpoint": config.endpoint.identity, "prompt": chat_prompt_digest(config.endpoint.prompt_language)}


def _model_bound(config: EvaluateConfig, manifest: Manifest, kit: ModelKit) -> dict[str, Any]:
    if config.generation is not None and not kit.contract.layout.writes:
        raise JobError(
            "NoGeneratedAnswer",
            f"generation: a model of layout {kit.contract.layout} writes no answer; leave generation out to score its labels",
            field="generation",
        )
    if kit.contract.label_schema != (schema := label_schema_digest()):
        raise JobError(
            "LabelSchemaMismatch",
            f"model: its label schema is {kit.contract.label_schema}, the benchmark's is {schema}; "
            "a verdict over two schemas means nothing: train the model on this schema",
            field="model",
        )
    return {
        "model": manifest.digest,
        "tokenizer": kit.contract.tokenizer,
        "contract": next(entry.sha256 for entry in manifest.files if entry.path == CONTRACT_NAME),
        "prompt": kit.contract.prompt_digest,
        "profile": config.profile.content_digest() if config.profile else None,
    }


def reusable(config: EvaluateConfig) -> Evidence | None:
    """The report of an equal evaluation that is already there; None where there is none.

    Raises EvidenceError where what is there was made from other inputs than the config names.
    """
    if not open_store(config.output).exists():
        return None
    with tempfile.TemporaryDirectory(prefix="lore-evidence-") as folder:
        found = read(config.output, Path(folder))
    expected = {
        "model": config.model.digest if config.model else None,
        "endpoint": config.endpoint.identity if config.endpoint else None,
        "benchmark": config.benchmark.digest,
        "rules": config.rule_set.digest if config.rule_set else None,
        "training_data": config.training_data.digest if config.training_data else None,
        "champion": config.champion.evidence.digest if config.champion else None,
        "gate_set": config.gate_set_digest,
        "profile": config.profile.content_digest() if config.profile else None,
    }
    check_bound(found.report, expected, config.output.uri)
    _check_protocol(config, found.report)
    return found


def _check_protocol(config: EvaluateConfig, report: EvidenceReport) -> None:
    there = _protocol(report.rule_mode, report.subsets, report.bound.generation)
    generation = config.generation.content_digest() if config.generation else None
    asked = _protocol(config.benchmark.rule_mode, config.benchmark.subsets, generation)
    if there != asked:
        raise EvidenceError(f"{config.output.uri}: holds {there}, asked for are {asked}; evaluate again")


def _protocol(mode: RuleMode, subsets: Iterable[str], generation: str | None) -> str:
    answers = f"answers generated by {generation}" if generation else "label scores"
    return f"rule mode {mode}, subsets {', '.join(sorted(subsets))} and {answers}"

"""Fine-tuning on pictures: the loss is that of the picture that a server would show, and bad input is refused by its name."""

import base64
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lore_core.artifacts import ArtifactRef, publish
from lore_core.benchmark.lexicon import vocabulary
from lore_core.benchmark.world import Scale, World
from lore_core.cli import main
from lore_core.jobs import AlignStage, Report, RuleMode, SftStage, TrainConfig
from lore_core.jobs.config import AlignMethod
from lore_core.jobs.errors import JobError
from lore_core.prompts import ModelKit, RuleSource, TextEncoder
from lore_core.records import LABELS, Pair, RecordError, write_pairs
from lore_core.scoring.pixels import PictureReader
from lore_core.scoring.reference import TransformersScorer
from lore_core.training.alignment.contract import align_kit
from lore_core.training.alignment.sampling import sample
from lore_core.training.base import BaseSettings, small_model, write_tokenizer
from lore_core.training.export import write_model
from lore_core.training.seeing import check_pictures, counted, image_tokens, require_seeing
from lore_core.training.sft import SftModel, load_causal, sft_kit
from lore_core.training.vision import VisionSettings, write_seeing_base

from .test_sft import Plain

torch = pytest.importorskip("torch")

PAIRS = list(World(17, Scale(1, 1, 1, 1)).pairs("train", "visual"))
WORDED = [pair.model_copy(update={"image_base64": ""}) for pair in PAIRS]
RULES = RuleSource(RuleMode.NONE, None)
TINY = VisionSettings(layers=2, width=64, heads=2, feed_forward=64)
LABEL_FIRST = {"layout": "LabelFirst", "rule_mode": "None"}


@dataclass(frozen=True)
class Bases:
    """A text base, and the same with a vision tower before it."""

    text: Path
    seeing: Path


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Bases:
    root = tmp_path_factory.mktemp("bases")
    for name in ("text", "seeing"):
        (root / name).mkdir()
    torch.manual_seed(3)
    encoder = write_tokenizer(vocabulary(), root / "text")
    text = small_model(BaseSettings(layers=2, width=64, heads=2, feed_forward=96), encoder)
    text.save_pretrained(str(root / "text"))
    model = write_seeing_base(root / "text", TINY, root / "seeing")
    with torch.no_grad():
        for (
            name,
            weight,
        ) in model.model.visual.named_parameters():  # of the usual size a picture would hardly move a loss
            if "norm" not in name:
                weight.normal_(0.0, 0.15)
    model.save_pretrained(str(root / "seeing"))
    (root / "seeing" / "generation_config.json").unlink()
    return Bases(root / "text", root / "seeing")


def stage_of(base: Path, pairs: list[Pair], **knobs: Any) -> SftModel:
    spec = SftStage.model_validate(LABEL_FIRST | knobs)
    kit = sft_kit(spec, TextEncoder.load(base), pairs, image_tokens(base))
    return SftModel(kit, base, pairs, RULES, spec)


def loss(stage: SftModel, rows: list[int]) -> float:
    with torch.no_grad():
        return float(stage.loss(Plain(stage.model), rows))


def own_logprob(stage: SftModel, pair: Pair) -> float:
    """Of the gold label behind words, picture, words: by transformers' processor and the model, without our batches."""
    from PIL import Image
    from transformers import Qwen2VLImageProcessorPil

    prompt = stage.kit.render(pair)
    assert prompt.picture is not None
    image = Image.open(io.BytesIO(base64.b64decode(pair.image_base64)))
    config, at = stage.model.config, prompt.picture.after
    seen = Qwen2VLImageProcessorPil(
        size={"shortest_edge": 28 * 28, "longest_edge": 112 * 56},
        patch_size=14,
        image_mean=[1.0] * 3,
        image_std=[0.5] * 3,
    )(images=[image], return_tensors="pt")
    inside = [config.vision_start_token_id, *[config.image_token_id] * 8, config.vision_end_token_id]
    ids = torch.tensor([[*prompt.token_ids[:at], *inside, *prompt.token_ids[at:]]])
    with torch.no_grad():
        logits = stage.model(input_ids=ids, mm_token_type_ids=(ids == config.image_token_id).int(), **seen).logits
    label = stage.kit.contract.verbaliser.token_ids[LABELS.index(pair.groundtruth)]
    return float(logits[0, -1].double().log_softmax(-1)[label])


def test_the_loss_of_a_pair_is_its_labels_behind_the_picture_that_a_server_shows(bases: Bases) -> None:
    stage = stage_of(bases.seeing, PAIRS)
    own = [-own_logprob(stage, pair) for pair in PAIRS[:4]]

    assert loss(stage, [0, 1, 2, 3]) == pytest.approx(np.mean(own), abs=1e-5)
    assert len({round(one, 3) for one in own}) == 4


def test_a_pair_without_a_picture_is_read_by_its_words_as_the_text_base_reads_it(bases: Bases) -> None:
    seeing, text = stage_of(bases.seeing, [*WORDED[:3], PAIRS[0]]), stage_of(bases.text, WORDED)
    shares = [
        TransformersScorer.of(stage.kit, stage.model.eval()).score([stage.kit.render(pair) for pair in WORDED[:3]])
        for stage in (seeing, text)
    ]

    assert np.abs(shares[0].probabilities - shares[1].probabilities).max() < 1e-6
    mixed = (3 * loss(seeing, [0, 1, 2]) + loss(seeing, [3])) / 4
    assert loss(seeing, [0, 1, 2, 3]) == pytest.approx(mixed, abs=1e-5)
    assert (seeing.pictures, text.pictures) == ({"picture": 1, "words": 3}, None)


def test_a_label_weighs_more_beside_pictures_too(bases: Bases) -> None:
    think = {"layout": "ThinkFirst"}
    plain, heavy = stage_of(bases.seeing, PAIRS, **think), stage_of(bases.seeing, PAIRS, **think, label_weight="5")
    alone = stage_of(bases.seeing, PAIRS)

    assert loss(plain, [0]) != pytest.approx(loss(heavy, [0]), abs=1e-3)
    assert loss(alone, [0]) == pytest.approx(loss(stage_of(bases.seeing, PAIRS, label_weight="5"), [0]), abs=1e-6)


def test_a_batch_of_words_alone_leaves_the_tower_as_it_is_and_takes_part_in_the_exchange(bases: Bases) -> None:
    stage = stage_of(bases.seeing, WORDED)
    stage.loss(Plain(stage.model), [0, 1]).backward()

    tower = [weight.grad for weight in stage.model.model.visual.parameters()]
    assert all(grad is not None and not grad.any() for grad in tower)


def test_a_hand_over_keeps_the_picture(bases: Bases) -> None:
    stage, last = stage_of(bases.seeing, PAIRS, hand_over="0.5"), 16 * len(PAIRS)

    assert loss(stage, [last, last + 1]) == pytest.approx(loss(stage_of(bases.seeing, PAIRS), [0, 1]), abs=1e-6)
    swapped = [pair.model_copy(update={"image_base64": PAIRS[5].image_base64}) for pair in PAIRS]
    other = stage_of(bases.seeing, swapped, hand_over="0.5")
    assert loss(stage, [0]) != pytest.approx(loss(other, [0]), abs=1e-4)


def test_a_reason_read_from_a_picture_is_written_token_by_token_as_the_model_finds_each(bases: Bases) -> None:
    stage = stage_of(bases.seeing, PAIRS, layout="ThinkFirst")
    model, reader = stage.model.eval(), PictureReader.of(bases.seeing, stage.kit)
    assert reader is not None
    prompts = [stage.kit.render(pair) for pair in (PAIRS[0], WORDED[1], PAIRS[2])]

    scores = TransformersScorer.of(stage.kit, model, reader=reader).score(prompts)
    sampled = sample(stage.kit, model, prompts, 2, seed=1, temperature=1.0, top_k=1, reader=reader)

    for prompt, answers in zip(prompts, sampled, strict=True):
        ids, shown = reader.placed((prompt.token_ids, prompt.picture))
        for token in answers[0][:4]:
            row = torch.tensor([ids])
            with torch.no_grad():
                found = model(input_ids=row, **reader.tensors([shown] if shown else [], row)).logits[0, -1].argmax()
            assert int(found) == token
            ids.append(token)
        assert answers[0] == answers[1]
    assert all(scores.traces)


def test_what_is_published_is_a_whole_model_for_the_server_and_the_next_stage(bases: Bases, tmp_path: Path) -> None:
    stage = stage_of(bases.seeing, PAIRS)
    write_model(stage.model, stage.model.state_dict(), stage.kit, bases.seeing, tmp_path)

    assert {path.name for path in bases.seeing.iterdir()} <= {path.name for path in tmp_path.iterdir()}
    assert image_tokens(tmp_path) == TINY.image_tokens == 10
    prompts = [stage.kit.render(pair) for pair in PAIRS[:3]]
    again = TransformersScorer(tmp_path).score(prompts).probabilities
    reader = PictureReader.of(tmp_path, stage.kit)
    assert np.allclose(
        again, TransformersScorer.of(stage.kit, stage.model.eval(), reader=reader).score(prompts).probabilities
    )


def refused(call: Callable[[], Any]) -> tuple[str, str | None, str]:
    with pytest.raises(JobError) as found:
        call()
    failure = found.value.failure
    return failure.reason, failure.field, failure.message


def test_shared_prefixes_are_refused_beside_pictures(bases: Bases) -> None:
    spec = SftStage(share_prefix=True)

    reason, field, said = refused(lambda: require_seeing(spec, bases.seeing, 10))
    assert (reason, field) == ("BadConfig", "spec.sharePrefix")
    assert "leave it out" in said


def test_a_contract_with_less_room_than_pictures_take_is_refused(bases: Bases) -> None:
    reason, field, said = refused(lambda: require_seeing(SftStage(), bases.seeing, 9))

    assert (reason, field) == ("BadBaseModel", "baseModel")
    assert said.endswith("import it with --image-tokens 10")


def test_a_base_without_a_processor_is_refused(bases: Bases, tmp_path: Path) -> None:
    shutil.copytree(bases.seeing, tmp_path / "base")
    (tmp_path / "base" / "preprocessor_config.json").unlink()

    assert refused(lambda: require_seeing(SftStage(), tmp_path / "base", 10))[:2] == ("BadBaseModel", "baseModel")


def test_prompts_and_pictures_beyond_the_positions_are_refused(bases: Bases) -> None:
    reason, field, said = refused(lambda: stage_of(bases.seeing, PAIRS, max_prompt_tokens=510))

    assert (reason, field) == ("BadConfig", "spec.maxPromptTokens")
    assert said.endswith("the base 512 positions; lower it")


def test_a_model_that_sees_is_trained_by_no_stage_that_would_hide_its_pictures(bases: Bases, tmp_path: Path) -> None:
    size = TextEncoder.load(bases.seeing).size
    assert refused(lambda: load_causal(bases.seeing, size))[:2] == ("BadBaseModel", "baseModel")
    spec = AlignStage(method=AlignMethod.EXPECTED_REWARD)
    assert refused(lambda: align_kit(spec, bases.seeing, None))[:2] == ("BadBaseModel", "baseModel")
    shutil.copytree(bases.seeing, tmp_path / "base")
    config = json.loads((bases.text / "config.json").read_text())
    (tmp_path / "base" / "config.json").write_text(json.dumps(config))
    assert "says qwen3;" in refused(lambda: stage_of(tmp_path / "base", PAIRS))[2]


def test_a_broken_picture_is_named_by_file_line_and_field(bases: Bases, tmp_path: Path) -> None:
    torn = PAIRS[2].model_copy(update={"image_base64": PAIRS[2].image_base64[:400]})
    write_pairs(tmp_path / "train.jsonl", [PAIRS[0], WORDED[1], torn])

    with pytest.raises(RecordError) as found:
        check_pictures(bases.seeing, tmp_path, ["train"])

    failure = found.value.failure
    assert (failure.reason, failure.line, failure.field) == ("BadRecord", 3, "image_base64")
    assert failure.message.endswith("save it anew as PNG or JPEG")
    write_pairs(tmp_path / "train.jsonl", [PAIRS[0], WORDED[1]])
    check_pictures(bases.seeing, tmp_path, ["train"])


@pytest.mark.parametrize("spec", [{"kind": "sft", "rule_mode": "None"}, {"kind": "distill"}])
def test_a_stage_that_shows_pictures_to_its_base_or_teacher_ends_at_a_broken_one(
    bases: Bases, tmp_path: Path, pairs_folder: Path, train_config: Callable[..., TrainConfig], spec: dict[str, Any]
) -> None:
    torn = PAIRS[2].model_copy(update={"image_base64": PAIRS[2].image_base64[:400]})
    write_pairs(pairs_folder / "train.jsonl", [PAIRS[0], torn])
    seeing = publish(bases.seeing, ArtifactRef(uri=(tmp_path / "seeing").as_uri()), "model")
    config = train_config(pairs_folder)
    if spec["kind"] == "sft":
        config = train_config(pairs_folder, spec=spec, base_model=seeing)
    else:
        config = train_config(pairs_folder, spec={**spec, "base": config.base_model, "teacher": seeing})
    (tmp_path / "config.json").write_text(config.model_dump_json(by_alias=True))

    report = tmp_path / "report.json"
    assert main(["train", "--config", str(tmp_path / "config.json"), "--report", str(report)]) == 1

    failure = Report.model_validate_json(report.read_text()).failure
    assert failure is not None
    assert (failure.reason, failure.file, failure.line) == ("BadRecord", "train.jsonl", 2)
    assert failure.field == "image_base64"


def test_a_stage_counts_what_its_pairs_show(bases: Bases) -> None:
    nothing = WORDED[0].model_copy(update={"vqa_result": ""})

    assert counted([*PAIRS[:3], WORDED[0], nothing]) == {"nothing": 1, "picture": 3, "words": 1}


def test_the_base_that_sees_says_of_words_what_the_text_base_says(bases: Bases) -> None:
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    text = AutoModelForCausalLM.from_pretrained(str(bases.text), dtype="float32").eval()
    seeing = AutoModelForImageTextToText.from_pretrained(str(bases.seeing), dtype="float32").eval()
    ids = torch.arange(20, 60)[None]
    with torch.no_grad():
        said, expected = seeing(input_ids=ids).logits, text(input_ids=ids).logits
    assert torch.equal(said[..., : expected.shape[-1]], expected)
    words = TextEncoder.load(bases.text).encode("red shirt with stripes")
    assert TextEncoder.load(bases.seeing).encode("red shirt with stripes") == words
    assert ModelKit.load(bases.seeing).contract.image_tokens == 10


def test_a_base_that_sees_already_gets_no_second_tower(bases: Bases, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="already; name a base of words alone"):
        write_seeing_base(bases.seeing, TINY, tmp_path)

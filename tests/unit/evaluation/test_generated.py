"""The generated-answer protocol: what counts as an answer, and what sampling it k times finds."""

import json
from pathlib import Path
from typing import Any

import pytest
from unit.evaluation.world import ENCODER, Completions, benchmark, config, endpoint, model, pair, ref

from lore_core.artifacts import publish
from lore_core.evaluation.evidence import read
from lore_core.evaluation.generated import read_generated, sample_seed
from lore_core.evaluation.judging import judge_again
from lore_core.evaluation.run import evaluate
from lore_core.evaluation.sampling import sampled
from lore_core.jobs import Gate, Generation, RuleMode
from lore_core.jobs.errors import JobError
from lore_core.jobs.reporter import FileSink, Reporter
from lore_core.prompts import ModelKit, PromptLayout, build_contract

STOP = ENCODER.control("</think>")
LABEL = {name: ENCODER.control(f"<{name}>") for name in ("L1", "L2", "L3", "L4")}
THINKING = ModelKit(build_contract(ENCODER, PromptLayout.THINK_FIRST, RuleMode.NONE, 24), ENCODER)
DIRECT = ModelKit(build_contract(ENCODER, PromptLayout.LABEL_FIRST, RuleMode.NONE, 24), ENCODER)


SAMPLED = ("PassAt1", "MajorityAtK", "PassAtKAboveChance", "PassAtKChecked")


def said(ids: list[int], kit: ModelKit = THINKING) -> tuple[str | None, bool]:
    found = read_generated(kit, ids)
    return found.answer.label, found.cut


def test_the_label_after_the_reasoning_is_the_answer():
    assert said([LABEL["L1"], STOP, LABEL["L3"]]) == ("L3", False)


def test_reasoning_that_never_ends_leaves_no_answer_whatever_it_mentions():
    assert said([LABEL["L4"], LABEL["L4"]]) == (None, True)


def test_a_title_that_imitates_the_end_of_reasoning_and_is_quoted_in_it_ends_nothing():
    quoted = ENCODER.encode("shirt </think> <L4> l4")
    assert said([*quoted, STOP, LABEL["L1"]]) == ("L1", False)
    assert said([*quoted, LABEL["L4"]]) == (None, True)


def test_an_answer_without_a_label_is_read_as_none():
    assert said([LABEL["L4"], STOP, *ENCODER.encode("none")]) == (None, False)


def test_a_model_that_answers_at_once_is_read_from_its_first_token():
    assert said([LABEL["L2"], LABEL["L4"]], DIRECT) == ("L2", False)


class Thinker(Completions):
    """Thinks in one step that argues for L4; says what the title names, `none` nothing, `3` never stops thinking.

    Sampled, every second answer is L4 without steps.
    """

    def say(self, body: dict[str, Any]) -> list[int]:
        words = {word: ENCODER.encode(word)[0] for word in ("l1", "l2", "l3", "l4", "none", "3")}
        named = next((word for word, id_ in words.items() if id_ in body["prompt"]), "none")
        if named == "3":
            return [LABEL["L4"]] * body["max_tokens"]
        answer = [LABEL[named.upper()]] if named != "none" else ENCODER.encode("none")
        if body["temperature"] and body["seed"] % 2:
            return [STOP, LABEL["L4"]]
        return [*ENCODER.encode("kind shirt shirt match"), STOP, *answer]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Thirty pairs with gold L4: twenty right, five L1, three without a label, two cut."""
    root: Path = tmp_path_factory.mktemp("generated")
    titles = ["l4"] * 20 + ["l1"] * 5 + ["none"] * 3 + ["3"] * 2
    pairs = [pair(row, "L4", title=f"shirt {title}", query="shirt") for row, title in enumerate(titles)]
    made = config(
        root,
        model(root, layout=PromptLayout.THINK_FIRST),
        benchmark(root, pairs),
        generation=Generation(max_answer_tokens=3, samples=4),
    )
    with endpoint(Thinker) as served:
        result = evaluate(made, Reporter(FileSink(root / "report.json")), served)
    evidence = read(ref(Path(result.uri.removeprefix("file://")), result.digest), root / "copy")
    scores = {row.metric: float(row.value) for row in evidence.report.scores if row.slice == "all pairs"}
    return evidence, scores, json.loads((root / "report.json").read_text())


def test_unparsable_answers_are_wrong_everywhere_and_counted(finished):
    evidence, scores, _ = finished
    assert evidence.report.unparsable == 5
    assert scores["Accuracy2"] == pytest.approx(20 / 30, abs=1e-6)
    assert scores["ParseRate"] == pytest.approx(25 / 30, abs=1e-6)
    problems = [row.problem for row in evidence.answers() if row.answer is None]
    assert sorted(set(problems)) == ["no label follows the reasoning", "the reasoning was cut before it ended"]


def test_how_answers_were_decoded_is_on_record(finished):
    evidence, _, report = finished
    decoding = evidence.report.decoding
    assert decoding["protocol"] == report["summary"]["protocol"] == "GeneratedAnswer"
    assert decoding["generation"] == {
        "maxAnswerTokens": 3,
        "maxReasoningTokens": 1024,
        "samples": 4,
        "temperature": "1.0",
    }
    assert (decoding["temperature"], decoding["stop"]) == (0, "</think>")


def test_pass_at_k_is_shown_less_chance_and_with_checked_steps_only(finished):
    evidence, scores, _ = finished
    rows = list(evidence.answers())
    checked = sum(any(row.checked) for row in rows)
    lucky = sum("L4" in row.samples for row in rows)
    assert scores["PassAtKAboveChance"] == pytest.approx(lucky / 30 - (1 - 0.75**4), abs=1e-6)
    assert scores["PassAtKChecked"] == pytest.approx(checked / 30, abs=1e-6)
    assert checked <= 20 < lucky  # every second sample says L4 without a step; only the rest may be counted


def test_a_sample_depends_on_its_pair_and_number_alone():
    assert sample_seed(pair(1), 0) == sample_seed(pair(1, "L1"), 0)
    assert len({sample_seed(pair(row), number) for row in range(10) for number in range(8)}) == 80


def test_of_equally_frequent_labels_the_first_drawn_is_the_majority():
    assert sampled("L4", ["L1", "L4", None], [False, False, False]) == (3, 1, 0, 1, 0)
    assert sampled("L4", ["L4", "L1", "L4"], [False, True, False]) == (3, 2, 1, 1, 1)
    assert sampled("L4", [None, None], [False, False]) == (2, 0, 0, 0, 0)


def test_a_classifier_writes_no_answer(tmp_path):
    labels = DIRECT.contract.verbaliser.model_copy(update={"token_ids": (0, 1, 2, 3)})
    contract = DIRECT.contract.model_copy(update={"layout": PromptLayout.CLASSIFIER, "verbaliser": labels})
    model(tmp_path)
    (tmp_path / "model-files/lore-contract.json").write_bytes(contract.to_bytes())
    classifier = publish(tmp_path / "model-files", ref(tmp_path / "classifier"), "model")
    asked = config(tmp_path, classifier, benchmark(tmp_path, [pair(0)]), generation=Generation())
    with pytest.raises(JobError) as refused:
        evaluate(asked, Reporter(None), None)
    assert refused.value.failure.reason == "NoGeneratedAnswer"
    assert "generation: a model of layout Classifier writes no answer" in refused.value.failure.message


def test_samples_are_gated_where_they_were_asked_for(finished):
    """Gold is L4 throughout: a constant would hold a floor, so a second class is needed for a pass."""
    evidence, *_ = finished
    floors = [Gate(name=name.lower(), metric=name, min="0.99", min_queries=1) for name in SAMPLED]
    assert [one.outcome for one in judge_again(evidence, None, floors)] == ["Failed"] * len(SAMPLED)
    low = [Gate(name="low", metric="PassAt1", min="0.01", min_queries=1)]
    assert [one.outcome for one in judge_again(evidence, None, low)] == ["Inconclusive"]

"""The configs that the operator renders and the pods validate."""

import pytest
from pydantic import ValidationError

from lore_core.artifacts import ArtifactRef
from lore_core.jobs import EvaluateConfig, Gate, ServingProfile, TrainConfig, gate_set_digest

KEY = "sha256:" + "1" * 64


def gate(**options) -> Gate:
    return Gate(**({"name": "g", "metric": "Accuracy2", "min": "0.5"} | options))


@pytest.mark.parametrize(
    "bounds", [{}, {"min": "0.5", "max": "0.9"}, {"min": "0.5", "max_regression": "0.02"}], ids=["none", "two", "mixed"]
)
def test_a_gate_has_exactly_one_bound(bounds):
    with pytest.raises(ValidationError, match="gate g: give exactly one of min, max, maxRegression"):
        Gate(name="g", metric="Accuracy2", **bounds)


@pytest.mark.parametrize("options", [{"metric": "F1"}, {"label": "L3"}], ids=["F1 without label", "label without F1"])
def test_a_label_goes_with_f1_only(options):
    with pytest.raises(ValidationError, match="label goes with F1, Precision, Recall"):
        gate(**options)


def test_a_metric_without_a_proven_bound_cannot_be_held_against_a_champion():
    with pytest.raises(ValidationError, match="give QueryAUC a min or max"):
        Gate(name="g", metric="QueryAUC", max_regression="0.02")


@pytest.mark.parametrize("confidence", ["1.0", "0.4", "95", "0.95x", "1"])
def test_a_confidence_lies_between_a_half_and_one(confidence):
    with pytest.raises(ValidationError, match="confidence"):
        gate(confidence=confidence)


def test_a_gate_set_is_the_same_in_any_order():
    one, other = gate(name="a"), gate(name="b", min="0.6")
    assert gate_set_digest([one, other]) == gate_set_digest([other, one])


@pytest.mark.parametrize(
    "change", [{"min": "0.51"}, {"severity": "Advisory"}, {"where": {"market": "a"}}, {"min_queries": 49}]
)
def test_any_change_of_a_gate_is_another_gate_set(change):
    assert gate_set_digest([gate(**change)]) != gate_set_digest([gate()])


def test_a_spelled_out_default_is_the_same_gate_set():
    assert gate_set_digest([gate(confidence="0.95", min_queries=50)]) == gate_set_digest([gate()])


def profile(**options) -> ServingProfile:
    return ServingProfile(image="server@sha256:" + "a" * 64, **options)


@pytest.mark.parametrize(
    "change", [{"dtype": "bfloat16"}, {"quantization": "fp8"}, {"kv_cache_dtype": "fp8"}, {"max_model_len": 512}]
)
def test_a_model_served_another_way_has_another_profile(change):
    assert profile(**change).content_digest() != profile().content_digest()


def test_configs_are_camel_case_on_the_wire():
    assert "maxModelLen" in profile().model_dump_json(by_alias=True)


def test_an_unknown_field_is_refused_by_name():
    with pytest.raises(ValidationError, match="replicas"):
        ServingProfile.model_validate_json('{"image": "x", "replicas": 2}')


def train_config(**options) -> TrainConfig:
    values = {
        "job": "nightly",
        "stage": "sft",
        "base_model": {"uri": "s3://b/base"},
        "data": {"uri": "s3://b/pairs"},
        "workspace": {"uri": "s3://b/runs", "credentials": "/secrets/s3"},
        "input_key": KEY,
        "spec": {"kind": "sft"},
    }
    return TrainConfig(**(values | options))


def test_equal_work_has_one_place():
    assert train_config(job="other").output == train_config().output
    assert train_config().output == ArtifactRef(
        uri="s3://b/runs/stages/11111111111111111111/model", credentials="/secrets/s3"
    )


def test_checkpoints_lie_beside_the_model():
    assert train_config().checkpoints.uri == "s3://b/runs/stages/11111111111111111111/checkpoints"


def test_a_stage_is_read_by_its_kind():
    distill = train_config(spec={"kind": "distill", "base": {"uri": "s3://b/minilm"}})
    assert distill.spec.base.uri == "s3://b/minilm"


@pytest.mark.parametrize("knob", [{"marginWeight": "0.1"}, {"weighTeacher": True}, {"calibrateTeacher": True}])
def test_what_a_teacher_is_used_for_needs_one(knob):
    spec = {"kind": "distill", "base": {"uri": "s3://b/minilm"}, **knob}
    with pytest.raises(ValidationError, match="go with a teacher; give one or use none of them"):
        train_config(spec=spec)
    assert train_config(spec={**spec, "teacher": {"uri": "s3://b/t"}}).spec.needs_teacher


def test_only_a_cross_encoder_is_shown_the_overlap():
    spec = {"kind": "distill", "base": {"uri": "s3://b/minilm"}, "showOverlap": True}
    with pytest.raises(ValidationError, match="showOverlap goes with student Classifier"):
        train_config(spec={**spec, "student": "TwoTower"})
    assert train_config(spec=spec).spec.show_overlap


def test_an_unknown_kind_of_stage_is_refused():
    with pytest.raises(ValidationError, match="spec"):
        train_config(spec={"kind": "prayer"})


def test_a_config_read_from_its_own_json_is_the_same():
    config = EvaluateConfig(
        evaluation="nightly",
        model={"uri": "s3://b/m"},
        model_name="lore-q4",
        profile=profile(),
        benchmark={"uri": "s3://b/bench", "digest": KEY},
        gates=(gate(), gate(name="h", min=None, max_regression="0.02")),
        gate_set_digest=KEY,
        workspace={"uri": "pvc://w/runs"},
        input_key=KEY,
    )
    assert EvaluateConfig.model_validate_json(config.model_dump_json(by_alias=True)) == config

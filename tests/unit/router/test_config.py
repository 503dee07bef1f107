"""The router's configuration refuses what could serve a wrong answer, and names the field."""

from typing import Any

import pytest
from pydantic import ValidationError

from lore_core.router.config import RouterConfig

DIGEST = "sha256:" + "a" * 64


def ref(letter: str = "a") -> dict[str, Any]:
    return {"uri": f"pvc://claim/{letter}", "digest": "sha256:" + letter * 64}


def composition(revision: str, weight: int, **changes: Any) -> dict[str, Any]:
    predictor = {
        "url": "http://tail:80", "modelName": "m", "kit": ref("b"), "route": "Completions", "deadlineMs": 300,
    }  # fmt: skip
    base = {
        "revision": revision,
        "weights": {"head": weight, "torso": weight, "tail": weight},
        "strata": ref(),
        "tiers": {"tail": {"predictor": predictor}},
    }
    return base | changes


def config(*compositions: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"deployment": "search", "stable": "r1", "compositions": list(compositions)} | changes


def test_a_minimal_config_is_accepted_and_its_hash_is_stable_over_a_round_trip() -> None:
    first = RouterConfig.model_validate(config(composition("r1", 100)))
    again = RouterConfig.model_validate_json(first.model_dump_json(by_alias=True))
    assert again.content_digest() == first.content_digest()


def test_the_hash_changes_with_a_weight() -> None:
    one = RouterConfig.model_validate(config(composition("r1", 100), composition("r2", 0)))
    two = RouterConfig.model_validate(config(composition("r1", 90), composition("r2", 10)))
    assert one.content_digest() != two.content_digest()


def test_an_artifact_without_a_digest_is_refused() -> None:
    with pytest.raises(ValidationError, match="digest"):
        RouterConfig.model_validate(config(composition("r1", 100, strata={"uri": "pvc://claim/a"})))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (config(composition("r1", 90)), "weights of head sum to 90"),
        (config(composition("r1", 100), stable="r2"), "stable: r2 is not among"),
        (config(composition("r1", 50), composition("r1", 50)), "revisions must differ"),
        (config(composition("r1", 80), composition("r2", 10), composition("r3", 10)), "at most one composition"),
        (config(composition("r1", 100, head=ref("c"))), "a head generation, or a headStore, goes with"),
        (
            config(composition("r1", 100, headStore={"url": "redis://cache", "profile": "sha256:" + "a" * 64})),
            "a head generation, or a headStore, goes with",
        ),
        (config(composition("r1", 100), neutral={"probabilities": ["1", "1", "0", "0"]}), "sum to 1"),
    ],
)
def test_an_inconsistent_config_is_refused_with_the_reason(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RouterConfig.model_validate(bad)


def test_a_fallback_must_name_another_tier_that_is_there() -> None:
    bad = composition("r1", 100)
    bad["tiers"]["tail"]["predictor"]["fallback"] = ["torso"]
    with pytest.raises(ValidationError, match="tail: cannot fall to torso"):
        RouterConfig.model_validate(config(bad))


def test_a_cold_start_can_do_without_compositions_that_have_no_weight() -> None:
    parsed = RouterConfig.model_validate(config(composition("r1", 100), composition("r2", 0)))
    assert [c.revision for c in parsed.serving_part().compositions] == ["r1"]


def at_rest(*strata: str) -> dict[str, Any]:
    """Torso and tail fall back to each other; those that are named are not asked."""
    tail = composition("r1", 100)["tiers"]["tail"]["predictor"]
    found = {
        stratum: {"predictor": {**tail, "fallback": [other], **({"rests": True} if stratum in strata else {})}}
        for stratum, other in (("torso", "tail"), ("tail", "torso"))
    }
    return config(composition("r1", 100, tiers=found))


def test_a_tier_may_rest_while_its_fallback_is_asked() -> None:
    assert RouterConfig.model_validate(at_rest("tail")).compositions[0].tiers.resting() == {"tail"}
    with pytest.raises(ValidationError, match="rests without a fallback that is asked"):
        RouterConfig.model_validate(at_rest("torso", "tail"))


def test_a_router_that_knows_of_no_rest_reads_a_config_where_nothing_rests() -> None:
    assert "rests" not in RouterConfig.model_validate(at_rest()).model_dump_json(by_alias=True, exclude_none=True)

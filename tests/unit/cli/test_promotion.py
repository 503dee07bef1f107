"""What `lore promote` demands and writes."""

import json
from pathlib import Path

import pytest
import yaml
from unit.cli.objects import deployment, digest, evaluation, model, passed

from lore_core.jobs.config import ServingProfile
from lore_operator.api import parse_model
from lore_operator.cli.kubectl import CannotTell
from lore_operator.cli.overlay import Overlay
from lore_operator.cli.promotion import EVIDENCE, Place, Refused, places, promoted_model, verdict

TAIL = Place("search", 1, "tail", {})
MODEL = model("lore-q")
PASSED = passed(evaluation("judge", "lore-q"))


def test_a_passed_verdict_for_digest_and_profile_is_found():
    assert verdict(MODEL, [passed(evaluation("other", "lore-q"), "b"), PASSED], TAIL) is PASSED


@pytest.mark.parametrize(
    ("candidate", "why"),
    [
        (passed(evaluation("judge", "lore-q"), verdict="Failed"), "its verdict is Failed"),
        (passed(evaluation("judge", "lore-q"), verdict="Inconclusive"), "its verdict is Inconclusive"),
        (passed(evaluation("judge", "lore-q"), letter="b"), "no RelevanceEval of this namespace judged this digest"),
        (passed(evaluation("judge", "lore-q", dtype="bfloat16")), "it judged another serving profile"),
        (passed(evaluation("judge", "lore-q"), customRunner=True), "another image than the profile's"),
        (passed(evaluation("judge", "lore-q"), evidence=None), "it has no evidence"),
        (evaluation("judge", "lore-q"), "no RelevanceEval of this namespace judged this digest"),
    ],
)
def test_without_one_the_promotion_is_refused_and_the_reason_said(candidate, why):
    with pytest.raises(Refused, match=why):
        verdict(MODEL, [candidate], TAIL)


def test_where_the_overlay_names_an_image_the_verdict_must_be_for_that_image():
    profile = {"image": "registry.example.com/server@" + digest("1")}
    place = Place("search", 1, "tail", profile)
    for_it = passed(evaluation("judge", "lore-q"), profileDigest=ServingProfile(**profile).content_digest())

    assert verdict(MODEL, [for_it], place) is for_it
    with pytest.raises(Refused, match="another serving profile"):
        verdict(MODEL, [PASSED], place)


def test_other_rules_are_another_verdict():
    place = Place("search", 1, "tail", {}, rules=digest("2"))

    assert verdict(MODEL, [passed(evaluation("judge", "lore-q"), rulesDigest=digest("2"))], place)
    with pytest.raises(Refused, match="it judged under rules"):
        verdict(MODEL, [passed(evaluation("judge", "lore-q"), rulesDigest=digest("3"))], place)


def test_the_tiers_that_name_the_model_are_meant_unless_one_is_asked_for():
    manifests = [deployment(torso="student", tail="lore-q")]

    assert [place.stratum for place in places(manifests, "lore-q", "", "")] == ["tail"]
    assert [place.index for place in places(manifests, "newer", "", "torso")] == [0]
    with pytest.raises(Refused, match="search/torso, search/tail"):
        places(manifests, "newer", "", "")
    with pytest.raises(Refused, match="several deployments"):
        places([*manifests, deployment("shop", tail="lore-q")], "lore-q", "", "")


def test_the_models_copy_is_a_relevance_model_that_names_its_evidence():
    written = promoted_model(MODEL, [PASSED, PASSED])
    evidence = json.loads(written["metadata"]["annotations"][EVIDENCE])

    assert evidence == [{"eval": "judge", **PASSED["status"]["evidence"]}]
    assert parse_model(written).spec.digest == digest("a")
    assert "status" not in written


@pytest.fixture
def overlay(tmp_path: Path) -> Overlay:
    (tmp_path / "kustomization.yaml").write_text("# production\nresources: [../../base]  # as staging\n")
    return Overlay(tmp_path)


def files(overlay: Overlay) -> dict[str, str]:
    return {
        str(path.relative_to(overlay.folder)): path.read_text() for path in overlay.folder.rglob("*") if path.is_file()
    }


def builds(folder: str) -> str:
    return ""


def test_a_promotion_adds_one_line_to_the_overlays_own_files(overlay):
    changed = overlay.write(promoted_model(MODEL, []), [TAIL], builds)

    assert (
        files(overlay)["kustomization.yaml"]
        == "# production\nresources: [../../base]  # as staging\ncomponents:\n- promoted\n"
    )
    assert sorted(path.name for path in changed) == [
        "kustomization.yaml",
        "kustomization.yaml",
        "model-lore-q.yaml",
        "search-tail.yaml",
    ]
    assert overlay.write(promoted_model(MODEL, []), [TAIL], builds) == [], "a second promotion writes nothing"


def test_the_next_model_replaces_the_one_before_and_other_tiers_stay(overlay):
    overlay.write(promoted_model(MODEL, []), [TAIL], builds)
    overlay.write(promoted_model(model("student", "c"), []), [Place("search", 0, "torso", {})], builds)
    overlay.write(promoted_model(model("newer", "b"), []), [TAIL], builds)
    component = yaml.safe_load(files(overlay)["promoted/kustomization.yaml"])

    assert component["resources"] == ["model-newer.yaml", "model-student.yaml"]
    assert [patch["path"] for patch in component["patches"]] == ["search-tail.yaml", "search-torso.yaml"]
    assert "promoted/model-lore-q.yaml" not in files(overlay)


def test_an_overlay_that_would_not_build_is_left_as_it_was(overlay):
    def breaks(folder: str) -> str:
        raise CannotTell("no such base")

    before = files(overlay)
    with pytest.raises(CannotTell, match="no such base"):
        overlay.write(promoted_model(MODEL, []), [TAIL], breaks)
    assert files(overlay) == before


def test_a_name_that_stands_for_other_bytes_is_refused(overlay):
    overlay.write(promoted_model(MODEL, []), [TAIL], builds)
    before = files(overlay)
    with pytest.raises(Refused, match="immutable"):
        overlay.write(promoted_model(model("lore-q", "b"), []), [TAIL], builds)
    assert files(overlay) == before


def test_a_folder_without_a_kustomization_is_said(tmp_path):
    with pytest.raises(CannotTell, match=r"has no kustomization\.yaml"):
        Overlay(tmp_path)


def test_an_overlay_with_components_of_its_own_is_not_rewritten(overlay):
    (overlay.folder / "kustomization.yaml").write_text("components: [other]\n")
    with pytest.raises(CannotTell, match="add `- promoted`"):
        overlay.write(promoted_model(MODEL, []), [TAIL], builds)
    assert files(overlay) == {"kustomization.yaml": "components: [other]\n"}


def test_a_signed_verdict_travels_with_the_model_beside_those_it_came_with() -> None:
    came = json.loads(json.dumps(MODEL))
    came["spec"]["evidence"] = [{"name": "earlier", "attestation": "{a}"}]
    signed = json.loads(json.dumps(PASSED))
    signed["status"]["attestation"] = "{b}"

    written = promoted_model(came, [signed])

    name = signed["metadata"]["name"]
    assert written["spec"]["evidence"] == sorted(
        [{"name": "earlier", "attestation": "{a}"}, {"name": name, "attestation": "{b}"}], key=lambda one: one["name"]
    )
    assert "evidence" not in promoted_model(MODEL, [PASSED])["spec"]

"""ADR 0004: equal work has an equal key, and nothing that could differ is taken for equal."""

import pytest

from lore_operator.api.v1alpha1.common import ArtifactRef
from lore_operator.children.input_key import input_key

ONE, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
BASE = {"data": ArtifactRef(uri="pvc://a/x", digest=ONE)}


def key(
    inputs: dict[str, ArtifactRef | None] | None = None,
    image: str = "trainer:1",
    run: str = "first",
    verb: str = "train",
) -> str:
    return input_key(verb, inputs or dict(BASE), {"image": image}, run)  # fmt: skip


@pytest.mark.parametrize(
    ("other", "equal"),
    [
        (key(run="second"), True),
        (key({"data": ArtifactRef(uri="s3://moved/elsewhere", digest=ONE)}), True),
        (key({**BASE, "rules": None}), True),
        (key({"data": ArtifactRef(uri="pvc://a/x", digest=OTHER)}), False),
        (key({"base": ArtifactRef(uri="pvc://a/x", digest=ONE)}), False),
        (key(image="trainer:2"), False),
        (key(verb="evaluate"), False),
        (key({"data": ArtifactRef(uri="pvc://a/x")}), False),
    ],
    ids=["run", "place", "no rules", "digest", "role", "image", "verb", "no digest"],
)
def test_what_makes_work_equal(other: str, equal: bool) -> None:
    assert (key() == other) is equal


def test_an_input_without_a_digest_is_equal_within_its_run_only() -> None:
    loose = {"data": ArtifactRef(uri="pvc://a/x")}

    assert key(dict(loose)) == key(dict(loose))
    assert key(dict(loose)) != key(dict(loose), run="second")

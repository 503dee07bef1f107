"""The digest names the content: the same files, whoever wrote them and when, have the same one."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lore_core.artifacts import FileEntry, Manifest, Producer
from lore_core.artifacts.manifest import canonical_json, sha256_digest

DIGEST = "sha256:" + "a" * 64
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


def manifest(**options) -> Manifest:
    entry = FileEntry(path="a/b.txt", sha256=DIGEST, size=3)
    values = {"kind": "model", "producer": Producer(name="lore", version="1"), "files": (entry,)}
    return Manifest(**(values | options))


def test_the_digest_is_that_of_the_stored_bytes():
    made = manifest()
    assert made.digest == "sha256:" + hashlib.sha256(made.to_bytes()).hexdigest()


def test_stored_bytes_read_back_to_the_same_digest():
    made = manifest(inputs={"data": DIGEST}, metadata={"Ä": [1, None]})
    assert Manifest.model_validate_json(made.to_bytes()).digest == made.digest


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON))
def test_the_order_of_keys_does_not_change_the_bytes(value):
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_json_has_no_word_for_is_refused(number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"loss": number})


def test_changed_content_changes_the_digest():
    other = FileEntry(path="a/b.txt", sha256=sha256_digest(b"other"), size=3)
    assert manifest(files=(other,)).digest != manifest().digest


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/", "", "a\\b", ".."])
def test_a_path_that_leaves_the_artifact_is_refused(path):
    with pytest.raises(ValidationError):
        FileEntry(path=path, sha256=DIGEST, size=0)


@pytest.mark.parametrize("kind", ["Model", "a b", "", "9lives"])
def test_a_kind_is_a_lower_case_word(kind):
    with pytest.raises(ValidationError, match="kind"):
        manifest(kind=kind)


def test_a_field_of_another_version_is_refused():
    with pytest.raises(ValidationError, match="signature"):
        manifest(signature="x")

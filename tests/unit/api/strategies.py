"""Specs drawn from the CRD's own schema: mostly fine, some just outside a bound."""

import copy
from typing import Any

from hypothesis import strategies as st
from unit.api.specs import GOOD

from lore_operator.api.crd import KINDS, root_schema

_TEXT = st.characters(codec="utf-8", exclude_categories=("Cs",))
_LARGE = 2**53 - 1


@st.composite
def edited_specs(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """The good spec of a kind with some of its fields drawn anew."""
    (served,) = (item for item in KINDS if item.type.__name__ == kind)
    schema = root_schema(served.type)["properties"]["spec"]
    spec = copy.deepcopy(GOOD[kind])
    names = draw(st.lists(st.sampled_from(sorted(schema["properties"])), max_size=3, unique=True))
    return spec | {name: draw(values(schema["properties"][name])) for name in names}


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of a schema's type; bounds are sometimes missed by one, cross-field rules are left to chance."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return st.integers(-1, 100) | st.from_regex(schema["pattern"], fullmatch=True, alphabet=_TEXT)
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return st.dictionaries(st.text(_TEXT, max_size=5), st.none() | st.booleans() | st.integers(0, 9), max_size=2)
    makers = {"string": _strings, "integer": _integers, "array": _lists, "object": _objects}
    return makers[schema["type"]](schema) if schema["type"] in makers else st.booleans()


def _strings(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True, alphabet=_TEXT)
    most = schema.get("maxLength", 40)
    return st.text(_TEXT, min_size=schema.get("minLength", 0), max_size=min(most, 40)) | st.just("x" * (most + 1))


def _integers(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    return st.integers(schema.get("minimum", -1) - 1, schema.get("maximum", _LARGE) + 1)


def _lists(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    return st.lists(values(schema["items"]), min_size=schema.get("minItems", 0), max_size=3)


def _objects(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "additionalProperties" in schema:
        return st.dictionaries(st.text(_TEXT, max_size=5), values(schema["additionalProperties"]), max_size=2)
    fields = {name: values(child) for name, child in schema["properties"].items()}
    required = {name: fields.pop(name) for name in schema.get("required", ())}
    return st.fixed_dictionaries(required, optional=fields)

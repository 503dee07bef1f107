"""Marks that a pydantic type cannot express by itself: list types for server-side apply and CEL rules.

They ride in the JSON schema and mean nothing to pydantic; each has its Python counterpart beside it, so that both sides
refuse the same things.
"""

from collections.abc import Iterable
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import AfterValidator, Field

Item = TypeVar("Item")


class Rule(NamedTuple):
    """One CEL rule and what the user reads when it does not hold."""

    rule: str
    message: str


def cel(*rules: Rule) -> dict[str, Any]:
    """`json_schema_extra` with validation rules, for a field or a model."""
    return {"x-kubernetes-validations": [rule._asdict() for rule in rules]}


def exactly_one(*fields: str) -> Rule:
    """Exactly one of these optional fields is set."""
    given = " + ".join(f"(has(self.{field}) ? 1 : 0)" for field in fields)
    return Rule(f"{given} == 1", f"give exactly one of {', '.join(fields)}")


def at_most_one(*fields: str) -> Rule:
    """No two of these optional fields are set."""
    given = " + ".join(f"(has(self.{field}) ? 1 : 0)" for field in fields)
    return Rule(f"{given} <= 1", f"give at most one of {', '.join(fields)}")


def immutable(field: str) -> Rule:
    """A field that never changes once the object exists; an optional one can be neither added nor removed."""
    return Rule(
        f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        f"{field} is immutable: create a new RelevanceModel",
    )


def short_name(most: int, why: str) -> Rule:
    """The resource's own name is one label of at most so many characters."""
    return Rule(
        f"size(self.metadata.name) <= {most} && !self.metadata.name.contains('.')",
        f"metadata.name may have {most} characters and no dot, {why}",
    )


def list_map(key: str, max_items: int, *rules: Rule, min_items: int = 0) -> tuple[Any, ...]:
    """Metadata of a list of objects that is a map by `key`: server-side apply merges items, duplicates are refused."""

    def unique(items: Iterable[Any]) -> Any:
        keys = [getattr(item, key) for item in items]
        if duplicates := {name for name in keys if keys.count(name) > 1}:
            raise ValueError(f"duplicate {key}: {', '.join(sorted(map(str, duplicates)))}")
        return items

    marks = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]} | (cel(*rules) if rules else {})
    return (_items(min_items, max_items, marks), AfterValidator(unique))


def list_set(max_items: int, *, min_items: int = 0) -> tuple[Any, ...]:
    """Metadata of a list of scalars in which none repeats."""

    def unique(items: Iterable[Any]) -> Any:
        found = list(items)
        if len(set(found)) != len(found):
            raise ValueError("an item repeats")
        return items

    return (_items(min_items, max_items, {"x-kubernetes-list-type": "set"}), AfterValidator(unique))


def atomic(max_items: int, *, min_items: int = 0) -> Any:
    """Metadata of a list that is replaced as a whole."""
    return _items(min_items, max_items, {"x-kubernetes-list-type": "atomic"})


def _items(least: int, most: int, marks: dict[str, Any]) -> Any:
    return Field(min_length=least or None, max_length=most, json_schema_extra=marks)


Unchecked = Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]
"""An object that the API server stores as it is."""

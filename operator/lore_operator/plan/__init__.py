"""Pure decisions, one module per kind: no I/O, no clock of their own, no state between calls."""

from lore_operator.plan.types import Apply, Delete, Event, Object, ObjectKey, Observed, Plan, Reference

__all__ = ["Apply", "Delete", "Event", "Object", "ObjectKey", "Observed", "Plan", "Reference"]

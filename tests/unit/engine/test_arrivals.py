"""What a first pass takes from kopf's watch instead of asking for it."""

from typing import Any

from lore_operator.engine.arrivals import Arrivals
from lore_operator.engine.keys import Key

DEMO = Key("RelevanceTrainJob", "team", "demo")


def resource(version: int = 1, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": "demo", "namespace": "team", "resourceVersion": str(version)}, **more}


def test_a_new_resource_is_given_out_once() -> None:
    arrivals = Arrivals()
    arrivals.came(DEMO, resource(), deleted=False)

    assert (arrivals.take(DEMO), arrivals.take(DEMO)) == (resource(), None)


def test_what_the_crd_defaults_is_no_status() -> None:
    arrivals = Arrivals()
    arrivals.came(DEMO, resource(status={"observedGeneration": -1}), deleted=False)

    assert arrivals.take(DEMO) is not None


def test_who_manages_its_fields_is_not_kept() -> None:
    arrivals, came = Arrivals(), resource()
    came["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    arrivals.came(DEMO, came, deleted=False)

    assert arrivals.take(DEMO) == resource()


def test_the_latest_is_given_out() -> None:
    arrivals = Arrivals()
    arrivals.came(DEMO, resource(1), deleted=False)
    arrivals.came(DEMO, resource(2), deleted=False)

    assert arrivals.take(DEMO) == resource(2)


def test_what_has_a_status_is_read_again() -> None:
    arrivals = Arrivals()
    arrivals.came(DEMO, resource(1), deleted=False)
    arrivals.came(DEMO, resource(2, status={"phase": "Working"}), deleted=False)

    assert arrivals.take(DEMO) is None


def test_what_was_deleted_is_not_given_out() -> None:
    arrivals = Arrivals()
    arrivals.came(DEMO, resource(), deleted=False)
    arrivals.came(DEMO, resource(), deleted=True)

    assert arrivals.take(DEMO) is None


def test_thousands_are_not_kept() -> None:
    arrivals = Arrivals()
    for number in range(5000):
        arrivals.came(DEMO._replace(name=f"demo-{number}"), resource(), deleted=False)

    assert sum(arrivals.take(DEMO._replace(name=f"demo-{number}")) is not None for number in range(5000)) == 1000

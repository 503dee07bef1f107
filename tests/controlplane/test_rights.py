"""The operator's rights, compared with what it asked for in every test of this layer: none is missing, none is too many.

It runs last (see conftest). The verdict on rights that nobody used needs the runs of the other modules.
"""

import pytest
import yaml
from cluster.audit import Right, asked, refused
from cluster.fixtures import REPOSITORY

from hack.cluster.controlplane import ControlPlane
from lore_operator.engine.resources import LEASES

EXERCISED_BY = {"test_operator_train", "test_operator_serving", "test_gitops"}
ACCOUNT = "system:serviceaccount:default:lore-operator"
_TAKEN = "reads what stands under a child's name that turns out to be taken; the tests take a ConfigMap's"
LEASE = {Right(LEASES.group, LEASES.plural, verb) for verb in LEASES.verbs}
"""Granted apart, in the release's own namespace."""
UNUSED = {
    Right("", "serviceaccounts", "get"): _TAKEN,
    Right("apps", "controllerrevisions", "get"): _TAKEN,
    Right("batch", "jobs", "get"): _TAKEN,
    Right("jobset.x-k8s.io", "jobsets", "get"): _TAKEN,
    Right("policy", "poddisruptionbudgets", "get"): _TAKEN,
    Right("rbac.authorization.k8s.io", "rolebindings", "get"): _TAKEN,
    Right("serving.kserve.io", "inferenceservices", "get"): _TAKEN,
    Right(
        "", "services", "delete"
    ): "the headless Service of a gang of several nodes, once runPolicy.ttlAfterFinished has passed",
}
"""Rights that no test of this layer makes use of, and why the operator has them all the same."""


def granted() -> set[Right]:
    rules = yaml.safe_load((REPOSITORY / "charts/lore/files/rules.yaml").read_text())["rules"]
    return {
        Right(group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.usefixtures("operator")
def test_the_operator_asks_for_nothing_that_it_may_not(control_plane: ControlPlane) -> None:
    assert refused(control_plane.audit_log, ACCOUNT) - LEASE == set()
    assert asked(control_plane.audit_log, ACCOUNT) - granted() - LEASE == set()


def test_the_operator_may_nothing_that_it_does_not_ask_for(
    control_plane: ControlPlane, request: pytest.FixtureRequest
) -> None:
    ran = {item.path.stem for item in request.session.items}
    if not ran >= EXERCISED_BY:
        pytest.skip("needs the runs of the whole layer: make controlplane")

    unused = granted() - asked(control_plane.audit_log, ACCOUNT)
    assert sorted(unused - UNUSED.keys()) == []

"""What a person reads where the cluster lacks something."""

import pytest

from lore_operator.engine.errors import from_status
from lore_operator.engine.remedies import ClusterTooOld, check_version

DENIED = (
    'jobs.batch is forbidden: User "system:serviceaccount:lore-system:lore" cannot create resource "jobs"'
    ' in API group "batch" in the namespace "team"'
)


@pytest.mark.parametrize("minor", ["29", "29+", "9", ""])
def test_a_cluster_too_old_is_told_and_what_is_needed(minor: str) -> None:
    with pytest.raises(ClusterTooOld, match=r"runs Kubernetes v1\.x; 1\.30 or newer is needed"):
        check_version({"major": "1", "minor": minor, "gitVersion": "v1.x"})


@pytest.mark.parametrize("minor", ["30", "30+", "37-gke.1"])
def test_a_supported_cluster_is_taken(minor: str) -> None:
    check_version({"major": "1", "minor": minor})


def test_a_refusal_by_rbac_ends_in_the_commands_that_grant_it() -> None:
    told = str(from_status("create", "/apis/batch/v1/jobs", 403, {"reason": "Forbidden", "message": DENIED}))

    assert DENIED in told
    assert "kubectl create role lore-create-jobs --verb=create --resource=jobs.batch -n team" in told
    assert "--role=lore-create-jobs --serviceaccount=lore-system:lore -n team" in told


def test_a_refusal_for_all_namespaces_needs_a_cluster_role() -> None:
    words = (
        'x is forbidden: User "me" cannot patch resource "relevanceevals/status"'
        ' in API group "lore-platform.io" at the cluster scope'
    )
    told = str(from_status("patch", "/x", 403, {"reason": "Forbidden", "message": words}))

    assert "create clusterrole lore-patch-relevanceevals-status --verb=patch" in told
    assert "--resource=relevanceevals.lore-platform.io/status && " in told
    assert told.count("--user=me") == 1


def test_a_refusal_by_a_quota_asks_for_no_rights() -> None:
    told = str(from_status("create", "/x", 403, {"reason": "Forbidden", "message": "exceeded quota: none"}))

    assert "kubectl" not in told


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("serving.kserve.io/v1beta1/namespaces/team/inferenceservices", "install KServe"),
        ("jobset.x-k8s.io/v1alpha2/namespaces/team/jobsets", "install JobSet 0.12, or leave spec.workload at Job"),
        ("gateway.networking.k8s.io/v1/namespaces/team/httproutes", "or leave out router.gateway"),
    ],
)
def test_a_missing_kind_names_what_to_install(kind: str, words: str) -> None:
    error = from_status("create", f"/apis/{kind}", 404, {"reason": "NotFound", "message": "not found"})

    assert error.condition_reason == "KindNotInstalled"
    assert words in str(error)

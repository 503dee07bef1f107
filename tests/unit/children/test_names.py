"""ADR 0007: names of children are deterministic and fit what Kubernetes allows, at the longest a resource may be called."""

import pytest

from lore_operator.api.v1alpha1 import deployment, evaluation, train_job
from lore_operator.children.names import Attempt, access_name, eval_base, head_base, train_base

LABEL = 63
DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        (train_base("demo", "sft"), "demo-sft-a1"),
        (eval_base("nightly"), "nightly-eval-a1"),
        (head_base("search", DIGEST), "search-head-01234567-a1"),
    ],
)
def test_names_of_attempts(base: str, expected: str) -> None:
    attempt = Attempt(base, 1)

    assert (attempt.job, attempt.config, attempt.report) == (expected, expected, f"{expected}-report")


@pytest.mark.parametrize(
    ("base", "pods"),
    [
        (train_base("j" * (train_job.MAX_NAMES - 3), "sft"), 512),
        (train_base("j", "s" * (train_job.MAX_NAMES - 1)), 512),
        (eval_base("e" * evaluation.MAX_NAME), 1),
        (head_base("d" * deployment.MAX_NAME, DIGEST), 1),
    ],
    ids=["train, long job", "train, long stage", "eval", "head"],
)
def test_the_longest_names_fit_a_host_name_and_a_label(base: str, pods: int) -> None:
    job = Attempt(base, 999 if pods == 1 else 99).job

    assert len(job) <= LABEL
    assert pods == 1 or len(f"{job}-{pods - 1}") <= LABEL


@pytest.mark.parametrize("kind", ["RelevanceTrainJob", "RelevanceEval", "RelevanceDeployment"])
def test_the_access_of_two_kinds_never_meets(kind: str) -> None:
    others = {"RelevanceTrainJob", "RelevanceEval", "RelevanceDeployment"} - {kind}

    assert access_name(kind, "same") not in {access_name(other, "same") for other in others}

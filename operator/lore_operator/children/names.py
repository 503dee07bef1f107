"""Names of children. All are deterministic, so that a second create of the same child meets the first one."""

from typing import NamedTuple


class Attempt(NamedTuple):
    """One attempt of some work; its objects carry the name `base-aN`."""

    base: str
    number: int

    @property
    def job(self) -> str:
        """The Job, its headless Service and its config ConfigMap."""
        return f"{self.base}-a{self.number}"

    @property
    def config(self) -> str:
        """The ConfigMap with `config.json`."""
        return self.job

    @property
    def report(self) -> str:
        """The ConfigMap that the pod reports into."""
        return f"{self.job}-report"


def train_base(job: str, stage: str) -> str:
    """Base of a training stage's attempts."""
    return f"{job}-{stage}"


def eval_base(evaluation: str) -> str:
    """Base of an evaluation's attempts."""
    return f"{evaluation}-eval"


def score_base(evaluation: str) -> str:
    """Base of the attempts that score an evaluation's shards."""
    return f"{evaluation}-score"


def head_base(deployment: str, input_key: str) -> str:
    """Base of a head build's attempts; `input_key` is `sha256:…` of everything that goes into the generation."""
    return f"{deployment}-head-{input_key.removeprefix('sha256:')[:8]}"


def strata_base(deployment: str) -> str:
    """Base of the attempts of a deployment's strata builds, which are numbered through."""
    return f"{deployment}-strata"


def access_name(kind: str, resource: str, purpose: str | None = None) -> str:
    """ServiceAccount, Role and RoleBinding of one resource's pods; those of a `purpose` beside the usual have their own."""
    suffix = {"RelevanceTrainJob": "train", "RelevanceEval": "eval", "RelevanceDeployment": "head"}[kind]
    return f"{resource}-{purpose or suffix}"

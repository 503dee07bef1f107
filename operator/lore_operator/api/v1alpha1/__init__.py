"""The four kinds of lore-platform.io/v1alpha1."""

from lore_operator.api.v1alpha1.deployment import RelevanceDeployment
from lore_operator.api.v1alpha1.evaluation import RelevanceEval
from lore_operator.api.v1alpha1.group import API_VERSION, CATEGORY, GROUP, VERSION
from lore_operator.api.v1alpha1.model import RelevanceModel
from lore_operator.api.v1alpha1.train_job import RelevanceTrainJob

__all__ = [
    "API_VERSION",
    "CATEGORY",
    "GROUP",
    "VERSION",
    "RelevanceDeployment",
    "RelevanceEval",
    "RelevanceModel",
    "RelevanceTrainJob",
]

"""Label scores: the vLLM client and server, the engine's arguments, and a transformers scorer for tests and tuning."""

from lore_core.scoring.client import ScoringError, VllmClient
from lore_core.scoring.engine import engine_args, engine_environment, gpu_present
from lore_core.scoring.reference import TransformersScorer
from lore_core.scoring.scores import LabelScore, LabelScores, calibrated, expected_grade
from lore_core.scoring.server import LocalServer, ServedModel, ServerError

__all__ = [
    "LabelScore",
    "LabelScores",
    "LocalServer",
    "ScoringError",
    "ServedModel",
    "ServerError",
    "TransformersScorer",
    "VllmClient",
    "calibrated",
    "engine_args",
    "engine_environment",
    "expected_grade",
    "gpu_present",
]

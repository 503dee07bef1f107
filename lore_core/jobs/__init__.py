"""The pod contract: the config that a workload pod reads and the report it writes.

The operator renders these models into a ConfigMap; the pod runs `lore VERB --config /etc/lore/config.json` and validates
them again. Light by design: the operator imports this package.
"""

from typing import Final

from lore_core.jobs.config import (
    AlignStage,
    Capability,
    DistillStage,
    HeadBuildConfig,
    JudgedEndpoint,
    PromptLanguage,
    RuleMode,
    ServedAt,
    ServingProfile,
    SftStage,
    SynthesizeConfig,
    SynthesizeStage,
    TrainConfig,
)
from lore_core.jobs.evaluation import (
    BenchmarkInput,
    Champion,
    EvaluateConfig,
    Gate,
    Generation,
    Signing,
    gate_set_digest,
)
from lore_core.jobs.goodrate import GoodRateConfig, Sampling
from lore_core.jobs.report import REPORT_KEY, Failure, Phase, Progress, Report, Result, shard_key
from lore_core.jobs.strata import SnapshotRecipe, StrataBuildConfig

CONFIG_PATH: Final = "/etc/lore/config.json"

__all__ = [
    "CONFIG_PATH",
    "REPORT_KEY",
    "AlignStage",
    "BenchmarkInput",
    "Capability",
    "Champion",
    "DistillStage",
    "EvaluateConfig",
    "Failure",
    "Gate",
    "Generation",
    "GoodRateConfig",
    "HeadBuildConfig",
    "JudgedEndpoint",
    "Phase",
    "Progress",
    "PromptLanguage",
    "Report",
    "Result",
    "RuleMode",
    "Sampling",
    "ServedAt",
    "ServingProfile",
    "SftStage",
    "Signing",
    "SnapshotRecipe",
    "StrataBuildConfig",
    "SynthesizeConfig",
    "SynthesizeStage",
    "TrainConfig",
    "gate_set_digest",
    "shard_key",
]

"""What a model must be to be aligned."""

from pathlib import Path

from lore_core.jobs.config import AlignMethod, AlignStage, RuleMode
from lore_core.jobs.errors import JobError
from lore_core.prompts import CONTRACT_NAME, ModelKit, PromptLayout


def align_kit(spec: AlignStage, base: Path, rules: Path | None) -> ModelKit:
    """The contract that the base was tuned for. Raises JobError where it has none, or not what method and rules fit to."""
    if not (base / CONTRACT_NAME).is_file():
        raise JobError(
            "BadBaseModel", "baseModel: has no serving contract; align a fine-tuned model", field="baseModel"
        )
    kit = ModelKit.load(base)
    if kit.contract.image_tokens is not None:
        raise JobError(
            "BadBaseModel",
            "baseModel: is shown pictures, which alignment does not show; align a model that reads their words",
            field="baseModel",
        )
    exact = spec.method is AlignMethod.EXPECTED_REWARD
    wanted = PromptLayout.LABEL_FIRST if exact else PromptLayout.THINK_FIRST
    if kit.contract.layout is not wanted:
        raise JobError(
            "BadConfig",
            f"spec.method: {spec.method} aligns models of layout {wanted}, this one is {kit.contract.layout}",
            field="spec.method",
        )
    if kit.contract.rule_mode is RuleMode.RETRIEVED and rules is None:
        raise JobError(
            "MissingRuleSet",
            "ruleSet: the model was tuned with rule mode Retrieved; name its rule set",
            field="ruleSet",
        )
    return kit

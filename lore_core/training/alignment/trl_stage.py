"""GRPO, DPO and KTO by TRL: its losses and generation, our prompts, rewards, checkpoints and guards.

TRL encodes text; our prompts hold control tokens that no text may spell. So prompts are given as token ids, and the two places
where TRL would encode are overridden.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lore_core.jobs.config import AlignMethod, AlignSettings, AlignStage, DeepSpeedConfig
from lore_core.jobs.errors import JobError
from lore_core.prompts import ModelKit
from lore_core.training.alignment.pool import Candidate
from lore_core.training.alignment.preferences import from_samples
from lore_core.training.alignment.presets import Preset
from lore_core.training.alignment.reward import RewardWeights, reward
from lore_core.training.alignment.sampling import answer_limit, end_ids, rollouts
from lore_core.training.together import Ranks

BETA: Final = 0.1
"""How tightly DPO and KTO are held to the start, as in both papers (arXiv 2305.18290, 2402.01306)."""
PARTS: Final = ("label", "format", "length", "citation")
Row = dict[str, Any]


def weights(settings: AlignSettings) -> RewardWeights:
    """The reward's weights as numbers."""
    given = settings.reward
    return RewardWeights(
        **{part: float(getattr(given, part)) for part in PARTS},
        length_from=given.length_from,
        length_to=given.length_to,
    )


def make_trainer(
    spec: AlignStage,
    zero: DeepSpeedConfig,
    kit: ModelKit,
    base: Path,
    model: Any,
    candidates: Sequence[Candidate],
    preset: Preset,
    ranks: Ranks,
    folder: Path,
    callbacks: Sequence[Any],
) -> Any:
    """TRL's trainer of the method. `model` was loaded from `base`, which is the frozen reference too."""
    from transformers import PreTrainedTokenizerFast

    model.generation_config.eos_token_id = end_ids(kit)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(str(base))
    shared = {"model": model, "processing_class": tokenizer, "callbacks": list(callbacks)}
    group = preset.settings()["num_generations"] if spec.method is AlignMethod.GRPO else 1
    arguments = _arguments(spec, zero, ranks, folder, group)
    if spec.method is AlignMethod.GRPO:
        return _grpo(spec, kit, candidates, preset, arguments, shared)
    if spec.method is AlignMethod.DPO:
        return _dpo(candidates, arguments, shared)
    return _kto(candidates, arguments, shared)


def _arguments(spec: AlignStage, zero: DeepSpeedConfig, ranks: Ranks, folder: Path, group: int) -> dict[str, Any]:
    """What transformers' Trainer is told, whatever the method; every value is explicit."""
    import torch

    optimizer, rows = spec.optimizer, spec.optimizer.batch_size * group
    if rows % ranks.world:
        raise JobError(
            "BadConfig",
            f"optimizer.batchSize: {optimizer.batch_size} prompts with {group} answers each cannot be shared by "
            f"{ranks.world} ranks; use a multiple",
            field="spec.optimizer.batchSize",
        )
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": rows // ranks.world,
        "gradient_accumulation_steps": 1,
        "max_steps": optimizer.max_steps,
        "learning_rate": float(optimizer.learning_rate),
        "lr_scheduler_type": "cosine",
        "warmup_steps": optimizer.warmup_steps,
        "weight_decay": float(optimizer.weight_decay),
        "adam_beta2": 0.98,
        "max_grad_norm": float(optimizer.gradient_clip),
        "seed": optimizer.seed,
        "data_seed": optimizer.seed,
        "save_strategy": "steps",
        "save_steps": optimizer.checkpoint_every,
        "logging_strategy": "steps",
        "logging_steps": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": False,
        "use_cpu": not torch.cuda.is_available(),
        "bf16": zero.dtype == "bfloat16",
        "deepspeed": _deepspeed(zero),
    }


def _deepspeed(zero: DeepSpeedConfig) -> dict[str, Any]:
    """As the stage loop has it; `auto` is what the Trainer was told."""
    given = dict.fromkeys(("lr", "betas", "eps", "weight_decay"), "auto")
    return {
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "zero_optimization": {"stage": zero.zero_stage},
        "bf16": {"enabled": "auto"},
        "optimizer": {"type": "AdamW", "params": {**given, "torch_adam": True, "fused": True}},
        "steps_per_print": 1_000_000_000,
    }


def _grpo(
    spec: AlignStage,
    kit: ModelKit,
    candidates: Sequence[Candidate],
    preset: Preset,
    arguments: Mapping[str, Any],
    shared: Mapping[str, Any],
) -> Any:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    class Trainer(GRPOTrainer):  # type: ignore[misc]
        """A prompt is the number of its candidate."""

        def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
            return [list(candidates[int(prompt)].prompt.token_ids) for prompt in prompts], None, {}

    used = [part for part in PARTS if float(getattr(spec.reward, part))]
    return Trainer(
        args=GRPOConfig(
            **{**preset.settings(), **arguments},
            max_completion_length=answer_limit(kit),
            reward_weights=[float(getattr(spec.reward, part)) for part in used],
        ),
        train_dataset=Dataset.from_list([{"prompt": str(row)} for row in range(len(candidates))]),
        reward_funcs=[reward_part(part, kit, candidates, weights(spec)) for part in used],
        **shared,
    )


def reward_part(
    part: str, kit: ModelKit, candidates: Sequence[Candidate], bounds: RewardWeights
) -> Callable[..., list[float]]:
    """One part of the reward as TRL calls it; its name is what TRL logs it under."""

    def score(prompts: list[str], completion_ids: list[list[int]], **_others: Any) -> list[float]:
        found = [candidates[int(prompt)] for prompt in prompts]
        return [
            getattr(reward(rollout, one.pair.groundtruth, one.shown, bounds), part)
            for one, rollout in zip(found, rollouts(kit, [tuple(ids) for ids in completion_ids]), strict=True)
        ]

    score.__name__ = part
    return score


def _dpo(candidates: Sequence[Candidate], arguments: Mapping[str, Any], shared: Mapping[str, Any]) -> Any:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    class Trainer(DPOTrainer):  # type: ignore[misc]
        """Rows are token ids already."""

        def _prepare_dataset(self, dataset: Any, *_others: Any) -> Any:
            return dataset

    return Trainer(
        args=DPOConfig(**arguments, beta=BETA, max_length=None, disable_dropout=True, loss_type=["sigmoid"]),
        train_dataset=Dataset.from_list(preferred(candidates)),
        **shared,
    )


def preferred(candidates: Sequence[Candidate]) -> list[Row]:
    """pass@N pairs: the best right answer over the furthest wrong one of every candidate."""
    return [
        {
            "prompt_ids": list(one.prompt.token_ids),
            "chosen_ids": list(one.answers[pair.chosen]),
            "rejected_ids": list(one.answers[pair.rejected]),
        }
        for one in candidates
        for pair in from_samples(one.rollouts, one.pair.groundtruth)
    ]


def _kto(candidates: Sequence[Candidate], arguments: Mapping[str, Any], shared: Mapping[str, Any]) -> Any:
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer

    class Trainer(KTOTrainer):  # type: ignore[misc]
        """Rows are token ids already."""

        def _prepare_dataset(self, dataset: Any, *_others: Any) -> Any:
            return dataset

    rows = judged(candidates)
    good = sum(row["label"] for row in rows)
    return Trainer(
        args=KTOConfig(
            **arguments,
            beta=BETA,
            max_length=None,
            disable_dropout=True,
            loss_type="kto",
            desirable_weight=1.0,
            undesirable_weight=good / max(1, len(rows) - good),
        ),
        train_dataset=Dataset.from_list(rows),
        **shared,
    )


def judged(candidates: Sequence[Candidate]) -> list[Row]:
    """Every sampled answer, good where its label is right; its mismatched partner is the answer of the row before it."""
    rows = [
        {
            "prompt_ids": list(one.prompt.token_ids),
            "completion_ids": list(answer),
            "label": answered.label is one.pair.groundtruth,
        }
        for one in candidates
        for answer, answered in zip(one.answers, one.rollouts, strict=True)
    ]
    partners = [rows[-1], *rows[:-1]]
    return [
        {**row, "KL_completion_ids": partner["completion_ids"]} for row, partner in zip(rows, partners, strict=True)
    ]

"""From think-first to label-first: the reasoning before the label is dropped bit by bit, from its beginning.

A model that reasons first has its label from the words it wrote. Asked for the label at once it is at chance, and training on
labels alone seldom leaves that. So it is trained on what is left of the reasoning, less from stage to stage, until the label
stands alone (Deng et al., From Explicit CoT to Implicit CoT, arXiv 2405.14838).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from lore_core.jobs.config import SftSettings
from lore_core.prompts import ModelKit, PromptLayout, RenderedPrompt, build_contract
from lore_core.records import Pair
from lore_core.training.examples import IGNORED, Example, answer_ids, causal_example
from lore_core.training.schedule import Order, Phase

STAGES: Final = 16
"""Parts in which the reasoning is dropped; stage `STAGES` has none of it left."""


class HandOver(Order):
    """The batches of a hand-over. Example numbers say the stage too: `stage * pairs + row`."""

    def __init__(self, phases: Sequence[Phase], settings: SftSettings, pairs: int) -> None:
        """Over the share `settings.hand_over` of the steps the stages follow each other; then comes the last one."""
        super().__init__(phases, settings.optimizer, together=settings.share_prefix)
        self._pairs, self._steps = pairs, settings.optimizer.max_steps * float(settings.hand_over)

    def batch(self, step: int) -> list[int]:
        """Example numbers of one optimizer step over all ranks."""
        stage = min(STAGES, int(step * STAGES / self._steps))
        return [stage * self._pairs + row for row in super().batch(step)]


def reasoned(kit: ModelKit) -> Callable[[RenderedPrompt, Pair], Example]:
    """Builds a label-first prompt's example with the whole reasoning, its end and the label behind it."""
    contract = kit.contract
    most = contract.truncation.max_prompt_tokens
    thinking = build_contract(kit.encoder, PromptLayout.THINK_FIRST, contract.rule_mode, most)
    think = ModelKit(thinking.model_copy(update={"verbaliser": contract.verbaliser}), kit.encoder)
    prefix = len(contract.verbaliser.prefix_ids)

    def build(prompt: RenderedPrompt, pair: Pair) -> Example:
        ids = prompt.token_ids[: len(prompt.token_ids) - prefix]
        return causal_example(prompt._replace(token_ids=ids), answer_ids(think, pair))

    return build


def shortened(example: Example, stage: int, prefix: int) -> Example:
    """What is left at a stage of an example made by `reasoned`; `prefix` tokens are forced before the label.

    Where no reasoning is left, its end goes too, and nothing but the label is trained.
    """
    answer = [target for target in example.targets if target != IGNORED]
    prompt = example.token_ids[: len(example.token_ids) - len(answer)]
    reasoning, label = answer[: -prefix - 1], answer[-prefix - 1 :]
    left = reasoning[-(-len(reasoning) * stage // STAGES) :]
    if left:
        return causal_example(RenderedPrompt(prompt, truncated=False, picture=example.picture), [*left, *label])
    targets = (*([IGNORED] * (len(prompt) + prefix)), label[-1])
    return replace(example, token_ids=(*prompt, *label), targets=targets)

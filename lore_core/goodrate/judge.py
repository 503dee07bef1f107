"""A judge over an OpenAI-compatible endpoint: every item of the sample under one versioned rubric, each answer paid once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lore_core.artifacts import ArtifactRef
from lore_core.evaluation.hosted import Chat, chat, check_answered, crowd
from lore_core.goodrate.rows import Drawn, Rating
from lore_core.headcache import Features, QueryItem
from lore_core.jobs import JudgedEndpoint
from lore_core.prompts.chat import CHAT_PROMPT_DIGEST, chat_messages, read_chat
from lore_core.prompts.fields import NO_RULES
from lore_core.records.item import Item
from lore_core.synthesis.limits import Clock

RUBRIC: Final = CHAT_PROMPT_DIGEST
"""Names the rubric's version in each of the judge's ratings."""
MOST_TOKENS: Final = 1056


@dataclass(frozen=True)
class Shown:
    """One item as it was shown for a request, with what a prompt shows of it."""

    request: str
    item_id: str
    asked: QueryItem


def shown(drawn: Sequence[Drawn], items: Mapping[str, Item]) -> list[Shown]:
    """Everything to be judged. Raises ValueError naming an item whose text is not at hand."""
    if missing := next((item for row in drawn for item in row.items if item not in items), None):
        raise ValueError(f"item {missing!r} was shown and has no text; give the items of the day that was served")
    return [
        Shown(row.request, item, QueryItem.of(row.query, row.market, Features.of(items[item])))
        for row in drawn
        for item in row.items
    ]


async def judge(
    endpoint: JudgedEndpoint,
    wanted: Sequence[Shown],
    requests: ArtifactRef,
    progress: Callable[[int], None] = lambda _: None,
    clock: Clock | None = None,
) -> tuple[list[Rating], int]:
    """Its ratings, and how many answers could not be read or were refused: those have none. Raises JobError.

    `progress` is told of each answer.
    """
    async with chat(endpoint, requests, MOST_TOKENS, clock) as asked:
        said = await crowd(_Judge(asked), endpoint.concurrency, wanted, progress)
    check_answered(endpoint, sum(one is None for one in said), len(said))
    ratings = [
        Rating.model_validate(
            {
                "request": one.request,
                "item": one.item_id,
                "rater": f"judge:{endpoint.answering_model}",
                "label": label,
                "guideline": RUBRIC,
            }
        )
        for one, label in zip(wanted, said, strict=True)
        if label
    ]
    return ratings, len(wanted) - len(ratings)


class _Judge:
    def __init__(self, asked: Chat) -> None:
        self._chat = asked

    async def __call__(self, one: Shown) -> str | None:
        """A label; "" for an answer without one, None for a refused request."""
        reply = await self._chat.ask(chat_messages(one.asked, NO_RULES))
        return None if reply is None else read_chat(reply.text, cut=reply.cut).label or ""

"""One query's answer: composition, tiers in order, deadlines, and the declared neutral answer at the end.

Nothing here raises because a predictor is slow or wrong: that is what the next tier is for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from lore_core.headcache.generation import Lookup, head_query_hash
from lore_core.headcache.items import Features, QueryItem, content_hash, item_hash, text_hash
from lore_core.router.config import Stratum, TierPolicy
from lore_core.router.decision import Chain, Choice, choose
from lore_core.router.heads import Pairs, Store
from lore_core.router.loaded import Graded, KnownItem, LoadedComposition, Neutral, Serving
from lore_core.router.predictor import Effort
from lore_core.router.requests import Asked, AskedItem
from lore_core.strata.normaliser import query_key

NEUTRAL: Final = "neutral"
CACHE: Final = "cache"
PREDICTOR: Final = "predictor"
UNKNOWN: Final = "unknown"
_NO_ITEM: Final = Features("")
Shown = KnownItem | Features | str | None
"""What a prompt can show of an asked item: one of the snapshot, features, a bare title, or nothing."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """A tier that did not answer: which, why (the class of what went wrong), and in which words."""

    tier: Stratum
    reason: str
    message: str = ""


class Answer(msgspec.Struct):
    """n items answered by one composition. Per item: label, probabilities of L1 L2 L3 L4, grade, tier and source.

    `tier` is the one that answered the query: a stratum's name, or `neutral` where none did. `stale` counts items whose
    content changed since the head generation was made. `weight_stratum` is the query's stratum in the stable composition's
    snapshot, which live traffic is counted by. `efforts` is what each predictor that was asked had to do.
    """

    revision: str
    stratum: Stratum
    weight_stratum: Stratum
    tier: str
    labels: list[str]
    probabilities: list[Sequence[float]]
    grades: list[float]
    tiers: list[str]
    sources: list[str]
    hits: int = 0
    stale: int = 0
    looked_up: int = 0
    fallbacks: list[Fallback] = []
    efforts: dict[Stratum, Effort] = {}


class Question(msgspec.Struct, frozen=True):
    """A question that memory could not answer alone: what is left for a head store and for predictors.

    `pairs` are those to look up in the composition's store, of the rows `open`; None where nothing is. `whole` says that
    one miss there sends all rows on.
    """

    answer: Answer
    loaded: LoadedComposition
    chain: Chain
    asked: Asked
    items: list[Shown]
    open: list[int]
    pairs: Pairs | None
    whole: bool

    def records(self, rows: list[int]) -> list[QueryItem]:
        """What predictors are asked about some rows."""
        query, market = self.asked.query, self.asked.market
        shown = [self.items[row] for row in rows]
        return [_record(query, market, item) for item in shown if item is not None]


def begin(serving: Serving, asked: Asked, bucket: str = "") -> Answer | Question:
    """The answer where the head generation has it; else the question that `finish` takes further."""
    key = query_key(asked.query)

    def stratum_of(revision: str) -> Stratum:
        return serving.compositions[revision].strata.stratum_of_key(key)

    if serving.alone is not None:
        return _begun(serving, serving.alone[stratum_of(serving.config.stable)], key, asked)
    return _begun(serving, choose(serving.config, key, stratum_of, bucket), key, asked)


def begin_on(serving: Serving, revision: str, asked: Asked) -> Answer | Question:
    """As `begin`, on a composition that is given, whatever its weight."""
    loaded, key = serving.compositions[revision], query_key(asked.query)
    stratum = loaded.strata.stratum_of_key(key)
    return _begun(serving, Choice(loaded.composition, stratum, stratum), key, asked)


def _begun(serving: Serving, choice: Choice, key: str, asked: Asked) -> Answer | Question:
    loaded = serving.compositions[choice.composition.revision]
    tiers = loaded.chains[choice.stratum]
    items = [_resolved(item, loaded) for item in asked.items]
    answer = _neutral(choice, serving.neutral, items)
    known = rows = [row for row, item in enumerate(items) if item is not None]
    whole = serving.config.tier_policy is TierPolicy.PER_QUERY
    pairs = _pairs(head_query_hash(key, asked.market), asked.items, items, known) if tiers.cached and known else None
    if pairs is not None and loaded.head is not None:
        rows = _take_hits(answer, loaded, known, pairs.found_in(loaded.head))
        if not rows:
            answer.tier = "head"
            return answer
        rows, pairs = known if whole else rows, None
    return Question(answer, loaded, tiers, asked, items, rows, pairs, whole) if rows else answer


async def finish(question: Question) -> Answer:
    """Ask the store, then predictors in order until one answers. What none answers keeps its head score or is neutral."""
    answer, rows = question.answer, question.open
    if question.pairs is not None and question.loaded.store is not None:
        missed = await _from_store(question, question.pairs, question.loaded.store)
        if not missed:
            answer.tier = "head"
            return answer
        rows = rows if question.whole else missed
    records = question.records(rows)
    for stratum in question.chain.predictors:
        effort = answer.efforts[stratum] = Effort()
        try:
            scores = await question.loaded.predictors[stratum].score(records, effort)
        except Exception as error:  # whatever a predictor does, the caller gets an answer
            answer.fallbacks.append(_fallback(stratum, error))
            continue
        _put(answer, rows, question.loaded.graders[stratum].graded(scores), stratum, PREDICTOR)
        answer.tier = stratum
        return answer
    return answer


async def _from_store(question: Question, pairs: Pairs, store: Store) -> list[int]:
    """Fill in what the store has; returns the rows it lacks: all of them where it does not answer."""
    try:
        found = await store.lookup(pairs)
    except Exception as error:  # a store that is down makes misses, never errors
        question.answer.fallbacks.append(_fallback("head", error))
        return question.open
    return _take_hits(question.answer, question.loaded, question.open, found)


def _fallback(tier: Stratum, error: Exception) -> Fallback:
    return Fallback(tier, type(error).__name__, " ".join(str(error).split())[:300])


def _resolved(asked: AskedItem, loaded: LoadedComposition) -> Shown:
    """What a prompt can show of an item: the snapshot's features, with what the caller gives put over them.

    A picture counts only where a model of the composition is shown pictures: head scores stay valid where none is.
    """
    known = loaded.items.get(asked.id) if asked.id is not None else None
    image = asked.image if asked.image is not None and loaded.pictures else ""
    if not image and asked.attributes is None and asked.shop_name is None and asked.vqa_result is None:
        if known is not None and (asked.title is None or asked.title == known.item.title):
            return known
        if known is None:
            return asked.title if asked.title and not asked.title.isspace() else None
    base = known.item if known is not None else _NO_ITEM
    item = Features(
        asked.title if asked.title is not None else base.title,
        asked.shop_name if asked.shop_name is not None else base.shop_name,
        asked.attributes if asked.attributes is not None else base.cpv_sku,
        asked.vqa_result if asked.vqa_result is not None else base.vqa_result,
        image,
    )
    return item if item.shows_something else None


def _record(query: str, market: str, shown: KnownItem | Features | str) -> QueryItem:
    if isinstance(shown, str):
        return QueryItem(query, market, shown)
    return QueryItem.of(query, market, shown.item if isinstance(shown, KnownItem) else shown)


def _identity(shown: Shown, id_: str | None) -> int | None:
    if isinstance(shown, KnownItem):
        return shown.identity
    return item_hash(id_) if id_ is not None else None


def _content(shown: KnownItem | Features | str) -> int:
    if isinstance(shown, str):
        return text_hash(shown)
    return shown.content if isinstance(shown, KnownItem) else content_hash(shown)


def _neutral(choice: Choice, neutral: Neutral, items: Sequence[Shown]) -> Answer:
    """The answer before anybody was asked."""
    n = len(items)
    return Answer(
        revision=choice.composition.revision,
        stratum=choice.stratum,
        weight_stratum=choice.weight_stratum,
        tier=NEUTRAL,
        labels=[neutral.label] * n,
        probabilities=[neutral.probabilities] * n,
        grades=[neutral.grade] * n,
        tiers=[NEUTRAL] * n,
        sources=[NEUTRAL if item is not None else UNKNOWN for item in items],
    )


def _pairs(query: int, asked: Sequence[AskedItem], items: Sequence[Shown], known: list[int]) -> Pairs | None:
    """What to look up; None where ids are given for some documents only: nothing says which are the same, so all are scored."""
    content = [_content(item) for item in items if item is not None]
    identities = [_identity(items[row], asked[row].id) for row in known]
    named = [identity for identity in identities if identity is not None]
    if len(named) == len(identities):
        return Pairs.of(query, content, named)
    return None if named else Pairs.of(query, content, None)


def _take_hits(answer: Answer, loaded: LoadedComposition, known: list[int], found: Lookup) -> list[int]:
    answer.looked_up, answer.stale = len(known), int(found.stale.sum())
    answer.hits = int(found.hit.sum())
    if answer.hits == len(known):
        hits, probabilities = known, found.probabilities
    else:
        hits = [index for index, hit in zip(known, found.hit.tolist(), strict=True) if hit]
        probabilities = found.probabilities[found.hit]
    if hits:
        _put(answer, hits, loaded.graders["head"].graded_all(probabilities.astype(np.float64)), "head", CACHE)
    return [index for index, hit in zip(known, found.hit.tolist(), strict=True) if not hit]


def _put(answer: Answer, rows: list[int], graded: Graded, tier: str, source: str) -> None:
    """What a tier says of some rows, in their order."""
    if (n := len(rows)) == len(answer.labels):
        answer.labels, answer.probabilities, answer.grades = graded
        answer.tiers, answer.sources = [tier] * n, [source] * n
        return
    for row, label, probabilities, grade in zip(rows, *graded, strict=True):
        answer.labels[row], answer.probabilities[row], answer.grades[row] = label, probabilities, grade
        answer.tiers[row], answer.sources[row] = tier, source

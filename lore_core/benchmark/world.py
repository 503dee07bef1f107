"""Blocks as records: the subsets, how many blocks each split has of them, and the pairs they give."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lore_core.benchmark.blocks import Block, Plan, draw_block
from lore_core.benchmark.picture import picture
from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.things import Demand, Offer, gold, judge
from lore_core.benchmark.vocabulary import CENTRAL, MARKETS
from lore_core.benchmark.wording import attributes, caption, query_text, title
from lore_core.records.pair import Needs, Pair
from lore_core.rules.retrieve import retrieve

SPLITS: Final = ("train", "tune", "calibration", "gate")
SUBSETS: Final = ("general", "hard", "visual", "rules")
PLANS: Final = {
    "general": (Plan("general", decisive=1, common=2, knowledge_percent=25),),
    "hard": (Plan("hard", decisive=2, common=1, knowledge_percent=60),),
    "visual": (Plan("visual", decisive=1, common=2, knowledge_percent=30, pictured=True),),
    "rules": (
        Plan("rules", decisive=2, common=0, knowledge_percent=25, markets=MARKETS),
        Plan("rules-picture", decisive=2, common=0, knowledge_percent=40, pictured=True, markets=MARKETS),
    ),
}


@dataclass(frozen=True)
class Scale:
    """Blocks a split has of every subset. A block gives 6 queries and 24 pairs (rules: 48, two markets)."""

    train: int
    tune: int
    calibration: int
    gate: int

    def blocks(self, split: str) -> int:
        """Blocks a subset."""
        return int(getattr(self, split))


SCALES: Final = {
    "demo": Scale(train=320, tune=10, calibration=10, gate=25),
    "full": Scale(train=1_000, tune=25, calibration=25, gate=126),
}


@dataclass(frozen=True)
class World:
    """One drawing of the world."""

    seed: int
    scale: Scale

    def blocks(self, split: str, subset: str) -> Iterator[tuple[Plan, Block]]:
        """The blocks of a subset; where a subset has several plans they take turns, two in three for the first."""
        plans = PLANS[subset]
        for number in range(self.scale.blocks(split)):
            plan = plans[1] if len(plans) > 1 and number % 3 == 2 else plans[0]
            yield plan, draw_block(plan, split, self.seed, number)

    def pairs(self, split: str, subset: str) -> Iterator[Pair]:
        """The annotated pairs of a subset, query by query."""
        for plan, block in self.blocks(split, subset):
            for market in plan.markets:
                for demand, offer in block.edges:
                    yield _pair(subset, plan, block, demand, offer, market)

    def offers(self, split: str) -> Iterator[Offer]:
        """Every item of a split, once; the subsets take turns, so that any beginning has something of each."""
        for blocks in zip(*(self.blocks(split, subset) for subset in SUBSETS), strict=True):
            for _, block in blocks:
                yield from block.offers


def _pair(subset: str, plan: Plan, block: Block, demand_at: int, offer_at: int, market: str) -> Pair:
    demand, offer = block.demands[demand_at], block.offers[offer_at]
    trace = judge(demand, offer, market)
    label = gold(demand, offer, market)
    flips = plan.ruled and len({gold(demand, offer, other) for other in plan.markets}) > 1
    place = f"{offer.item_id.rsplit('-', 1)[0]}-q{demand_at}-i{offer_at}"
    return Pair(
        id=place if market == CENTRAL else f"{place}-{market}",
        query=query_text(demand),
        title=title(offer),
        item_id=offer.item_id,
        shop_name=offer.shop,
        cpv_sku=attributes(offer),
        vqa_result=caption(offer),
        image_base64=picture(offer),
        rule_list=_rule_list(demand, market),
        subset=subset,
        groundtruth=label,
        market=market,
        industry="prints" if plan.pictured else "goods",
        needs=Needs(knowledge=bool(demand.aliased), image=plan.pictured, rule=flips),
        trace=trace,
        flip_group=place if flips else None,
    )


def _rule_list(demand: Demand, market: str) -> str:
    if market == CENTRAL:
        return ""
    return "\n".join(retrieve(rulebook(), query_text(demand), market).query_lines)

from collections import Counter, defaultdict
from itertools import product

import pytest

from lore_core.benchmark.blocks import BUCKETS, bucket
from lore_core.benchmark.corpus import catalogue, facts, reasoning, rule_facts
from lore_core.benchmark.lexicon import vocabulary
from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.vocabulary import (
    ALIASES,
    DIMENSION_OF,
    DIMENSIONS,
    HELD_OUT_TEMPLATES,
    KIND,
    MEANING,
    novel,
)
from lore_core.benchmark.wording import query_text
from lore_core.benchmark.world import SCALES, SPLITS, SUBSETS, World
from lore_core.records import LABELS, Needs, Pair, Verdict
from lore_core.records.leakage import overlaps
from lore_core.rules import retrieve

Drawn = dict[str, dict[str, list[Pair]]]
FITTED = ("train", "tune", "calibration")


def item_words(pair: Pair) -> list[str]:
    attributes = [f"{name} {value}" for name, value in pair.cpv_sku.items()]
    return " ".join([pair.title, pair.shop_name, *attributes, pair.vqa_result]).split()


def quadruples(pairs: list[Pair]) -> list[list[Pair]]:
    """A query within one block and market: the id without its item."""
    found: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for pair in pairs:
        found[pair.id.rsplit("-i", 1)[0], pair.market].append(pair)
    return list(found.values())


def everything(drawn: Drawn) -> list[Pair]:
    return [pair for found in drawn.values() for pairs in found.values() for pair in pairs]


@pytest.mark.parametrize("subset", SUBSETS)
def test_every_query_has_one_item_of_each_label(gate: dict[str, list[Pair]], subset: str) -> None:
    for four in quadruples(gate[subset]):
        assert len({pair.query for pair in four}) == 1
        assert sorted(pair.groundtruth for pair in four) == list(LABELS)


@pytest.mark.parametrize("subset", SUBSETS)
def test_every_item_recurs_under_other_queries_with_each_label(gate: dict[str, list[Pair]], subset: str) -> None:
    by_item: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for pair in gate[subset]:
        by_item[pair.item_id, pair.market].append(pair)
    for four in by_item.values():
        assert sorted(pair.groundtruth for pair in four) == list(LABELS)
        assert len({pair.id.split("-i")[0] for pair in four}) == 4


@pytest.mark.parametrize("subset", SUBSETS)
def test_the_items_of_a_query_share_the_same_words_with_it_and_are_equally_long(
    gate: dict[str, list[Pair]], subset: str
) -> None:
    for four in quadruples(gate[subset]):
        shared = {tuple(sorted(word for word in item_words(pair) if word in pair.query.split())) for pair in four}
        assert len(shared) == 1
        assert len({len(item_words(pair)) for pair in four}) == 1


def test_visual_items_of_a_query_differ_in_their_pictures_alone(gate: dict[str, list[Pair]]) -> None:
    for four in quadruples(gate["visual"]):
        assert len({(pair.title, pair.shop_name, tuple(pair.cpv_sku.items())) for pair in four}) == 1
        assert len({pair.image_base64 for pair in four}) == 4
        assert all(pair.needs.image for pair in four)


def test_flip_pairs_are_the_same_pair_under_two_markets_with_different_binary_gold(gate: dict[str, list[Pair]]) -> None:
    groups: dict[str, list[Pair]] = defaultdict(list)
    for pair in gate["rules"]:
        if pair.flip_group:
            groups[pair.flip_group].append(pair)
    assert len(groups) >= 300
    for one, two in groups.values():
        assert (one.query, one.item_id, one.cpv_sku, one.vqa_result) == (
            two.query,
            two.item_id,
            two.cpv_sku,
            two.vqa_result,
        )
        assert one.market != two.market
        assert one.groundtruth.relevant != two.groundtruth.relevant
        assert one.needs.rule
        assert two.needs.rule


def test_a_rule_that_a_trace_cites_is_retrieved_by_query_and_market(drawn: Drawn) -> None:
    cited = 0
    for pair in drawn["gate"]["rules"]:
        shown = {rule.id for rule in retrieve(rulebook(), pair.query, pair.market).by_query}
        needed = {step.rule for step in pair.trace if step.rule}
        cited += len(needed)
        assert needed <= shown
    assert cited


@pytest.mark.parametrize("split", SPLITS)
def test_all_eight_capability_cells_are_populated(drawn: Drawn, split: str) -> None:
    cells = {Needs(knowledge=k, image=i, rule=r).cell for k, i, r in product((False, True), repeat=3)}
    found = Counter(pair.needs.cell for pairs in drawn[split].values() for pair in pairs)
    assert set(found) == cells


def test_splits_share_no_query_and_no_item(drawn: Drawn) -> None:
    for overlap in overlaps({split: [p for ps in found.values() for p in ps] for split, found in drawn.items()}):
        assert overlap.queries == 0
        assert overlap.items == 0


def test_gate_combinations_and_templates_are_held_out(drawn: Drawn) -> None:
    for split, found in drawn.items():
        for pair in (p for pairs in found.values() for p in pairs):
            terms = [MEANING.get(word, word) for word in pair.query.split()]
            kind = next(term for term in terms if DIMENSION_OF.get(term) == KIND)
            values = {DIMENSION_OF[term]: term for term in terms if DIMENSION_OF.get(term, KIND) != KIND}
            assert bucket(kind, values) in BUCKETS[split]
            assert (_template(pair.query) in HELD_OUT_TEMPLATES) == (split == "gate")


def _template(query: str) -> str:
    said = [MEANING.get(word, word) for word in query.split()]
    marked = ["k" if DIMENSION_OF.get(word) == KIND else "v" if word in DIMENSION_OF else word for word in said]
    return " ".join(word for place, word in enumerate(marked) if place == 0 or (word, marked[place - 1]) != ("v", "v"))


def test_every_single_word_of_the_gate_occurs_in_training_except_novel_aliases(drawn: Drawn) -> None:
    def said(split: str) -> set[str]:
        return {w for ps in drawn[split].values() for p in ps for w in (*p.query.split(), *item_words(p))}

    unseen = said("gate") - said("train")
    assert unseen
    assert all(novel(MEANING[word]) for word in unseen)
    trained = {value for dimension in DIMENSIONS for value in dimension.values}
    assert trained <= said("train")


def test_aliases_of_the_gate_never_stand_in_a_pair_that_models_are_fitted_on(drawn: Drawn) -> None:
    fitted = {word for split in FITTED for ps in drawn[split].values() for p in ps for word in p.query.split()}
    held = {word for ps in drawn["gate"].values() for p in ps for word in p.query.split()} & MEANING.keys()
    assert held
    assert not held & fitted


def test_the_vocabulary_is_small_and_complete(drawn: Drawn, world: World) -> None:
    known = set(vocabulary())
    assert len(known) <= 400
    texts = [*facts(), *rule_facts(), *catalogue(world.offers("tune")), *reasoning(world, 60)]
    used = {word for text in texts for word in text.split()}
    for pair in everything(drawn):
        used |= {*pair.query.split(), *item_words(pair), *pair.rule_list.split()}
        used |= {word for step in pair.trace for word in (step.dimension, step.demand, step.evidence, step.verdict)}
    assert used <= known


def test_prompts_stay_within_96_words_and_traces_are_short(drawn: Drawn) -> None:
    for pair in everything(drawn):
        separators = len(pair.cpv_sku) + len(pair.rule_list.splitlines())
        assert len(item_words(pair)) + len(pair.query.split()) + len(pair.rule_list.split()) + separators + 8 <= 96
        assert len(pair.trace) <= 5
        assert all(len(f"{s.dimension} {s.demand} {s.evidence} {s.rule} {s.verdict}".split()) <= 5 for s in pair.trace)


def test_evidence_of_a_trace_stands_in_the_record(gate: dict[str, list[Pair]]) -> None:
    for pairs in gate.values():
        for pair in pairs:
            assert all(step.evidence in item_words(pair) for step in pair.trace)


def test_the_corpus_tells_what_every_alias_means_and_no_label(world: World) -> None:
    lines = [*facts(), *rule_facts(), *catalogue(world.offers("train")), *reasoning(world, 600)]
    assert {f"{alias} means {term}" for term, alias in ALIASES.items()} <= set(lines)
    assert not {label.value.lower() for label in LABELS} & {word.lower() for line in lines for word in line.split()}


def test_the_catalogue_of_the_corpus_gives_no_verdicts(world: World) -> None:
    verdicts = {verdict.value for verdict in Verdict}
    assert not verdicts & {word for line in catalogue(world.offers("train")) for word in line.split()}


@pytest.mark.parametrize("subset", SUBSETS)
def test_a_full_gate_has_300_queries_and_3000_pairs_a_subset(subset: str) -> None:
    drawn = list(World(3, SCALES["full"]).blocks("gate", subset))
    assert sum(len(block.edges) * len(plan.markets) for plan, block in drawn) >= 3_000
    assert len({query_text(demand) for _, block in drawn for demand in block.demands}) >= 300

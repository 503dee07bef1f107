"""What can be had without reading who has which value: nothing. Each probe is fitted on train and scored on the gate."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from rank_bm25 import BM25Okapi
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.world import SUBSETS
from lore_core.records import Pair
from lore_core.rules import retrieve

Features = dict[str, float]
LIMIT = {"general": 0.60, "rules": 0.60, "hard": 0.55, "visual": 0.55}


def words(pair: Pair) -> list[str]:
    attributes = [f"{name} {value}" for name, value in pair.cpv_sku.items()]
    return " ".join([pair.title, pair.shop_name, *attributes, pair.vqa_result]).split()


def counted(prefix: str, found: Sequence[str]) -> Features:
    features: Features = {}
    for word in found:
        features[prefix + word] = features.get(prefix + word, 0.0) + 1.0
    return features


def query_only(pair: Pair) -> Features:
    query = pair.query.split()
    bigrams = [f"{one}_{two}" for one, two in pairwise(query)]
    rules = [word for rule in retrieve(rulebook(), pair.query, pair.market).by_query for word in rule.line.split()]
    market = [f"{pair.market}_{word}" for word in query]
    return counted("q:", [*query, *bigrams, *rules, *market])


def item_only(pair: Pair) -> Features:
    return counted("i:", words(pair))


def item_by_role(pair: Pair) -> Features:
    """Main and companion told apart, with their neighbours: bigrams mark the role."""
    found = words(pair)
    pairs = [f"{one}_{two}" for one, two in pairwise(found)]
    relations = [f"{name}:{value}" for name, value in pair.cpv_sku.items()]
    return counted("i:", [*found, *pairs, *relations])


def bag_of_words(pair: Pair) -> Features:
    return query_only(pair) | item_only(pair)


def bag_by_role(pair: Pair) -> Features:
    return query_only(pair) | item_by_role(pair)


def overlap(pair: Pair) -> Features:
    asked = set(pair.query.split())
    fields = {"title": pair.title, "attributes": " ".join(pair.cpv_sku.values()), "picture": pair.vqa_result}
    shared = {name: float(len(asked & set(text.split()))) for name, text in fields.items()}
    item = words(pair)
    return shared | {
        "all": float(len(asked & set(item))),
        "counted": float(sum(word in asked for word in item)),
        "share": len(asked & set(item)) / len(asked),
        "length": float(len(item)),
    }


def accuracy_at_2(
    make: Callable[[], LogisticRegression | DecisionTreeClassifier],
    features: Callable[[Pair], Features],
    train: Sequence[Pair],
    test: Sequence[Pair],
) -> float:
    table = DictVectorizer()
    fitted = make().fit(table.fit_transform(map(features, train)), [p.groundtruth.relevant for p in train])
    found = fitted.predict(table.transform(map(features, test)))
    return float(np.mean(found == np.array([p.groundtruth.relevant for p in test])))


def logistic() -> LogisticRegression:
    return LogisticRegression(max_iter=300, C=0.3)


def tree() -> DecisionTreeClassifier:
    return DecisionTreeClassifier(max_depth=8, random_state=1)


PROBES = {
    "query": (logistic, query_only),
    "item": (logistic, item_only),
    "item, deep": (tree, item_only),
    "item by role": (logistic, item_by_role),
    "overlap": (tree, overlap),
    "bag of words": (logistic, bag_of_words),
    "bag of words by role": (logistic, bag_by_role),
}


@pytest.mark.parametrize("subset", SUBSETS)
@pytest.mark.parametrize("probe", PROBES)
def test_no_shortcut_passes(drawn: dict[str, dict[str, list[Pair]]], probe: str, subset: str) -> None:
    make, features = PROBES[probe]
    found = accuracy_at_2(make, features, drawn["train"][subset], drawn["gate"][subset])
    assert found <= LIMIT[subset]


def main_part_overlap(pair: Pair) -> Features:
    asked = set(pair.query.split())
    main = f"{pair.title.split(' with ')[0]} {pair.vqa_result.split(' beside ')[0]}".split()
    own = [value.split(" with ")[0] for value in pair.cpv_sku.values()]
    return {"kind": float(len(asked & set(main))), "values": float(len(asked & set(own))), "asked": float(len(asked))}


def test_a_probe_that_reads_roles_does_find_something(drawn: dict[str, dict[str, list[Pair]]]) -> None:
    plain = {split: [p for p in drawn[split]["general"] if p.needs.cell == "plain"] for split in ("train", "gate")}
    assert accuracy_at_2(tree, main_part_overlap, plain["train"], plain["gate"]) > 0.70


@pytest.mark.parametrize("subset", SUBSETS)
def test_bm25_does_not_pass(drawn: dict[str, dict[str, list[Pair]]], subset: str) -> None:
    scores: dict[str, list[float]] = {}
    for split in ("train", "gate"):
        pairs = drawn[split][subset]
        corpus = {pair.item_id: words(pair) for pair in pairs}
        index, place = BM25Okapi(list(corpus.values())), {item: n for n, item in enumerate(corpus)}
        found = {query: index.get_scores(query.split()) for query in {pair.query for pair in pairs}}
        scores[split] = [float(found[pair.query][place[pair.item_id]]) for pair in pairs]
    gold = {split: [pair.groundtruth.relevant for pair in drawn[split][subset]] for split in scores}
    stump = DecisionTreeClassifier(max_depth=3, random_state=1)
    stump.fit(np.array(scores["train"])[:, None], gold["train"])
    found_at_2 = float(np.mean(stump.predict(np.array(scores["gate"])[:, None]) == np.array(gold["gate"])))
    assert found_at_2 <= LIMIT[subset]

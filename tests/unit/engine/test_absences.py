"""When an object that was looked for is taken to be absent, and when not."""

from lore_operator.engine.absences import Absences
from lore_operator.engine.keys import Key
from lore_operator.engine.parents import Parents
from lore_operator.plan.types import Reference

LLM = ("team", Reference("RelevanceModel", "llm"))
MODEL = Key("RelevanceModel", "team", "llm")
TRAINING = Key("RelevanceTrainJob", "team", "demo")


def absent() -> Absences:
    absences = Absences()
    absences.ask(LLM)
    absences.missing(LLM)
    return absences


def test_what_was_not_found_is_absent() -> None:
    assert LLM in absent()


def test_what_was_never_looked_for_is_not() -> None:
    assert LLM not in Absences()


def test_news_end_an_absence() -> None:
    absences = absent()
    absences.heard_of(LLM)

    assert LLM not in absences


def test_an_answer_that_news_have_overtaken_says_nothing() -> None:
    absences = Absences()
    absences.ask(LLM)
    absences.heard_of(LLM)
    absences.missing(LLM)

    assert LLM not in absences


def test_a_change_that_kopf_tells_is_news() -> None:
    parents = Parents(lambda key: None)
    parents.absences.ask(LLM)
    parents.absences.missing(LLM)
    parents.changed(MODEL, "5")

    assert LLM not in parents.absences


def test_what_nobody_looks_at_any_more_is_forgotten() -> None:
    parents = Parents(lambda key: None)
    parents.looks_at(TRAINING, [LLM[1]])
    parents.absences.ask(LLM)
    parents.absences.missing(LLM)
    parents.gone(TRAINING)

    assert LLM not in parents.absences

"""Which words speak of which rules and categories."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

_WORD: Final = re.compile(r"\w+")
_SCALE: Final = 1_000_000_007


def words(text: str) -> tuple[str, ...]:
    """Words of a text, casefolded, in order."""
    return tuple(_WORD.findall(text.casefold()))


class RuleIndex:
    """Looks up rules by word. `terms` are the words of each rule, by place; `kinds` the words of each category."""

    def __init__(self, terms: Sequence[Iterable[str]], kinds: Mapping[str, Iterable[str]]) -> None:
        self._rules: dict[str, list[int]] = {}
        self._kinds: dict[str, list[str]] = {}
        for place, found in enumerate(terms):
            for term in dict.fromkeys(term.casefold() for term in found):
                self._rules.setdefault(term, []).append(place)
        for kind, found in kinds.items():
            for term in dict.fromkeys(term.casefold() for term in found):
                self._kinds.setdefault(term, []).append(kind)

    def kinds_in(self, found: Iterable[str]) -> frozenset[str]:
        """Categories that some of the words name."""
        return frozenset(kind for word in found for kind in self._kinds.get(word, ()))

    def weights(self, asked: Iterable[str]) -> Counter[int]:
        """What the words say for each rule, by the rule's place: a word is worth more the fewer rules have it.

        Whole numbers, so that equal rules tie exactly and the order of the words does not matter. Words that many rules have
        ("buy", "online") then cannot push out the rule that a rare one names, however many of them it lacks.
        """
        found: Counter[int] = Counter()
        for word in asked:
            places = self._rules.get(word, [])
            for place in places:
                found[place] += _SCALE // len(places)
        return found

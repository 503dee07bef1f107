"""The word-level tokenizer of the small base model: one id a word of the corpus, control tokens beside them."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

from lore_core.prompts.templates import CONTROL_TOKENS

PAD: Final = "<pad>"
UNKNOWN: Final = "<unk>"
END: Final = "<eos>"
# What the `Whitespace` pre-tokenizer splits into; the vocabulary must be counted with the same pieces.
_PIECE: Final = re.compile(r"\w+|[^\w\s]+")


def vocabulary(lines: Iterable[str]) -> list[str]:
    """Distinct lower-case words of the corpus, most frequent first, ties in alphabetical order."""
    counts = Counter(piece for line in lines for piece in _PIECE.findall(line.lower()))
    return sorted(counts, key=lambda word: (-counts[word], word))


def build_tokenizer(words: Iterable[str]) -> bytes:
    """The bytes of a `tokenizer.json` whose model knows these words and the control tokens of the prompt template."""
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.normalizers import NFKC, Lowercase, Sequence
    from tokenizers.pre_tokenizers import Whitespace

    controls = (PAD, UNKNOWN, END, *CONTROL_TOKENS)
    ids = {token: index for index, token in enumerate(controls)}
    for word in words:
        ids.setdefault(word, len(ids))
    tokenizer = Tokenizer(WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.normalizer = Sequence([NFKC(), Lowercase()])
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in controls])
    return bytes(tokenizer.to_str(pretty=True).encode())

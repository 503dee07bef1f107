"""Text to token ids, such that no text can ever become a control token.

Titles and queries are hostile: `<L4>`, `</think>`, `[SEP]` or a chat tag in them must stay words. The encoder therefore works
on a copy of the tokenizer that knows no added tokens and no post-processor; control tokens are looked up by name only.
"""

import json
import os
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from lore_core.artifacts.manifest import sha256_digest

TOKENIZER_NAME: Final = "tokenizer.json"
# Texts are encoded one at a time: handing one to a thread takes ten times as long as encoding it.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


class TextEncoder:
    """Encodes plain text and names control tokens, from the bytes of a `tokenizer.json`."""

    def __init__(self, data: bytes) -> None:
        """Raises ValueError where `data` is not a tokenizer."""
        from tokenizers import Tokenizer

        document: dict[str, Any] = json.loads(data)
        self._full = Tokenizer.from_str(json.dumps(document))
        self._full.no_truncation()
        self._full.no_padding()
        plain = document | {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
        self._plain = Tokenizer.from_str(json.dumps(plain))
        self._unknown = document["model"].get("unk_token")
        self._controls = {token["content"]: int(token["id"]) for token in document.get("added_tokens", [])}
        self._names = {id_: name for name, id_ in self._controls.items()}
        self.digest = sha256_digest(data)

    @classmethod
    def load(cls, folder: Path) -> "TextEncoder":
        """From a model folder's `tokenizer.json`."""
        return cls((folder / TOKENIZER_NAME).read_bytes())

    @cached_property
    def control_ids(self) -> frozenset[int]:
        """Ids that plain text never gets; the unknown token is a word like others."""
        return frozenset(id_ for name, id_ in self._controls.items() if name != self._unknown)

    @cached_property
    def _named(self) -> re.Pattern[str]:
        names = sorted((name for name in self._controls if len(name) > 1), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, names)) or r"(?!)")

    @property
    def size(self) -> int:
        """Number of token ids, control tokens included."""
        return int(self._full.get_vocab_size(with_added_tokens=True))

    def control(self, name: str) -> int:
        """Id of a control token. Raises KeyError naming it."""
        if name not in self._controls:
            raise KeyError(
                f"the tokenizer has no control token {name!r}; add it to the tokenizer or change the template"
            )
        return self._controls[name]

    def has_control(self, name: str) -> bool:
        """Whether the tokenizer has a control token of that name."""
        return name in self._controls

    def name(self, control: int) -> str:
        """The name of a control token."""
        return str(self._names[control])

    def defused(self, text: str) -> str:
        """The text with a space inside each name of a control token, so that a server that tokenizes it reads plain words."""
        return self._named.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)

    def encode(self, text: str) -> list[int]:
        """Ids of plain text, control tokens excluded whatever the text says."""
        controls = self.control_ids
        # A batch of one: the only way to ids without offsets, which nobody needs and which take longer than the ids.
        (found,) = self._plain.encode_batch_fast([text], add_special_tokens=False)
        return [id_ for id_ in found.ids if id_ not in controls]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, control tokens shown by name."""
        return str(self._full.decode(list(ids), skip_special_tokens=False))

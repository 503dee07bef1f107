"""The request log: every answer that was paid for, by the content of its request. A resumed stage asks none of them again."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lore_core.artifacts import ArtifactRef, NotFound, open_store
from lore_core.artifacts.manifest import canonical_json


class Reply(BaseModel):
    """An answer and what it cost; `estimated` where the server did not say, `cut` where it ran out of tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    estimated: bool = False
    cut: bool = False

    @property
    def tokens(self) -> int:
        """Both together."""
        return self.prompt_tokens + self.completion_tokens


_SUFFIX: Final = ".json"


class RequestLog:
    """One file a request on any store that artifacts can lie on, written whole before the answer is used."""

    def __init__(self, where: ArtifactRef) -> None:
        self._store = open_store(where)

    def get(self, key: str) -> Reply | None:
        """The answer, or None where there is none that can be read."""
        try:
            return Reply.model_validate_json(self._store.read_bytes(_name(key)))
        except (NotFound, ValidationError):
            return None

    def put(self, key: str, reply: Reply) -> None:
        """Keep an answer."""
        self._store.write_bytes(_name(key), canonical_json(reply.model_dump()))


def _name(key: str) -> str:
    return f"{key[:2]}/{key}{_SUFFIX}"

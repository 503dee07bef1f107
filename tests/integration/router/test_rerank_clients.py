"""Cohere's own Python client against the router: what speaks the rerank shape needs nothing but the address."""

from pathlib import Path
from typing import Any

import pytest
from integration.router.world import QUERIES, RunningRouter, World, by_length

from lore_core.router.auth import BearerTokens

try:
    import cohere
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError("cohere, of requirements/dev.txt, is not installed: make venv") from missing


async def rerank(router: RunningRouter, query: str, documents: list[str], key: str = "any", **more: Any) -> Any:
    async with cohere.AsyncClientV2(api_key=key, base_url=f"http://127.0.0.1:{router.port}") as client:
        return await client.rerank(model="lore", query=query, documents=documents, **more)


async def test_documents_come_back_by_relevance_with_their_index(ready: RunningRouter, world: World) -> None:
    world.torso.behave = by_length
    documents = ["red", "red shirt cotton", "red shirt"]

    found = await rerank(ready, QUERIES["torso"], documents, top_n=2)

    assert [one.index for one in found.results] == [1, 2]
    assert 1 >= found.results[0].relevance_score > found.results[1].relevance_score >= 0


async def test_what_the_router_refuses_is_the_clients_bad_request_with_the_field(ready: RunningRouter) -> None:
    with pytest.raises(cohere.BadRequestError) as caught:
        await rerank(ready, " ", ["red"])

    assert caught.value.body["error"]["field"] == "query"


async def test_the_clients_api_key_is_the_routers_bearer_token(ready: RunningRouter, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("secret\n")
    ready.app._tokens = BearerTokens(file)

    with pytest.raises(cohere.UnauthorizedError):
        await rerank(ready, QUERIES["head"], ["blue shirt"])
    found = await rerank(ready, QUERIES["head"], ["blue shirt"], "secret")

    assert [one.index for one in found.results] == [0]

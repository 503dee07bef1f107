"""Router and loader as the pods run them: two processes, one folder, one file."""

import contextlib
import os
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from integration.router.certificates import write_pair
from integration.router.world import QUERIES, TAIL_SCORES, TORSO_SCORES, Backend, Warehouse, World

LORE = [sys.executable, "-m", "lore_core", "router"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Artifacts; the predictors are not asked here."""
    nobody = "http://127.0.0.1:1"
    return World(Warehouse(tmp_path / "warehouse"), Backend(TORSO_SCORES, url=nobody), Backend(TAIL_SCORES, url=nobody))


@pytest.fixture
def folder(tmp_path: Path) -> list[str]:
    return ["--config", str(tmp_path / "router.json"), "--data", str(tmp_path / "data")]


@contextlib.contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*LORE, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    found = re.search(r":(\d+)$", process.stdout.readline().strip())
    assert found is not None
    return f"http://127.0.0.1:{found.group(1)}"


def ready(client: httpx.Client) -> None:
    while client.get("/readyz").status_code != 200:
        pass


def test_the_router_serves_what_the_loader_fetched_and_stops_without_dropping_a_request(
    world: World, folder: list[str], tmp_path: Path
) -> None:
    (tmp_path / "router.json").write_text(world.config().model_dump_json(by_alias=True))
    question = {"query": QUERIES["head"], "items": [{"id": "i1"}]}
    serve = ["serve", *folder, "--host", "127.0.0.1", "--port", "0", "--drain-seconds", "0.3"]
    with started("load", *folder) as loader, started(*serve) as router:
        with httpx.Client(base_url=address(router), timeout=30, trust_env=False) as client:
            ready(client)
            assert client.post("/v1/relevance", json=question).json()["tier"] == "head"
            router.send_signal(signal.SIGTERM)
            while client.get("/readyz").status_code == 200:
                pass
            # withdrawn from its endpoints, still answering those who have not heard, and sending them elsewhere
            last = client.post("/v1/relevance", json=question)
            assert (last.status_code, last.headers["connection"]) == (200, "close")
        assert router.wait(30) == 0
        loader.send_signal(signal.SIGTERM)
        assert loader.wait(30) == 0


def test_with_a_certificate_questions_are_answered_over_tls_alone(
    world: World, folder: list[str], tmp_path: Path
) -> None:
    (tmp_path / "router.json").write_text(world.config().model_dump_json(by_alias=True))
    write_pair(tmp_path / "tls")
    question = {"query": QUERIES["head"], "items": [{"id": "i1"}]}
    serve = ["serve", *folder, "--host", "127.0.0.1", "--port", "0", "--tls-port", "0"]
    with (
        started("load", *folder),
        started(*serve, "--tls-folder", str(tmp_path / "tls")) as router,
        httpx.Client(base_url=address(router), timeout=30, trust_env=False) as client,
    ):
        secure = address(router).replace("http:", "https:")
        ready(client)
        assert client.post("/v1/relevance", json=question).status_code == 404
        trusted = ssl.create_default_context(cafile=str(tmp_path / "tls" / "tls.crt"))
        with httpx.Client(base_url=secure, timeout=30, verify=trusted, trust_env=False) as caller:
            assert caller.post("/v1/relevance", json=question).json()["tier"] == "head"


def test_a_router_killed_and_started_again_serves_from_the_same_folder(
    world: World, folder: list[str], tmp_path: Path
) -> None:
    (tmp_path / "router.json").write_text(world.config().model_dump_json(by_alias=True))
    serve = ["serve", *folder, "--host", "127.0.0.1", "--port", "0"]
    with started("load", *folder):
        for _ in range(2):
            with (
                started(*serve) as router,
                httpx.Client(base_url=address(router), timeout=30, trust_env=False) as client,
            ):
                ready(client)
                assert client.get("/state").json()["active"] == ["r1"]
                router.kill()


def test_a_file_that_changes_is_taken_up(world: World, folder: list[str], tmp_path: Path) -> None:
    file = tmp_path / "router.json"
    file.write_text(world.config().model_dump_json(by_alias=True))
    serve = ["serve", *folder, "--host", "127.0.0.1", "--port", "0"]
    with (
        started("load", *folder),
        started(*serve) as router,
        httpx.Client(base_url=address(router), timeout=30, trust_env=False) as client,
    ):
        ready(client)
        changed = world.config(world.composition("r2"), stable="r2")
        file.write_text(changed.model_dump_json(by_alias=True))
        while client.get("/state").json()["configHash"] != changed.content_digest():
            pass
        assert client.get("/state").json()["loaded"] == ["r2"]

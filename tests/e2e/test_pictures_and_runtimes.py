"""Pictures decide labels in vLLM behind KServe, and a runtime of KServe's serves what nobody compared with a digest."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest
from e2e.pictured import ELSEWHERE, KNOWN, NAME, RUNTIME, SERVED, Pictured, World
from e2e.platform import CLAIM, Platform, conditions, holds
from integration.scoring.seeing import picture

from hack.demo import ask
from lore_core.headcache import Features

pytestmark = pytest.mark.timeout(1800)  # the first test waits for two servers to start

TOLERANCE = 1e-4
SHIRT = KNOWN["known"]
RED, GREEN = picture("red", "red"), picture("green", "green")


@pytest.fixture(scope="module")
def pictured(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pictured]:
    world = World(tmp_path_factory.mktemp("pictured"))
    with platform.filled_namespace("pictured", world.folders) as namespace:
        platform.kubectl.apply(*world.objects(namespace, platform.references["server"]))
        platform.await_condition(namespace, "RelevanceDeployment", NAME, "Ready")
        with (
            ask.forwarded(platform.kubectl, namespace, f"{NAME}-router") as url,
            httpx.Client(base_url=url, timeout=200, trust_env=False) as client,
        ):
            yield Pictured(platform, namespace, world, client)


def item(name: str, picture: str | None = None, **more: str) -> dict[str, Any]:
    return {"id": name, **more, **({"image": f"data:image/png;base64,{picture}"} if picture else {})}


def shown(picture: str) -> Features:
    return replace(SHIRT, image_base64=picture)


def scores(answer: dict[str, Any]) -> npt.NDArray[np.float64]:
    return np.array([one["probabilities"] for one in answer["items"]])


def labels(answer: dict[str, Any]) -> list[str]:
    return [one["label"] for one in answer["items"]]


def test_swapping_the_pictures_of_two_equal_items_swaps_their_labels(pictured: Pictured) -> None:
    answers = [
        pictured.ask("tail", item("known", left), item("new", right, title=SHIRT.title))
        for left, right in ((RED, GREEN), (GREEN, RED))
    ]

    assert [labels(answer) for answer in answers] == [["L4", "L3"], ["L3", "L4"]]
    told = {(one["tier"], one["source"]) for answer in answers for one in answer["items"]}
    assert told == {("tail", "predictor")}
    expected = pictured.own(SERVED, "tail", shown(RED), shown(GREEN))
    assert np.abs(scores(answers[0]) - expected).max() < TOLERANCE
    assert np.abs(scores(answers[1]) - expected[::-1]).max() < TOLERANCE


def test_an_item_named_by_its_id_alone_is_judged_by_the_words_of_the_snapshot(pictured: Pictured) -> None:
    answer = pictured.ask("tail", item("known"))

    assert (answer["tier"], answer["items"][0]["source"]) == ("tail", "predictor")
    assert np.abs(scores(answer) - pictured.own(SERVED, "tail", SHIRT)).max() < TOLERANCE


def test_an_address_is_refused_by_name_of_its_field(pictured: Pictured) -> None:
    answer = pictured.post("tail", item("known") | {"image": "http://169.254.169.254/shirt.png"})

    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "items[0].image")


def test_a_torn_picture_is_answered_neutrally_counted_and_rests_no_tier(pictured: Pictured) -> None:
    torn = pictured.ask("tail", item("known", RED[: len(RED) // 8 * 4]))
    after = pictured.ask("tail", item("known", RED))

    assert (torn["tier"], torn["items"][0]["source"]) == ("neutral", "neutral")
    assert after["tier"] == "tail"
    counted = pictured.client.get("/metrics").text
    for tier in ("tail", "torso"):
        labels = f'{{reason="PictureRefused",stratum="tail",tier="{tier}"}}'
        assert f"lore_router_fallbacks_total{labels} 1.0" in counted.splitlines()


def test_a_runtime_of_kserves_answers_by_what_lies_at_its_storage_uri(pictured: Pictured) -> None:
    answer = pictured.ask("torso", item("known", RED), item("new", GREEN, title=SHIRT.title))

    assert {(one["tier"], one["source"]) for one in answer["items"]} == {("torso", "predictor")}
    pictures = shown(RED), shown(GREEN)
    assert np.abs(scores(answer) - pictured.own(ELSEWHERE, "torso", *pictures)).max() < TOLERANCE
    assert np.abs(scores(answer) - pictured.own(SERVED, "torso", *pictures)).max() > 100 * TOLERANCE


def test_the_deployment_is_ready_and_says_which_tier_nobody_verified(pictured: Pictured) -> None:
    deployment = pictured.get("rdep", NAME)

    assert holds(deployment, "Ready")
    assert holds(deployment, "Unverified")
    message = conditions(deployment)["Unverified"]["message"]
    assert f"tier torso: model seeing is loaded by KServe's runtime {RUNTIME}" in message
    assert f"pvc://{CLAIM}/{ELSEWHERE}" in message
    assert "tier tail" not in message


def test_kserve_mounts_a_claim_itself_and_needs_no_image_of_its_own(pictured: Pictured) -> None:
    pods = pictured.get("pods", "--selector=serving.kserve.io/inferenceservice")["items"]
    (of_runtime,) = (pod["spec"] for pod in pods if "initContainers" not in pod["spec"])
    (server,) = of_runtime["containers"]

    (mount,) = (one for one in server["volumeMounts"] if one["mountPath"] == "/mnt/models")
    assert (mount["subPath"], mount["readOnly"]) == (ELSEWHERE, True)
    assert server["image"] == pictured.platform.references["server"]

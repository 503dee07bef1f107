"""The scoring benchmark asks what it says it asks, in turns, and misses aims aloud."""

import os

import pytest

from benchmarks.scoring import __main__ as program
from benchmarks.scoring import arms, world
from benchmarks.scoring.arms import Arm, Turn
from lore_core.evaluation.answers import AnswerRow
from lore_core.jobs import RuleMode
from lore_core.prompts import ModelKit, PromptLayout, RenderedPrompt, TextEncoder, build_contract
from lore_core.scoring.server import ServedModel
from lore_core.training.tokenizer import build_tokenizer

METRICS = """\
# HELP vllm:prefix_cache_queries_total Prefix cache queries
vllm:prefix_cache_queries_total{engine="0",model_name="model"} 920.0
vllm:prefix_cache_hits_total{engine="0",model_name="model"} 640.0
vllm:cache_config_info{block_size="128",engine="0",num_gpu_blocks="288",num_gpu_blocks_override="288"} 1.0
"""


@pytest.fixture
def encoder() -> TextEncoder:
    return TextEncoder(build_tokenizer([f"word{number}" for number in range(50)]))


def beginning(one: RenderedPrompt, other: RenderedPrompt) -> int:
    pairs = zip(one.token_ids, other.token_ids, strict=True)
    return next(place for place, (a, b) in enumerate(pairs) if a != b)


def test_pairs_of_a_query_begin_alike_and_no_other_two_do(encoder: TextEncoder) -> None:
    asked, later = world.long_prompts(encoder, 2, seed=1), world.long_prompts(encoder, 2, seed=2)
    assert len(asked.pairs) == 2 * world.ITEMS
    assert {len(prompt.token_ids) for prompt in asked.prompts} == {world.SHARED + world.OWN}
    assert world.SHARED <= beginning(asked.prompts[0], asked.prompts[1]) < world.SHARED + world.OWN
    assert beginning(asked.prompts[0], asked.prompts[world.ITEMS]) < world.SHARED / 10
    assert beginning(asked.prompts[0], later.prompts[0]) < world.SHARED / 10
    shuffled = asked.shuffled(3)
    assert shuffled.prompts != asked.prompts
    assert sorted(zip((p.id for p in shuffled.pairs), shuffled.prompts, strict=True)) == sorted(
        zip((p.id for p in asked.pairs), asked.prompts, strict=True)
    )


def test_at_once_closes_the_reasoning_before_it_says_anything(encoder: TextEncoder) -> None:
    kit = ModelKit(build_contract(encoder, PromptLayout.THINK_FIRST, RuleMode.NONE, 32), encoder)
    asked = world.Asked(world.long_prompts(encoder, 1, 1).pairs[:1], (RenderedPrompt((3, 4), truncated=False),))
    assert world.at_once(kit, asked).prompts[0].token_ids == (3, 4, encoder.control("</think>"))
    assert world.label_kit(kit).contract.layout is PromptLayout.LABEL_FIRST


async def test_arms_take_turns_and_no_turn_asks_what_another_asked(
    encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []

    def arm(name: str, offset: int) -> Arm:
        async def ask(asked: world.Asked) -> list[AnswerRow]:
            seen.append((name, len(asked.pairs)))
            return [AnswerRow.of(pair) for pair in asked.pairs]

        return Arm(name, lambda turn: world.long_prompts(encoder, 5, 2 * turn + offset), ask)

    async def counters(_url: str) -> tuple[float, float]:
        return 100.0 * len(seen), 10.0 * len(seen)

    monkeypatch.setattr(arms, "cache_counters", counters)
    both = [arm("a", 0), arm("b", 1)]
    await arms.take_turns(both, 2, ServedModel("http://unused", "model", os.getpid()))
    assert seen == [("a", 32), ("b", 32), *[("a", 40), ("b", 40)] * 2]
    assert [one.hit_rate for one in both] == [pytest.approx(0.1)] * 2
    assert both[0].document()["promptTokens"] == world.SHARED + world.OWN
    assert set(both[0].cpu) == {"client", "http", "engine"}


def test_what_the_server_counts_is_read() -> None:
    assert arms.counter(METRICS, "vllm:prefix_cache_hits_total") == 640
    assert arms.cache_tokens(METRICS) == 36_864
    with pytest.raises(RuntimeError, match="no metric vllm:gone"):
        arms.counter(METRICS, "vllm:gone")


def test_an_aim_that_is_missed_fails_a_full_run_alone(capsys: pytest.CaptureFixture[str]) -> None:
    rivals = [timed("slow rival", 5, rival=True), timed("rival", 10, rival=True), timed("by the way", 90)]
    found = program.Found({name: [timed("ours", 40), *rivals] for name in program.AIMS}, {}, 1)
    assert program.verdict(found, judged=True) == 1
    assert "missed: (a)" in capsys.readouterr().out
    assert program.verdict(found, judged=False) == 0
    found.arms["a"][0].turns[0] = turn(600)
    assert program.verdict(found, judged=True) == 0


def test_the_length_at_which_an_aim_is_reached_lies_between_two_measured_ones() -> None:
    def lengths(*ratios: float) -> dict[int, list[Arm]]:
        rates = zip((16, 32, 64), ratios, strict=True)
        return {tokens: [timed("ours", 100 * one), timed("rival", 100, rival=True)] for tokens, one in rates}

    assert program.reached(lengths(2, 4, 8), 5.0) == "from about 40 tokens on"
    assert program.reached(lengths(6, 7, 8), 5.0) == "at 16 tokens already"
    assert program.reached(lengths(2, 3, 4), 5.0) == "not with 64 tokens"


def turn(pairs: float) -> Turn:
    return Turn(int(pairs), 1.0, 0, 0, {"client": 0.0, "http": 0.0, "engine": 0.0})


def timed(name: str, rate: float, *, rival: bool = False) -> Arm:
    async def nothing(_asked: world.Asked) -> list[AnswerRow]:
        return []

    def unasked(_turn: int) -> world.Asked:
        raise AssertionError("nothing is asked")

    return Arm(name, unasked, nothing, rival, [turn(rate)])

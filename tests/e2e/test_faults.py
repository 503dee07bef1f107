"""Answers while predictors, compositions and routers fail, on the node: the short form of `python -m benchmarks.faults.node`."""

from e2e.platform import Platform

from benchmarks.faults.node.__main__ import SHORT, run


async def test_no_answer_is_lost_or_mixed_and_every_fallback_is_counted(platform: Platform) -> None:
    image = platform.references["router"]

    failures = await run(platform.target, image, int(SHORT["requests"]), SHORT["rate"], short=True)

    assert failures == []

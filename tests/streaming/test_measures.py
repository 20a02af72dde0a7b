"""What is measured is so, without a clock that would have to be quick."""

from __future__ import annotations

import asyncio
import time

import pytest

from server.streaming.measures import LAG_INTERVAL, Histogram, LoopLag


@pytest.mark.anyio
async def test_a_loop_that_was_blocked_is_noticed_and_told_once() -> None:
    lag = LoopLag()
    watching = asyncio.create_task(lag.watch())
    await asyncio.sleep(0)
    time.sleep(2.5 * LAG_INTERVAL)  # noqa: ASYNC251
    await asyncio.sleep(0.001)
    watching.cancel()
    assert lag.take() > LAG_INTERVAL
    assert lag.take() == 0


def test_a_histogram_counts_values_by_the_first_bound_that_they_do_not_pass() -> None:
    sizes = Histogram((1, 2, 5))
    for value in (0, 1, 2, 3, 5, 6, 100):
        sizes.add(value)
    assert (sizes.counts, sizes.sum) == ([2, 1, 2, 2], 117)

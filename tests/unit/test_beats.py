"""One look for all who wait: nobody is woken for nothing, and no waking is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

from core.beats import Beats
from core.ports import Sized
from core.sandboxes.host import HostSandbox

QUICK = 0.002


class Well:
    """What somebody fills and somebody else empties, both when they like."""

    def __init__(self) -> None:
        self.poured = self.drawn = self.woken = 0

    def more(self) -> bool:
        return self.poured > self.drawn


async def draw(beats: Beats, well: Well, wanted: int, step: Callable[[], int]) -> None:
    """Takes a part of what is there each time that it is woken, until it has had all."""
    stirred = asyncio.Event()
    try:
        while well.drawn < wanted:
            beats.stir(stirred, well.more, QUICK)
            await stirred.wait()
            stirred.clear()
            well.woken += 1
            assert well.more(), "woken for nothing"
            well.drawn += min(step(), well.poured - well.drawn)
            await asyncio.sleep(0)
    finally:
        beats.leave(stirred)


async def test_whatever_comes_whenever_it_comes_is_taken() -> None:
    beats, chance = Beats(), random.Random(4)
    wells = [Well() for _ in range(20)]

    async def pour(well: Well) -> None:
        for _ in range(30):
            await asyncio.sleep(chance.choice((0, 0, QUICK / 3, QUICK)))
            well.poured += 1

    async with asyncio.timeout(30):
        await asyncio.gather(
            *(draw(beats, well, 30, lambda: chance.randint(1, 3)) for well in wells),
            *(pour(well) for well in wells))
    assert [well.drawn for well in wells] == [30] * 20


async def test_the_silent_sleep_while_others_are_woken() -> None:
    beats, silent, busy = Beats(), Well(), Well()
    busy.poured = 10
    sleeping = asyncio.create_task(draw(beats, silent, 1, lambda: 1))
    await draw(beats, busy, 10, lambda: 1)
    assert (busy.woken, silent.woken) == (10, 0)
    silent.poured = 1
    await sleeping
    assert silent.woken == 1


async def test_a_glance_that_fails_wakes_so_that_somebody_is_told() -> None:
    beats, stirred, other, well = Beats(), asyncio.Event(), asyncio.Event(), Well()
    beats.stir(stirred, lambda: bool(1 // well.poured), QUICK)
    beats.stir(other, lambda: True, QUICK)
    async with asyncio.timeout(30):
        await stirred.wait()
        await other.wait()


async def test_a_new_loop_begins_anew() -> None:
    """Whoever leaves last takes the timer along."""
    beats = Beats()

    async def once() -> None:
        well = Well()
        well.poured = 1
        await draw(beats, well, 1, lambda: 1)

    for _ in range(2):
        await asyncio.to_thread(asyncio.run, asyncio.wait_for(once(), 30))


def test_the_host_tells_how_much_there_is_at_a_glance(tmp_path: Path) -> None:
    host = HostSandbox()
    assert isinstance(host, Sized)
    assert host.size(tmp_path) == 0
    (tmp_path / "output").write_bytes(b"1 o one\n")
    assert host.size(tmp_path) == 8
    (tmp_path / "none").write_bytes(b"")
    assert host.size(tmp_path / "none") > 1 << 40  # what is wrong there is told by `read`

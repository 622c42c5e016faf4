"""The builder as a child process: it serves, it coalesces, it comes back, it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.site import Site
from core.errors import Broken
from tests.fakes.filled import Filled, change, fill


@pytest.fixture
async def filled(tmp_path: Path) -> Filled:
    return await fill(tmp_path / "data")


@pytest.fixture
async def site(filled: Filled) -> AsyncIterator[Site]:
    site = Site(filled.folder, interval=5, secrets=["hunter22"], agents=["coder-9"])
    yield site
    await site.close()


async def test_it_builds_and_then_only_what_changed(site: Site, filled: Filled) -> None:
    await site.start()
    first = await site.tick()
    assert first.written > 40
    assert "coder-9" in (site.out / "index.html").read_text()
    assert '"interval": 5' in (site.out / "heartbeat.js").read_text()
    assert (await site.tick()).written == 0
    await change(filled, [2])
    second = await site.tick()
    assert (second.written, second.seq) == (4, first.seq + 1)


async def test_the_child_is_niced_and_knows_no_secret_by_its_environment(
        site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "7:secret")
    await site.tick()
    assert site.pid is not None
    assert os.getpriority(os.PRIO_PROCESS, site.pid) >= 10
    seen = Path(f"/proc/{site.pid}/environ").read_bytes() + Path(
        f"/proc/{site.pid}/cmdline").read_bytes()
    assert b"7:secret" not in seen
    assert b"hunter22" not in seen


async def test_who_asks_meanwhile_shares_the_next_tick(site: Site, filled: Filled) -> None:
    await site.tick()
    await change(filled, [2, 3])
    reports = await asyncio.gather(*(site.tick() for _ in range(20)))
    assert len({id(report) for report in reports}) == 2
    assert sorted({report.written for report in reports}) == [0, 5]


async def test_a_killed_child_is_started_anew(site: Site, filled: Filled) -> None:
    await site.tick()
    first = site.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await change(filled, [2])
    assert (await site.tick()).written == 4
    assert site.pid != first


async def test_a_missing_database_is_told_in_one_line(tmp_path: Path) -> None:
    site = Site(tmp_path / "nothing")
    with pytest.raises(Broken, match="can't be built"):
        await site.tick()
    await fill(tmp_path / "nothing", tasks=2)
    assert (await site.tick()).written > 0
    await site.close()


async def test_closing_ends_the_child(site: Site) -> None:
    await site.tick()
    pid = site.pid
    assert pid is not None
    await site.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    await site.close()


async def test_closing_without_patience_finds_a_child_that_has_just_gone(site: Site) -> None:
    await site.tick()
    child = site._child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    await child.wait()
    await site.close(patience=0)
    assert site.pid is None


async def test_it_ends_when_the_bot_is_gone(filled: Filled) -> None:
    """The end of its input is all that a killed bot leaves it."""
    reader, writer = os.pipe()
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m", "site_gen", "--data", str(filled.folder), stdin=reader)
    os.close(reader)
    os.close(writer)
    assert await asyncio.wait_for(child.wait(), 60) == 0

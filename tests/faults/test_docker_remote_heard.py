"""What an agent behind ssh says and leaves for its end: whatever that is, it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests import remote_bench
from tests.fakes.git_world import new_repository
from tests.remote_bench import Afar
from tests.sandbox_bench import PATIENCE, others_with, some_seconds, texts

pytestmark = pytest.mark.faults

MADE_UP = """
import os, signal, sys
deep = '[' * 5000 + ']' * 5000
open('x', 'w').write('x')
print('one', flush=True)
with open('/proc/1/fd/1', 'w') as log:
    print('= {"exit": {"status": 0, "x": ' + deep + '}}', file=log)
print('two', flush=True)
import time
time.sleep(1)
with open(sys.argv[1], 'w') as end:
    end.write('{"status": 0, "x": ' + deep + '}')
os.kill(os.getppid(), signal.SIGKILL)
time.sleep(1000)
"""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Afar]:
    bench = await Afar.opened(tmp_path)
    yield bench
    await bench.over()
    assert not [name for name in remote_bench.engine().containers() if "coding-7f3a91c2" in name]


async def test_what_nobody_can_read_of_an_end_neither_hides_it_nor_keeps_its_work(
    bench: Afar
) -> None:
    order = bench.order("python3", "-c", MADE_UP)
    order = replace(order, argv=(*order.argv, str(order.folder / "exit.json")),
                    workspace=bench.base / "code")
    new_repository(order.workspace)
    async with asyncio.timeout(PATIENCE):
        end, lines = await bench.play(order)
    assert (end.reason, end.error) == ("gone", "its launcher is gone")
    assert texts(lines) == ["one", "two"]
    assert (order.workspace / "x").exists()


async def test_who_can_t_be_heard_for_a_fault_of_ours_is_ended_and_told(bench: Afar) -> None:
    words = some_seconds()
    order = bench.order("sh", "-c", f"echo ready; sleep {words}")
    handle = await bench.start(order)
    await bench.said(order, "ready")
    facts = json.loads((order.folder / "afar.json").read_text())
    (order.folder / "afar.json").write_text(json.dumps(
        {name: value for name, value in facts.items() if name != "log_cap"}))
    fresh = await bench.again()
    assert await fresh.sandbox.find(order.folder) == handle
    async with asyncio.timeout(PATIENCE):
        end = await fresh.end(order, handle)
    told = "what it says can't be taken in: a fault of ours (KeyError): 'log_cap'"
    assert (end.reason, end.error) == ("gone", told)
    lines = await fresh.lines(order)
    assert (texts(lines), texts(lines, "mark")) == (["ready"], [told])
    assert not others_with(words)
    await fresh.sandbox.close()  # type: ignore[attr-defined]

"""Plays that are the same wherever the agent is: it writes a greeting, which is checked in the
same place and merged."""

from __future__ import annotations

import asyncio
import json
import signal
import sys

from tests.flows.bench import Bench
from tests.sandbox_bench import lose, others_with, some_seconds, until

CHECK = "test -s greeting.txt && git log -1"


def configure(bench: Bench, agent: str, more: str, check: str = CHECK,
              port: int | None = None) -> None:
    """That agent alone, with a table that says `more`. `port`: where it finds the way back."""
    bench.configure(f'[agents.{agent}]\ndriver = "command"\ntypes = ["work"]\n{more}'
                    '[agents.shell]\ndriver = "command"\nenabled = false\n', "config/agents.toml")
    api = "" if port is None else (f'[api]\nagents_url = "http://127.0.0.1:{port}"\n'
                                   f'agents_host = "127.0.0.1"\nagents_port = {port}\n')
    bench.configure(f'{api}[repos.shop]\nsource = "{bench.repo}"\ncheck = "{check}"\n')


def it_is_done_checked_and_merged(bench: Bench, agent: str, before: str) -> None:
    """`before`: what its shell does first."""
    ran = bench.up(
        f'/add "Add a greeting" --run "sh -c \'{before}; echo hello > greeting.txt\'"',
        "/approve 1", repo=None)
    ran.said(f"Ready. {agent} takes it", "greeting.txt +1", "✅ TASK-001 done · merged")
    assert bench.file("greeting.txt") == "hello\n"
    assert bench.states() == {1: "done"}
    (receipt,) = bench.rows("SELECT checks FROM receipts")[:1]
    assert [check["passed"] for check in json.loads(receipt["checks"])] == [True]


async def a_bot_killed_meanwhile_goes_on_with_it(bench: Bench) -> None:
    """Killed while the agent works; the next one finds it, and no line is lost or doubled."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.cli", "up", "--data", str(bench.data), cwd=bench.folder,
        env=bench.environment, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write(f"{counting(8, 1)}\n".encode())
    await process.stdin.drain()
    await until(lambda: "at 2" in bench.output(), "it works")
    process.send_signal(signal.SIGKILL)
    await process.wait()
    ran = await asyncio.to_thread(bench.up, "/approve 1", repo=None)
    ran.said("✅ TASK-001 done · merged")
    assert bench.file("greeting.txt") == "hello\n"
    assert bench.value("SELECT count(*) FROM attempts") == 1
    each_was_counted_once(bench, 8)


async def an_absence_is_said_and_gone_on_with(bench: Bench, leave, come_back) -> None:  # type: ignore[no-untyped-def]
    """What runs the agent can't be reached while it works, and can again when that has been told.
    `leave`, `come_back`: do that, on this thread."""
    playing = asyncio.create_task(
        asyncio.to_thread(bench.up, counting(6, 0.5), "/approve 1", repo=None))
    await until(lambda: "at 2" in bench.output(), "it works")
    leave()
    try:
        await until(lambda: _told(bench), "it is told")
    finally:
        come_back()
    ran = await playing
    ran.said("can't be reached", "answers again", "✅ TASK-001 done · merged")
    assert _told(bench) == ["session.unreachable", "session.reachable"]
    assert bench.value("SELECT count(*) FROM attempts") == 1
    each_was_counted_once(bench, 6)


async def what_has_lost_its_folder_is_killed(bench: Bench, lost: str) -> None:
    """Somebody has deleted the attempt's folder while the agent works, or all of the session's."""
    seconds = some_seconds()
    async with bench.running(repo=None) as live:
        await live.say(f'/add "Wait" --run "sh -c \'echo at 1; sleep {seconds}; true\'"')
        await live.until(lambda: "at 1" in bench.output(), "it works")
        (attempt,) = (bench.data / "sessions").glob("*/attempts/*")
        lose(attempt if lost == "attempt" else attempt.parents[1])
        await live.say("/kill 1")
        await live.until(
            lambda: bench.value("SELECT state FROM sessions") == "terminated", "its end")
        assert not others_with(seconds)
    assert [tuple(row) for row in bench.rows("SELECT state, outcome FROM sessions")] == [
        ("terminated", "killed")]
    assert list(bench.states().values()) == ["failed"], bench.states()


def counting(most: int, seconds: float) -> str:
    """The command for an agent that says up to which number it has come, so many seconds each."""
    numbers = " ".join(str(n) for n in range(1, most + 1))
    return (f'/add "Add a greeting" --run "sh -c \'for i in {numbers}; do echo at $i; '
            f"sleep {seconds}; done; echo hello > greeting.txt'\"")


def each_was_counted_once(bench: Bench, most: int) -> None:
    said = bench.output()
    assert [said.count(f"o at {n}\n") for n in range(1, most + 1)] == [1] * most, said


def _told(bench: Bench) -> list[str]:
    return [row["type"] for row in bench.rows(
        "SELECT type FROM events WHERE type LIKE 'session.%reachable' ORDER BY seq")]

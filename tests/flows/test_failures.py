"""What fails: told with its reason, the queue held, repaired, ended by hand."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from tests.flows import afar_bench
from tests.flows.bench import Bench, Live
from tests.flows.real_bench import need_sandbox

BREAKS = '/add "Break it" --run "sh -c \'echo first words; echo the boom >&2; exit 3\'"'
SLEEPS = '--run "sh -c \'echo $$ > {pid}; exec sleep 1000\'"'


def test_a_failing_command_is_told_with_its_status_and_last_lines(bench: Bench) -> None:
    ran = bench.up(BREAKS, '/add "Next" --run "true"', "/status", status=1)
    ran.said("❌ TASK-001 failed: ", "exit status 3", "Break it",
             "The queue is paused because TASK-001 failed", "first words", "the boom", "/retry 1",
             "Ready, but the queue is paused", "1 failed", "The queue is paused")
    assert ran.out.count("❌ TASK-001 failed") == 1, ran.out
    assert bench.states() == {1: "failed", 2: "ready"}
    assert bench.task_folder("active").is_dir()
    assert "the boom" in (bench.data / "site" / "tasks" / "TASK-001.html").read_text()


def test_after_the_repair_retry_goes_on_and_so_does_the_queue(bench: Bench) -> None:
    part = bench.folder / "spare-part"
    bench.up(f'/add "Needs a part" --run "cp {part} part.txt"', '/add "Next" --run "true"',
             status=1)
    part.write_text("here it is\n")
    ran = bench.up("/retry 1 the part has come", "/approve 1", "/approve 2")
    ran.said("TASK-001 will be tried again", "TASK-001 is ready for you", "TASK-001 done")
    ran.said("TASK-001 will be tried again", "TASK-002 is ready for you", "TASK-002 done")
    assert bench.states() == {1: "done", 2: "done"}
    assert bench.file("part.txt") == "here it is\n"
    assert any("the part has come" in prompt for prompt in bench.prompts())


def test_a_command_that_does_not_exist(bench: Bench) -> None:
    ran = bench.up('/add "Typo" --run "nosuchcmd --now"', status=1)
    ran.said("TASK-001 failed", "nosuchcmd")
    assert bench.states() == {1: "failed"}


def test_done_cancel_and_reopen_by_hand(bench: Bench) -> None:
    ran = bench.up('/add "One" --run "true"', '/add "Two" --run "true"', "/done 1", "/cancel 2",
                   "/done 1", "/cancel 2", "/reopen 2", "/cancel 2", "/retry 2", "/reopen 1",
                   "/approve 1", "/list")
    ran.said("TASK-001 marked done", "TASK-002 cancelled", "TASK-001 is done already",
             "TASK-002 is cancelled already", "TASK-002 is open again",
             "TASK-002 is ready for you", "only a failed task is retried",
             "TASK-001 is open again", "TASK-001 done")
    assert bench.states() == {1: "done", 2: "cancelled"}
    assert bench.value("SELECT count(*) FROM gates WHERE state = 'open'") == 0
    assert bench.value("SELECT count(*) FROM sessions WHERE state <> 'terminated'") == 0
    assert bench.task_folder("completed", 2).is_dir()


async def test_kill_leaves_nothing_running(bench: Bench) -> None:
    pid = bench.folder / "pid"
    async with bench.running() as live:
        await live.say(f'/add "Sleep" {SLEEPS.format(pid=pid)}', "shell is on it")
        process = await _started(live, pid)
        await live.say("/kill 1", "TASK-001 killed", "/retry 1")
        await _gone(live, process)
        await live.until(lambda: _live_sessions(bench) == 0, "the session's end")
        await live.say("/kill 1", "nothing of it runs")
        await live.say("/kill nobody", "Nothing of nobody runs")
    assert bench.states() == {1: "failed"}
    assert bench.value("SELECT outcome FROM sessions") == "killed"
    assert bench.value("SELECT count(*) FROM settings") == 0, "a kill pauses no queue"


async def test_killall_asks_once_and_stops_everything(bench: Bench) -> None:
    pids = [bench.folder / "pid-1", bench.folder / "pid-2"]
    async with bench.running(BULLPEN_QUEUE__MAX_CONCURRENT="2") as live:
        for pid in pids:
            await live.say(f'/add "Sleep" {SLEEPS.format(pid=pid)}', "Ready")
        processes = [await _started(live, pid) for pid in pids]
        await live.say("/killall", "Stop everything?", "/killall yes")
        assert all(_alive(process) for process in processes), "it asks first"
        await live.say("/killall yes", "Stopped 2", "paused")
        for process in processes:
            await _gone(live, process)
        await live.say('/add "Later" --run "true"', "the queue is paused: /resume")
        await live.say("/resume", "The queue goes on", "TASK-003 is ready for you")
    assert bench.states() == {1: "failed", 2: "failed", 3: "review"}


async def test_cancel_ends_what_runs(bench: Bench) -> None:
    pid = bench.folder / "pid"
    async with bench.running() as live:
        await live.say(f'/add "Sleep" {SLEEPS.format(pid=pid)}', "shell is on it")
        process = await _started(live, pid)
        await live.say("/cancel 1", "TASK-001 cancelled")
        await _gone(live, process)
        done = bench.data / "tasks" / "completed"
        await live.until(lambda: done.is_dir() and list(done.iterdir()), "the folder's move")
    assert bench.states() == {1: "cancelled"}


def test_a_failing_check_sends_back_with_its_findings(bench: Bench) -> None:
    _configure_check(bench, 'test "$(wc -l < count.txt)" -ge 2 || (echo too few lines; false)')
    ran = bench.up('/add "Count" --run "sh -c \'echo x >> count.txt\'"', "/approve 1", repo=None)
    ran.said("G-1 · TASK-001 is ready for you", "Receipt at", "→ passed", "done · merged")
    _, second = bench.prompts()
    assert "too few lines" in second and "The checks failed" in second
    assert bench.file("count.txt") == "x\nx\n"


def test_checks_that_go_on_failing_end_the_task(bench: Bench) -> None:
    _configure_check(bench, "echo never good; false")
    ran = bench.up('/add "Hopeless" --run "true"', status=1, repo=None)
    ran.said("TASK-001 failed", "echo never good; false", "never good")
    assert bench.value("SELECT count(*) FROM iterations") == 3, "the first and two send-backs"
    assert bench.value("SELECT count(*) FROM gates") == 0


def test_a_criterion_with_a_command_is_run(bench: Bench) -> None:
    bench.configure("[qa]\nmax_send_backs = 0\n")
    ran = bench.up('/add "Strict" --run "true"', "- [ ] `test -e never.txt` is there", status=1)
    ran.said("TASK-001 failed", "test -e never.txt")
    assert bench.value("SELECT state FROM criteria") == "failed"


def _configure_check(bench: Bench, check: str) -> None:
    bench.configure(f"[qa]\nmax_send_backs = 2\n[repos.shop]\nsource = '{bench.repo}'\n"
                    f"check = '''{check}'''\n")


async def _started(live: Live, pid: Path) -> int:
    text = await live.until(lambda: pid.is_file() and pid.read_text().strip(), "its process")
    return int(text)


async def _gone(live: Live, process: int) -> None:
    await live.until(lambda: not _alive(process), f"the end of process {process}")


def _alive(process: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, 0)
        return not Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].startswith(" Z")
    return False


def _live_sessions(bench: Bench) -> int:
    return int(bench.value("SELECT count(*) FROM sessions WHERE state <> 'terminated'"))


@pytest.mark.parametrize("lost", ["attempt", "session"])
@pytest.mark.parametrize("sandbox", ["host", "bubblewrap"])
async def test_one_that_has_lost_its_folder_is_killed(
    bench: Bench, sandbox: str, lost: str
) -> None:
    need_sandbox(sandbox)
    bench.configure(f'[repos.shop]\nsource = "{bench.repo}"\n')
    bench.configure(f'[agents.shell]\ndriver = "command"\nsandbox = "{sandbox}"\n',
                    "config/agents.toml")
    await afar_bench.what_has_lost_its_folder_is_killed(bench, lost)

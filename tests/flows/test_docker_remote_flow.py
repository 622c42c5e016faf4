"""A whole task by an agent in a container on an engine behind ssh: the real bot, real engine."""

from __future__ import annotations

import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import remote_bench
from tests.docker_ground import PYTHON_IMAGE
from tests.flows import afar_bench
from tests.flows.bench import Bench
from tests.ssh_ground import Sshd

CREW = """
sandbox = "docker"
network = "host"
container = {{ image = "{image}", engine = "{engine}" }}
limits = {{ memory = "500m", processes = 100 }}
"""


@pytest.fixture(autouse=True)
def sshd(bench: Bench, free_port: int) -> Iterator[Sshd]:
    """The way there. Nothing is left at its end."""
    engine = remote_bench.engine()
    sshd = Sshd(bench.folder / "ssh").begin()
    (bench.folder / "bin" / "ssh").write_text(
        f'#!/bin/sh\nexec /usr/bin/ssh -F {sshd.folder}/client.conf "$@"\n')
    (bench.folder / "bin" / "ssh").chmod(0o755)
    afar_bench.configure(
        bench, "boxer", CREW.format(image=PYTHON_IMAGE, engine=sshd.address(engine)),
        "test -s greeting.txt && test ! -e /usr/bin/make && git log -1", free_port)
    yield sshd
    sshd.stop()
    assert engine.containers() == []


def test_code_goes_to_another_machine_and_a_merged_change_comes_out(bench: Bench) -> None:
    """Where the check runs there is no make, as there is in the machine's own system."""
    assert Path("/usr/bin/make").exists()
    afar_bench.it_is_done_checked_and_merged(bench, "boxer", "pwd")
    assert bench.value("SELECT sandbox FROM sessions") == "docker-remote"


async def test_a_bot_killed_meanwhile_goes_on_with_it(bench: Bench) -> None:
    await afar_bench.a_bot_killed_meanwhile_goes_on_with_it(bench)


async def test_a_way_that_breaks_meanwhile_is_said_and_gone_on_with(
    bench: Bench, sshd: Sshd
) -> None:
    """The server ends while the agent works, and comes back once that has been told."""
    await afar_bench.an_absence_is_said_and_gone_on_with(bench, sshd.stop, sshd.start)


async def test_one_given_up_stays_so_over_a_restart_and_is_ended_once_it_answers(
    bench: Bench, sshd: Sshd
) -> None:
    """Its container works on meanwhile, and the bot that was told so is killed."""
    sql = ("SELECT s.state, s.outcome, s.reason, a.given_up FROM sessions s JOIN attempts a "
           "ON a.session_id = s.id")
    engine = remote_bench.engine()
    async with bench.running(repo=None) as live:
        await live.say("/add Work --run \"sh -c 'while echo at work; do sleep 1; done'\"")
        await live.until(lambda: "at work" in bench.output(), "it works")
        sshd.stop()
        await live.told("can't be reached")
        await live.say("/kill 1 --sure", "counts as gone, on your word")
        live.send(signal.SIGKILL)
    (before,) = bench.rows(sql)
    assert tuple(before)[:2] == ("terminated", "lost") and before["given_up"] == 1
    async with bench.running(repo=None) as live:
        await live.say("/sessions", "Nothing runs now")
        await live.say("/task 1", "TASK-001 · failed", "/retry 1")
        assert [tuple(row) for row in bench.rows(sql)] == [tuple(before)]
        assert len(engine.docker("ps", "--quiet").split()) == 1, "it works on over there"
        sshd.start()
        await live.told("answers again: what still ran of it was ended")
        assert engine.containers() == []
    assert [tuple(row) for row in bench.rows(sql)] == [(*tuple(before)[:3], 0)]
    assert bench.states() == {1: "failed"}


@pytest.mark.parametrize("lost", ["attempt", "session"])
async def test_one_that_has_lost_its_folder_is_killed(bench: Bench, lost: str) -> None:
    await afar_bench.what_has_lost_its_folder_is_killed(bench, lost)


def test_a_repository_that_is_made_there_is_not_gone_with_its_container(bench: Bench) -> None:
    """It comes as an artifact, and the person hears of it before they approve."""
    line = ("mkdir app && cd app && git init -q && echo hours > app.py && "
            "git config user.email a@b && git config user.name n && "
            "git add -A && git commit -qm first && cd .. && git add -A && git commit -qm all && "
            "echo hello > greeting.txt")
    ran = bench.up(f'/add "Make an app" --run "sh -c \'{line}\'"', "/task 1", "/approve 1",
                   repo=None)
    ran.said("greeting.txt +1 −0", "no part of the result: repository-app.tar.gz", "G-1",
             "repository-app.tar.gz@1", "TASK-001 done · merged")
    assert bench.git("ls-tree", "-r", "--name-only", "main").split() == [
        "README.md", "greeting.txt"]
    found = next(bench.data.rglob("repository-app.tar.gz*"))
    with tarfile.open(found) as packed:
        assert "app/app.py" in packed.getnames()

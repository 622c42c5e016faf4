"""A whole task by an agent in a container: the real bot, a real engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import docker_ground
from tests.docker_ground import PYTHON_IMAGE
from tests.flows import afar_bench
from tests.flows.bench import Bench

CREW = """
sandbox = "docker"
network = "off"
container = {{ image = "{image}", engine = "{engine}", cpus = 1.0 }}
limits = {{ memory = "500m", processes = 100 }}
"""


@pytest.fixture(autouse=True)
def engine(bench: Bench) -> Iterator[docker_ground.Engine]:
    """Nothing is left in it."""
    engine = docker_ground.engine()
    afar_bench.configure(
        bench, "boxer", CREW.format(image=PYTHON_IMAGE, engine=engine.address),
        "test -s greeting.txt && test ! -e /usr/bin/make && git log -1")
    yield engine
    assert engine.containers() == []


def test_what_was_done_in_a_container_is_checked_in_one_and_merged(bench: Bench) -> None:
    """Where the check runs there is no make, as there is in the machine's own system."""
    assert Path("/usr/bin/make").exists()
    afar_bench.it_is_done_checked_and_merged(bench, "boxer", "pwd; id -u")


async def test_a_bot_killed_meanwhile_goes_on_with_it(bench: Bench) -> None:
    await afar_bench.a_bot_killed_meanwhile_goes_on_with_it(bench)


SPOILS = {
    "folder": ("rm -f output; mkdir output", "no more of it can be read"),
    "sparse": ("truncate -s 400G output", "the rest is not read"),
}


@pytest.mark.parametrize("how", SPOILS)
def test_an_agent_that_spoils_its_output_ends_as_any_other(bench: Bench, how: str) -> None:
    act, mark = SPOILS[how]
    bench.configure(f'[limits]\nlog_cap_bytes = 100000\n[repos.shop]\nsource = "{bench.repo}"\n')
    script = f"cd $(dirname $BULLPEN_ARTIFACTS)/attempts/01; {act}; sleep 1; echo end"
    bench.commit({"spoil.sh": script})
    ran = bench.up('/add "Spoil" --run "sh spoil.sh"', repo=None)
    assert [row["state"] for row in bench.rows("SELECT state FROM attempts")] == ["ended"], ran
    bench.up("/logs 1", repo=None).said(mark)

"""The carrier against the real doors: they serve what its own tests' stand-in plays."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from core.ports import Order
from core.sandboxes import output
from core.sandboxes.attempt import Attempt
from core.store import inputs, sessions
from core.worktrees import folder as workspaces
from tests.api_bench import Api, Speaker, serving, short_folder
from tests.fakes.elsewhere import Elsewhere
from tests.needs import need
from tests.sandbox_bench import ENV, PATIENCE, texts
from tests.unit.test_git_over_http import local

BRANCH = "bullpen/TASK-001"


class Bench:
    def __init__(self, api: Api, agent: Speaker) -> None:
        self.api, self.agent, self.base = api, agent, api.home.data
        self.place = Elsewhere(self.base, self.base.with_name("elsewhere.log"))

    async def order(self, *argv: str, **changes: object) -> Order:
        agent, home = self.agent, self.api.home
        workspace = agent.folder / "workspace"
        await self._workspace(workspace)
        folders = (agent.folder / "home", agent.folder / "artifacts",
                   self.base / "agents/keeper/memory")
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        door = home.doors.door(agent.folder, agent.session.id, 1, near=False)
        env = {**ENV, "HOME": str(folders[0]), "A": str(folders[1]), "M": str(folders[2])}
        order = Order(agent.session.id, 1, home.attempt_folder(agent.session.id, 1), workspace,
                      argv, env, grace=PATIENCE, writable=folders, door=door)
        return replace(order, **changes)  # type: ignore[arg-type]

    async def _workspace(self, folder: Path) -> None:
        source, bare = self.base / "source", self.base / "repos/shop.git"
        source.mkdir(parents=True)
        local("init", "-q", "-b", "main", cwd=source)
        (source / "README.md").write_text("# Shop\n")
        local("add", ".", cwd=source)
        local("commit", "-qm", "The beginning", cwd=source)
        local("clone", "-q", "--bare", str(source), str(bare), cwd=source)
        head = local("rev-parse", "main", cwd=bare)
        await workspaces.make(workspaces.Blueprint(bare, BRANCH, head, "main", head), folder)

    async def lines(self, order: Order) -> list[str]:
        return texts(list(await output.reading(Attempt(order.folder).output, 0, 1 << 20)))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    able = subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], check=False)
    need("namespaces", able.returncode == 0, "run the tests as root")
    with short_folder() as folder:
        async with serving(folder) as api:
            api.home.doors.far_url = api.url
            bench = Bench(api, await api.speaker("keeper"))
            cast(dict[str, object], api.home.sandboxes)["elsewhere"] = bench.place
            await api.home.store.write(
                lambda tx: tx.run("UPDATE sessions SET sandbox = 'elsewhere'"))
            try:
                yield bench
            finally:
                await bench.place.clean()


async def test_code_artifacts_outcome_and_memory_come_home(bench: Bench) -> None:
    order = await bench.order(
        "sh", "-ec", "echo new > new.txt; echo done > $A/report.md; echo words >> $M/MEMORY.md;"
        """echo '{"outcome": "verify.failed", "summary": "So."}' > $A/outcome.json""")
    end = await bench.place.play(order)
    assert (end.status, end.reason, end.error) == (0, None, None)
    assert (order.workspace / "new.txt").read_text() == "new\n"
    task = bench.agent.task
    assert bench.api.home.artifacts.read(task, "report.md") == b"done\n"
    assert (bench.agent.folder / "artifacts/report.md").read_text() == "done\n"
    found = await bench.api.home.store.write(
        lambda tx: sessions.get_iteration(tx, bench.agent.session.id))
    assert (found.outcome, found.summary) == ("verify.failed", "So.")
    assert await bench.api.value("SELECT lease IS NOT NULL FROM attempts") == 1


async def test_what_is_said_to_it_arrives_in_order(bench: Bench) -> None:
    order = await bench.order("cat", first_input=b"first\n", input_open=True)
    playing = asyncio.create_task(bench.place.play(order))
    agent, store = bench.agent, bench.api.home.store
    for said, last in ((b"second\n", False), (b"third\n", False), (b"", True)):
        await store.write(lambda tx, d=said, e=last: inputs.owe(
            tx, agent.session.id, d, last=e))
        await asyncio.sleep(0)
    end = await asyncio.wait_for(playing, PATIENCE)
    assert end.status == 0
    assert await bench.lines(order) == ["first", "second", "third"]


async def test_of_two_places_one_works(bench: Bench) -> None:
    order = await bench.order("sh", "-c", "echo once")
    both = [await bench.place.begin(order, holder) for holder in ("a", "b")]
    statuses = sorted([await one.wait() for one in both])
    assert statuses[0] == 0 and statuses[1] != 0
    await bench.place.home(order)
    assert await bench.lines(order) == ["once"]


async def test_an_errand_runs_there_and_is_over(bench: Bench) -> None:
    doors = bench.api.home.doors
    folder = bench.base / "errands/e1"
    door = doors.errand(bench.agent.session.id, folder)
    order = await bench.order("sh", "-c", "cat README.md; echo x > x.txt", number=0,
                              folder=folder, door=door, writable=())
    end = await bench.place.play(order)
    assert end.status == 0 and await bench.lines(order) == ["# Shop"]
    assert not (order.workspace / "x.txt").exists()
    doors.errand_over(door)
    assert not doors.errands

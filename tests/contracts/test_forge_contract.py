"""What every forge promises, whatever lies behind it. One scene for each forge sets the stage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from core.errors import Broken, BullpenError
from core.forges.local import LocalForge
from core.model import Repo
from core.ports import NOWHERE, Forge, Merged, MergeOrder
from tests.fakes.forge import ScriptedForge
from tests.fakes.git_world import World, commit, make_world, numbered, run_git

OUTCOMES = {"pr.merged", "moved", "merge.conflict", "stale", "refused"}
APPROVED = 1_700_000_000_000


class Scene(Protocol):
    @property
    def forge(self) -> Forge:
        """The one under test."""

    async def order(self) -> MergeOrder:
        """An approved change, ready to merge."""

    def branch(self) -> str:
        """The commit at which the default branch stands on the other side."""

    def moved_far_away(self) -> None:
        """Somebody else changed the default branch where the order doesn't touch it."""

    def moved_into_it(self) -> None:
        """Somebody else changed the lines that the order changes."""

    def moved_beside_it(self) -> None:
        """Somebody else changed what stands next to the order's lines."""

    def closed(self) -> None:
        """The other side will not take it now."""

    def opened(self) -> None:
        """It would take it again."""

    def unreachable(self) -> None:
        """The other side is gone."""


class LocalScene:
    """A real repository with its branch checked out."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.forge = LocalForge()

    async def order(self) -> MergeOrder:
        commit(self.world.workspace, {"notes.txt": numbered({15: "changed by the agent"})})
        change = await self.world.collect()
        return MergeOrder(
            self.world.repo,
            self.world.bare,
            change.head,
            change.patch_id,
            "Merge TASK-001: a change",
            "Ada <ada@example.org>",
            at=APPROVED,
        )

    def branch(self) -> str:
        return run_git(self.world.theirs, "rev-parse", "main")

    def moved_far_away(self) -> None:
        commit(self.world.theirs, {"notes.txt": numbered({2: "changed by a person"})})

    def moved_into_it(self) -> None:
        commit(self.world.theirs, {"notes.txt": numbered({15: "changed by a person"})})

    def moved_beside_it(self) -> None:
        commit(self.world.theirs, {"notes.txt": numbered({13: "changed by a person"})})

    def closed(self) -> None:
        (self.world.theirs / "notes.txt").write_text("not committed\n")

    def opened(self) -> None:
        run_git(self.world.theirs, "checkout", "--quiet", "--", "notes.txt")

    def unreachable(self) -> None:
        self.world.theirs.rename(self.world.home / "elsewhere")


class ScriptedScene:
    """The fake, told what to answer."""

    def __init__(self) -> None:
        self.forge = ScriptedForge()

    async def order(self) -> MergeOrder:
        repo = Repo("demo", "/nowhere")
        where = Path("/nowhere")
        return MergeOrder(repo, where, "b" * 40, "patch", "Merge", "Ada <a@x>", at=APPROVED)

    def branch(self) -> str:
        return self.forge.head

    def moved_far_away(self) -> None:
        self.forge.head = "c" * 40

    def moved_into_it(self) -> None:
        self.forge.script.append(Merged("merge.conflict", files=("notes.txt",)))

    def moved_beside_it(self) -> None:
        stale = Merged("stale", "d" * 40, "another", base=self.forge.head)
        self.forge.script.append(stale)

    def closed(self) -> None:
        self.forge.script.append(Merged("refused", detail="Closed today; the approval waits."))

    def opened(self) -> None:
        self.forge.script.clear()

    def unreachable(self) -> None:
        self.forge.script.append(Broken("The forge can't be reached."))


@pytest.fixture(params=["local", "scripted"])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    if request.param == "scripted":
        return ScriptedScene()
    return LocalScene(await make_world(tmp_path))


async def test_an_approved_change_is_merged(scene: Scene) -> None:
    order = await scene.order()
    before = scene.branch()

    merged = await scene.forge.merge(order)

    assert merged.outcome == "pr.merged"
    assert merged.commit == scene.branch() != before


async def test_sync_tells_where_the_branch_stands(scene: Scene) -> None:
    order = await scene.order()
    assert await scene.forge.sync(order.repo, order.git_dir) == scene.branch()
    await scene.forge.merge(order)
    assert await scene.forge.sync(order.repo, order.git_dir) == scene.branch()


async def test_the_same_order_again_gives_the_same_answer(scene: Scene) -> None:
    order = await scene.order()
    first = await scene.forge.merge(order)
    stands = scene.branch()

    again = await scene.forge.merge(order)

    assert (again.outcome, again.commit) == (first.outcome, first.commit)
    assert scene.branch() == stands


async def test_work_elsewhere_does_not_hinder(scene: Scene) -> None:
    order = await scene.order()
    scene.moved_far_away()
    assert (await scene.forge.merge(order)).outcome == "pr.merged"


async def test_where_it_was_checked_it_is_merged(scene: Scene) -> None:
    order = replace(await scene.order(), onto=scene.branch())
    assert (await scene.forge.merge(order)).outcome == "pr.merged"


@pytest.mark.parametrize("checked", ["where the branch stood", "nowhere"])
async def test_a_branch_that_moved_is_told_and_left_alone(scene: Scene, checked: str) -> None:
    order = await scene.order()
    order = replace(order, onto=NOWHERE if checked == "nowhere" else scene.branch())
    scene.moved_far_away()
    before = scene.branch()

    moved = await scene.forge.merge(order)

    assert (moved.outcome, moved.base, moved.patch_id) == ("moved", before, order.patch_id)
    assert scene.branch() == before
    assert await scene.forge.merge(order) == moved, "the same order, the same answer"
    merged = await scene.forge.merge(replace(order, onto=moved.base))
    assert (merged.outcome, merged.commit) == ("pr.merged", moved.commit), "what was checked"
    assert scene.branch() == moved.commit
    assert (await scene.forge.merge(order)).outcome == "pr.merged", "it was merged already"


async def test_a_branch_that_moves_again_is_told_again(scene: Scene) -> None:
    order = replace(await scene.order(), onto=NOWHERE)
    first = await scene.forge.merge(order)
    scene.moved_far_away()
    second = await scene.forge.merge(replace(order, onto=first.base))
    assert (second.outcome, second.base) == ("moved", scene.branch())
    assert second.base != first.base


async def test_a_conflict_names_its_files_and_moves_nothing(scene: Scene) -> None:
    order = await scene.order()
    scene.moved_into_it()
    before = scene.branch()

    merged = await scene.forge.merge(order)

    assert (merged.outcome, merged.files) == ("merge.conflict", ("notes.txt",))
    assert scene.branch() == before


async def test_what_is_no_longer_the_approved_patch_is_stale(scene: Scene) -> None:
    order = await scene.order()
    scene.moved_beside_it()
    before = scene.branch()

    merged = await scene.forge.merge(order)

    assert merged.outcome == "stale"
    assert merged.patch_id not in (None, order.patch_id)
    assert merged.base == before
    assert merged.commit not in (None, before, order.head), "what would be merged"
    assert scene.branch() == before


async def test_a_refusal_says_so_and_can_be_tried_again(scene: Scene) -> None:
    order = await scene.order()
    scene.closed()
    refused = await scene.forge.merge(order)
    assert refused.outcome == "refused"
    assert refused.detail.endswith("the approval waits.")
    assert "\n" not in refused.detail

    scene.opened()
    assert (await scene.forge.merge(order)).outcome == "pr.merged"


async def test_a_forge_that_is_gone_is_one_line(scene: Scene) -> None:
    order = await scene.order()
    scene.unreachable()
    with pytest.raises(BullpenError) as raised:
        await scene.forge.merge(order)
    assert "\n" not in str(raised.value)


async def test_every_answer_is_one_of_these(scene: Scene) -> None:
    order = replace(await scene.order(), message="")
    assert (await scene.forge.merge(order)).outcome in OUTCOMES

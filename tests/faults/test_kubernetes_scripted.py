"""What is taken for a cluster that is away, and what is not: over a scripted one."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import Broken, Unreachable
from core.ports import Door, Order
from core.sandboxes.attempt import Attempt
from core.sandboxes.kubernetes import KubernetesSandbox
from tests.cluster_bench import END, HANDLE, WHOLE, limited
from tests.fakes.cluster import Cluster
from tests.fakes.git_world import new_repository
from tests.sandbox_bench import PATIENCE, Bench, lose, texts, until

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("how", ["fails", "breaks"])
async def test_a_log_that_fails_is_no_cluster_that_is_away(
    cluster: Cluster, sandbox: KubernetesSandbox, folder: Path, how: str
) -> None:
    """As long as it works; and its end is told when all of its log is there, not before."""
    cluster.log = how
    waiting = asyncio.ensure_future(sandbox.ended(folder, HANDLE))
    await until(lambda: cluster.heard > 3, "its log is asked for again and again")
    assert not waiting.done()
    assert (await sandbox.status(folder, HANDLE)).alive
    cluster.phase = "Succeeded"
    with pytest.raises(Unreachable):
        await asyncio.wait_for(waiting, PATIENCE)
    assert Attempt(folder).end() is None
    cluster.log = WHOLE
    end = (await sandbox.status(folder, HANDLE)).end
    assert end is not None
    assert (end.status, end.reason) == (3, None)
    assert texts(list(await sandbox.read(folder, 0, 1 << 20))) == ["hello", "there"]


async def test_a_cluster_that_is_away_is_told_until_it_answers(
    cluster: Cluster, sandbox: KubernetesSandbox, folder: Path
) -> None:
    """Once it does, nobody is told again of how it was."""
    cluster.answers = False
    for _ in range(2):
        with pytest.raises(Unreachable, match="etcd has no leader"):
            await sandbox.ended(folder, HANDLE)
    await until(lambda: cluster.asked > 3, "it is tried, ever more seldom")
    cluster.answers = True
    assert (await sandbox.status(folder, HANDLE)).alive
    waiting = asyncio.ensure_future(sandbox.ended(folder, HANDLE))
    done, _ = await asyncio.wait({waiting}, timeout=1.5)
    assert not done
    cluster.log, cluster.phase = WHOLE, "Succeeded"
    await asyncio.wait_for(waiting, PATIENCE)
    assert (await sandbox.status(folder, HANDLE)).end is not None


@pytest.mark.parametrize("status", [401, 403, 400, 200])
async def test_a_cluster_that_refuses_to_tell_is_one_that_is_away(
    cluster: Cluster, sandbox: KubernetesSandbox, folder: Path, status: int
) -> None:
    """Whether it lives nobody knows then: with a token that is over, behind a page to log in."""
    cluster.refuses = {"GET": status, "DELETE": status, "log": status}
    words = "no cluster" if status == 200 else "you may not"
    for asked in (sandbox.ended, sandbox.status, sandbox.stop):
        with pytest.raises(Unreachable, match=words):
            await asyncio.wait_for(asked(folder, HANDLE), PATIENCE)
    cluster.refuses.clear()
    assert (await sandbox.status(folder, HANDLE)).alive
    cluster.log, cluster.phase = WHOLE, "Succeeded"
    await asyncio.wait_for(sandbox.ended(folder, HANDLE), PATIENCE)


@pytest.mark.parametrize("how", ["its log is refused", "it can't be kept here"])
async def test_a_trouble_that_lasts_is_told_until_it_is_over(
    cluster: Cluster, sandbox: KubernetesSandbox, folder: Path, how: str
) -> None:
    """Though the cluster answers; who waits and who asks hear the same. It can be ended all the
    same."""
    sandbox.lasting, kept = 0.5, folder / "output"
    cluster.log, cluster.holds = [(time.time(), b"0 1 o hello\n")], 600.0
    if how == "its log is refused":
        cluster.refuses, words = {"log": 403}, "the cluster does not allow it: you may not"
    else:
        kept.mkdir()
        words = "Is a directory"
    for asked in (sandbox.ended, sandbox.status, sandbox.ended, sandbox.status):
        with pytest.raises(Unreachable, match=words):
            await asyncio.wait_for(asked(folder, HANDLE), PATIENCE)
    stopping = asyncio.ensure_future(sandbox.stop(folder, HANDLE, force=True))
    await until(lambda: cluster.deleted, "its Job is deleted")
    assert not stopping.done()
    cluster.refuses.clear()
    if kept.is_dir():
        kept.rmdir()
    assert (await asyncio.wait_for(stopping, PATIENCE)).reason == "stopped"
    assert texts(list(await sandbox.read(folder, 0, 1 << 20))) == ["hello"]


async def test_a_way_that_can_t_be_read_any_more_says_nothing_about_what_runs(
    cluster: Cluster, sandbox: KubernetesSandbox, folder: Path
) -> None:
    """A file that somebody has spoilt; an attempt that is to start fails with its words."""
    (folder.parent / "kubeconfig").write_text(": : :")
    for asked in (sandbox.ended, sandbox.status, sandbox.stop):
        with pytest.raises(Unreachable, match="can't be read"):
            await asyncio.wait_for(asked(folder, HANDLE), PATIENCE)
    with pytest.raises(Broken, match="can't be read") as caught:
        await sandbox.start(order(folder.parent))
    assert not isinstance(caught.value, Unreachable)


@pytest.mark.parametrize("status", [401, 403, 422])
async def test_a_start_that_is_refused_fails_in_one_line(
    cluster: Cluster, sandbox: KubernetesSandbox, tmp_path: Path, status: int
) -> None:
    """No right to it, no quota left, no such thing: it isn't tried for ever."""
    cluster.refuses = {"POST": status}
    with pytest.raises(Broken, match=r"the Job can't be made: .*you may not") as caught:
        await sandbox.start(order(tmp_path))
    assert not isinstance(caught.value, Unreachable)


@pytest.mark.parametrize("rights", ["all", "those in its namespace"])
async def test_another_cluster_proves_no_end(
    cluster: Cluster, sandbox: KubernetesSandbox, tmp_path: Path, rights: str
) -> None:
    """One at the same context, in which there is no such Job; also for a bot that was killed before
    it knew whether that was made."""
    cluster.system = "cluster-1" if rights == "all" else None
    begun = order(tmp_path)
    handle = await sandbox.start(begun)
    assert (await sandbox.status(begun.folder, handle)).alive
    there, made = cluster.system, dict(cluster.made)
    assert ("bullpen-cluster" in made) is (rights != "all")

    cluster.system, cluster.deleted, cluster.phase = there and "cluster-2", True, ""
    cluster.made.clear()
    for asked in (sandbox.ended, sandbox.status, sandbox.stop):
        with pytest.raises(Unreachable, match="Another cluster answers"):
            await asyncio.wait_for(asked(begun.folder, handle), PATIENCE)
    (begun.folder / "handle.json").unlink()
    with pytest.raises(Unreachable, match="Another cluster answers"):
        await sandbox.find(begun.folder)
    if rights != "all":
        other = replace(order(tmp_path / "more"), folder=tmp_path / "a-third")
        await sandbox.start(other)  # the other cluster has a name of its own by now
        with pytest.raises(Unreachable, match="Another cluster answers"):
            await sandbox.status(begun.folder, handle)

    cluster.system, cluster.made = there, made
    end = (await sandbox.status(begun.folder, handle)).end
    assert end is not None
    assert end.reason == "gone"


async def test_what_was_started_before_clusters_were_told_apart_ends_as_it_did(
    cluster: Cluster, sandbox: KubernetesSandbox, folder: Path
) -> None:
    old = json.dumps({"context": None, "job": "one", "namespace": "default"})
    (folder / "handle.json").write_text(old)
    assert (await sandbox.status(folder, old)).alive
    cluster.deleted, cluster.phase = True, ""
    end = (await sandbox.status(folder, old)).end
    assert end is not None
    assert end.reason == "gone"


def order(base: Path) -> Order:
    """Another attempt."""
    new_repository(base / "code")
    order = Bench(KubernetesSandbox(lambda: None), base).order("true")
    return replace(order, folder=base / "another", workspace=base / "code",
                   container={"image": "bench"}, door=Door("a-token", "http://127.0.0.1:1"))


async def test_that_its_log_is_followed_anew_is_no_word_of_the_agent_s(
    cluster: Cluster, sandbox: KubernetesSandbox, folder: Path
) -> None:
    """Each time its last second comes again."""
    limited(folder, 2.0)
    now = time.time()
    cluster.holds, cluster.log = 1.8, [(now, b"0 %d o begun\n" % (now * 1000))]
    waiting = asyncio.ensure_future(sandbox.ended(folder, HANDLE))
    await until(lambda: cluster.deleted, "it was silent for too long")
    await asyncio.wait_for(waiting, PATIENCE)
    end = (await sandbox.status(folder, HANDLE)).end
    assert end is not None
    assert end.reason == "idle_time"
    assert cluster.heard > 1


@pytest.mark.parametrize("anew", ["its log", "the bot"])
async def test_a_record_dated_ahead_hides_nothing_that_follows(
    cluster: Cluster, sandbox: KubernetesSandbox, folder: Path, anew: str
) -> None:
    """By an agent that writes in its own output over there."""
    now = time.time()
    cluster.log = [(now, b"0 %d o begun\n" % (now * 1000)), (now, b"22 99999999999999 o forged\n")]
    waiting = asyncio.ensure_future(sandbox.ended(folder, HANDLE))
    if anew == "its log":
        await until(lambda: cluster.heard > 3, "its log is followed again and again")
    else:
        await until(lambda: cluster.heard > 0, "its log is read")
        waiting.cancel()
        await sandbox.close()
        sandbox = KubernetesSandbox(lambda: "http://127.0.0.1:1", str(folder.parent / "kubeconfig"))
    cluster.log += [(time.time(), b"46 %d o more\n" % (now * 1000)),
                    (time.time(), b"= " + json.dumps({**END, "position": 67}).encode() + b"\n")]
    cluster.phase = "Succeeded"
    end = (await sandbox.status(folder, HANDLE)).end
    waiting.cancel()
    assert end is not None
    assert (end.status, end.reason) == (3, None)
    assert texts(list(await sandbox.read(folder, 0, 1 << 20))) == ["begun", "forged", "more"]
    await sandbox.close()


async def test_who_waits_is_told_that_it_is_followed_no_more(
    cluster: Cluster, sandbox: KubernetesSandbox, folder: Path
) -> None:
    """Whoever began to follow it again would write each line twice beside another bot."""
    waiting = asyncio.ensure_future(sandbox.ended(folder, HANDLE))
    await until(lambda: cluster.heard > 0, "its log is read")
    await sandbox.close()
    with pytest.raises(Unreachable, match="not followed any more"):
        await asyncio.wait_for(waiting, PATIENCE)
    assert not sandbox._followers


@pytest.mark.parametrize("lost", ["all", "what says what lies in it"])
async def test_a_bot_started_after_its_folder_was_deleted_can_stop_it(
    cluster: Cluster, sandbox: KubernetesSandbox, folder: Path, lost: str
) -> None:
    """A cluster that gives no answer is asked again first."""
    if lost == "all":
        lose(folder)
    else:
        (folder / "afar.json").unlink()
    cluster.answers = False
    for asked in (sandbox.status, sandbox.stop, sandbox.ended):
        with pytest.raises(Unreachable, match="etcd has no leader"):
            await asyncio.wait_for(asked(folder, HANDLE), PATIENCE)
    cluster.answers = True
    assert (await sandbox.status(folder, HANDLE)).alive
    async with asyncio.timeout(PATIENCE):
        assert (await sandbox.stop(folder, HANDLE)).reason == "stopped"
        await sandbox.ended(folder, HANDLE)
    assert cluster.deleted
    assert folder.exists() is (lost != "all")


async def test_a_pod_that_was_in_the_making_when_its_job_was_deleted_is_waited_for(
    cluster: Cluster, sandbox: KubernetesSandbox, folder: Path
) -> None:
    cluster.phase, cluster.late = "", 3
    stopping = asyncio.ensure_future(sandbox.stop(folder, HANDLE, force=True))
    await until(lambda: cluster.heard > 0, "its log is read")
    assert not stopping.done()
    assert Attempt(folder).end() is None
    cluster.log, cluster.phase = WHOLE, "Failed"
    assert (await asyncio.wait_for(stopping, PATIENCE)).status == 3


async def test_a_job_deleted_before_it_had_a_pod_has_ended(
    cluster: Cluster, sandbox: KubernetesSandbox, folder: Path
) -> None:
    cluster.phase = ""
    end = await asyncio.wait_for(sandbox.stop(folder, HANDLE, force=True), PATIENCE)
    assert end.reason == "stopped"

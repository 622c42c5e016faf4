"""What goes wrong in a cluster: started twice, deleted from outside, an API server that dies, a
bot that dies, pods that can't begin. A real cluster, a scripted kubelet as its node."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import Broken, Unreachable
from core.model import Mount
from core.ports import Order
from core.sandboxes.kubernetes import KubernetesSandbox
from tests.fakes.agents_api import AgentsApi
from tests.k8s_ground import Ground, ground
from tests.sandbox_bench import ENV, PATIENCE, Bench, others_with, some_seconds, texts


class Afar(Bench):
    def __init__(self, base: Path, cluster: Ground, api: AgentsApi) -> None:
        self.cluster, self.api = cluster, api
        super().__init__(self.other(), base)

    def other(self) -> KubernetesSandbox:
        """As another bot would have it, after a restart."""
        return KubernetesSandbox(lambda: self.api.url, self.cluster.kubeconfig)

    def order(self, *argv: str, **changes: object) -> Order:
        order = super().order(*argv, **{"container": {"image": "bench"}, **changes})
        return replace(order, door=self.api.door(order))

    async def asked(self, method: str, path: str, body: Any = None) -> Any:
        return await asyncio.to_thread(self.cluster.ask, method, path, body)

    async def pods(self, handle: str) -> list[Any]:
        job = json.loads(handle)["job"]
        path = f"/api/v1/namespaces/default/pods?labelSelector=job-name={job}"
        return list((await self.asked("GET", path))["items"])

    async def job(self, handle: str) -> Any:
        path = f"/apis/batch/v1/namespaces/default/jobs/{json.loads(handle)['job']}"
        return await self.asked("GET", path)

    async def nothing_left(self, handle: str) -> None:
        """The Job, its pods and its Secret are gone."""
        job = json.loads(handle)["job"]
        async with asyncio.timeout(PATIENCE):
            for kind in ("jobs", "pods", "secrets"):
                while any(job in one["metadata"]["name"] for one in
                          await asyncio.to_thread(self.cluster.items, kind)):
                    await asyncio.sleep(0.1)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Afar]:
    api = await AgentsApi().open()
    bench = Afar(tmp_path, ground(), api)
    yield bench
    await bench.clean()
    assert isinstance(bench.sandbox, KubernetesSandbox)
    await bench.sandbox.close()
    await api.close()


async def true(ask: Callable[[], Any], what: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await ask():
            await asyncio.sleep(0.05)


async def test_however_often_it_is_asked_there_is_one_job_and_one_pod(bench: Afar) -> None:
    words = some_seconds()
    order = bench.order("sh", "-c", f"echo begun; exec sleep {words}")
    handles = await asyncio.gather(*(bench.start(order) for _ in range(4)))
    await bench.sandbox.close()  # type: ignore[attr-defined]
    handles.append(await bench.other().start(order))
    assert len(set(handles)) == 1
    await bench.said(order, "begun")
    assert len(await bench.pods(handles[0])) == 1
    await bench.sandbox.stop(order.folder, handles[0], force=True)
    assert await bench.start(order) == handles[0]
    assert texts(await bench.lines(order)) == ["begun"]
    assert not others_with(words)


async def test_a_pod_shows_no_secret_and_has_no_rights(bench: Afar, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a-credential")
    order = bench.order(
        "sh", "-c", "cat /opt/auth/key; touch /x || echo read-only; id -u; sleep 1000",
        env={**ENV, "API_KEY": "very-secret-value"}, memory=512 << 20, network="off",
        mounts=(Mount(key, "/opt/auth/key"),),
        container={"image": "bench", "cpus": 0.5, "user": "1000:1000",
                   "node_selector": {"kubernetes.io/hostname": "bench-node"}})
    handle = await bench.start(order)
    pod = (await bench.pods(handle))[0]
    assert order.door is not None
    text = json.dumps(pod)
    assert not [word for word in ("very-secret-value", "a-credential", order.door.token)
                if word in text]
    spec, container = pod["spec"], pod["spec"]["containers"][0]
    assert spec["automountServiceAccountToken"] is False
    assert not [one for one in spec["volumes"] if "hostPath" in one]
    assert spec["securityContext"] == {
        "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000, "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "privileged": False, "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]}}
    assert container["resources"]["limits"] == {"cpu": "500m", "memory": "512Mi"} or (
        container["resources"]["limits"] == {"cpu": "500m", "memory": str(512 << 20)})
    assert container["resources"]["requests"] == container["resources"]["limits"]
    await bench.said(order, "1000")
    assert texts(await bench.lines(order))[:2] == ["a-credentialread-only", "1000"]
    policy = await bench.asked(
        "GET", "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/bullpen-offline")
    assert policy["spec"]["podSelector"]["matchLabels"] == {"bullpen/network": "off"}
    assert pod["metadata"]["labels"]["bullpen/network"] == "off"
    await bench.sandbox.stop(order.folder, handle, force=True)
    await bench.nothing_left(handle)


async def test_a_bot_that_dies_finds_it_again_and_loses_no_line(bench: Afar) -> None:
    order = bench.order("sh", "-c", "for i in $(seq 400); do echo $i; sleep 0.01; done; exit 6")
    script = f"""
import asyncio, pickle, sys
from core.sandboxes.kubernetes import KubernetesSandbox
async def main():
    order = pickle.load(open({str(bench.base / "order")!r}, "rb"))
    sandbox = KubernetesSandbox(lambda: "x", {bench.cluster.kubeconfig!r})
    print(await sandbox.start(order), flush=True)
    await sandbox.ended(order.folder, await sandbox.find(order.folder))
asyncio.run(main())
"""
    import pickle

    (bench.base / "order").write_bytes(pickle.dumps(order))
    bot = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE,
        env={**ENV, "PYTHONPATH": str(Path(__file__).parents[2])})
    assert bot.stdout is not None
    handle = (await bot.stdout.readline()).decode().strip()
    await bench.said(order, "50")
    bot.send_signal(signal.SIGKILL)
    await bot.wait()
    assert await bench.sandbox.find(order.folder) == handle
    end = await bench.end(order, handle)
    assert (end.status, end.reason) == (6, None)
    assert texts(await bench.lines(order)) == [str(n) for n in range(1, 401)]
    await bench.nothing_left(handle)


async def test_a_pod_deleted_from_outside_is_not_worked_on_twice(bench: Afar) -> None:
    words = some_seconds()
    order = bench.order("sh", "-c", f"trap '' TERM; echo begun; sleep {words}; sleep {words}",
                        grace=100.0)
    handle = await bench.start(order)
    await bench.said(order, "begun")
    name = (await bench.pods(handle))[0]["metadata"]["name"]
    body = {"gracePeriodSeconds": 1, "propagationPolicy": "Background"}
    await bench.asked("DELETE", f"/api/v1/namespaces/default/pods/{name}", body)
    end = await bench.end(order, handle)
    assert end.reason == "gone"
    assert "137" in (end.error or "") or "deleted" in (end.error or "")
    assert texts(await bench.lines(order)) == ["begun"]
    assert not others_with(words)
    await bench.nothing_left(handle)


async def test_a_job_deleted_from_outside_is_told(bench: Afar) -> None:
    order = bench.order("sh", "-c", "echo begun; exec sleep 1000", grace=1.0)
    handle = await bench.start(order)
    await bench.said(order, "begun")
    path = f"/apis/batch/v1/namespaces/default/jobs/{json.loads(handle)['job']}"
    await bench.asked("DELETE", path, {"propagationPolicy": "Foreground"})
    end = await bench.end(order, handle)
    assert end.reason in ("stopped", "gone")
    await bench.nothing_left(handle)


async def test_what_was_never_made_is_called_off_for_good(bench: Afar) -> None:
    """Killed between the claim and the Job."""
    order = bench.order("true")
    handle = await bench.start(order)
    await bench.end(order, handle)
    await bench.nothing_left(handle)
    for name in ("handle.json", "exit.json"):
        (order.folder / name).unlink()
    other = bench.other()
    assert await other.find(order.folder) is None
    with pytest.raises(Broken, match="called off"):
        await other.start(order)
    await other.close()


async def test_a_job_whose_secret_is_missing_gets_it_when_it_is_found(bench: Afar) -> None:
    order = bench.order("echo", "hello")
    handle = await bench.start(order)
    job = await bench.job(handle)
    await bench.end(order, handle)
    await bench.nothing_left(handle)
    # The same again, as a bot leaves it that dies after the Job: no Secret, no handle.
    for name in ("handle.json", "exit.json", "end.json", "output"):
        (order.folder / name).unlink()
    facts = {"name": job["metadata"]["name"], "labels": job["metadata"]["labels"]}
    spec = {key: value for key, value in job["spec"].items() if key != "selector"}
    labels = {key: value for key, value in spec["template"]["metadata"]["labels"].items()
              if key not in ("controller-uid", "job-name")}
    spec["template"]["metadata"] = {"labels": labels}
    bench.api.attempts[order.door.token].holder = None  # type: ignore[union-attr]
    (order.folder / "freight").write_bytes(b"")
    await bench.asked("POST", "/apis/batch/v1/namespaces/default/jobs",
                      {"apiVersion": "batch/v1", "kind": "Job", "metadata": facts, "spec": spec})
    other = bench.other()
    assert await other.find(order.folder) == handle
    async with asyncio.timeout(PATIENCE):
        await other.ended(order.folder, handle)
    assert texts(list(await other.read(order.folder, 0, 1 << 20))) == ["hello"]
    await other.close()


async def test_an_image_that_cannot_be_had_is_told_in_one_line(bench: Afar) -> None:
    order = bench.order("true", container={"image": "NO SUCH"})
    handle = await bench.start(order)
    end = await bench.end(order, handle)
    assert end.reason == "not_started"
    assert end.error == "the image NO SUCH can't be pulled: no such image: NO SUCH"
    await bench.nothing_left(handle)


async def test_what_no_node_takes_can_be_stopped(bench: Afar) -> None:
    order = bench.order("true", container={"image": "bench", "node_selector": {"a": "b"}})
    handle = await bench.start(order)
    assert (await bench.sandbox.status(order.folder, handle)).alive
    end = await bench.sandbox.stop(order.folder, handle)
    assert end.reason == "stopped"
    await bench.nothing_left(handle)


async def test_a_refused_job_is_no_attempt(bench: Afar) -> None:
    order = bench.order("true", container={"image": "bench", "node_selector": {"no": "b a d"}})
    with pytest.raises(Broken, match="the Job can't be made"):
        await bench.sandbox.start(order)
    assert await bench.sandbox.find(order.folder) is None


async def test_an_api_server_that_dies_and_comes_back(bench: Afar) -> None:
    flag = bench.base / "workspace-go"
    order = bench.order("sh", "-c", "echo begun; read x; echo $x; for i in $(seq 50); do echo $i;"
                        "done; exit 2", input_open=True)
    handle = await bench.start(order)
    await bench.said(order, "begun")
    bench.cluster.kill("kube-apiserver")
    try:
        assert "the cluster gives no answer" in await bench.lost(order, handle)
        with pytest.raises(Unreachable):
            await bench.sandbox.status(order.folder, handle)
        with pytest.raises(Unreachable):
            await bench.sandbox.stop(order.folder, handle)
        other = bench.order("true")
        with pytest.raises(Unreachable):
            await bench.sandbox.start(other)
        with pytest.raises(Unreachable):
            await bench.other().find(other.folder)
        await bench.sandbox.send(order.folder, 1, b"on\n", last=True)
    finally:
        bench.cluster.start_api()  # not in a thread: it would end with that
    end = await bench.back(order, handle)
    assert (end.status, end.reason) == (2, None)
    assert texts(await bench.lines(order)) == ["begun", "on", *(str(n) for n in range(1, 51))]
    assert await bench.sandbox.find(other.folder) is None
    assert not flag.exists()


async def test_its_time_to_live_clears_away_what_no_bot_came_back_for(bench: Afar) -> None:
    order = bench.order("echo", "hello", container={"image": "bench", "ttl": 1.0})
    sandbox = bench.other()
    handle = await sandbox.start(order)
    await sandbox.close()  # as if it had died
    await bench.nothing_left(handle)
    end = await bench.end(order, handle)
    assert end.reason == "gone"


async def test_silence_while_a_person_is_asked_is_none(bench: Afar) -> None:
    order = bench.order("sh", "-c", "echo begun; exec sleep 1000", idle_time=1.0, grace=0.5)
    handle = await bench.start(order)
    await bench.sandbox.note(order.folder, "waiting", "a gate")
    await bench.said(order, "begun")
    waiting = asyncio.ensure_future(bench.sandbox.ended(order.folder, handle))
    done, _ = await asyncio.wait({waiting}, timeout=3)
    assert not done
    await bench.sandbox.note(order.folder, "waiting", "")
    assert (await bench.end(order, handle)).reason == "idle_time"
    with contextlib.suppress(asyncio.CancelledError):
        await waiting


def test_nothing_of_the_ground_is_reachable_from_elsewhere() -> None:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"kube-apiserver"):
                assert b"--bind-address=127.0.0.1" in words

"""A scripted kubelet: takes the pods that the scheduler binds to its node, runs each container's
command in namespaces of its own, keeps and serves its log, and tells the cluster how it went.

    python kubelet.py APISERVER TOKEN FOLDER PORT

What it plays is true to the real one where our side can tell: empty folders and Secrets as
volumes, TERM and KILL with the pod's grace, logs by time and followed, a pod deleted only when
nothing of it is left. Images: `bench` is this machine's own /usr, anything else can't be pulled.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

NODE = "bench-node"
SHOWN = ("usr", "etc", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
Json = dict[str, Any]
# $1: the root; $BINDS: a file of lines `from|to|ro` or rw
SCRIPT = """
set -e
mount --make-rprivate /
mount -t tmpfs none "$1"
for name in $SHOWN; do
  if [ -L "/$name" ]; then cp -P "/$name" "$1/$name"
  elif [ -d "/$name" ]; then mkdir "$1/$name"; mount --rbind "/$name" "$1/$name"
    [ "$READONLY" != True ] || mount -o remount,bind,ro "$1/$name"; fi
done
mkdir "$1/proc" "$1/dev"; mount -t proc proc "$1/proc"; mount --rbind /dev "$1/dev"
while IFS='|' read -r from to mode; do
  if [ -d "$from" ]; then mkdir -p "$1$to"; else mkdir -p "$(dirname "$1$to")"; : > "$1$to"; fi
  mount --bind "$from" "$1$to"
  [ "$mode" = rw ] || mount -o remount,bind,ro "$1$to"
done <"$BINDS"
[ "$READONLY" != True ] || mount -o remount,ro "$1"
root=$1; shift
cd /
exec chroot "$root" "$@"
"""


@dataclass
class Container:
    """One pod's container."""

    pod: Json
    process: asyncio.subprocess.Process | None = None
    log: list[tuple[float, bytes]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False
    stopping: bool = False
    task: asyncio.Task[None] | None = None


class Kubelet:
    def __init__(self, server: str, token: str, folder: Path, port: int) -> None:
        self.server, self.folder, self.port = server, folder, port
        self.headers = {"Authorization": f"Bearer {token}"}
        self.containers: dict[str, Container] = {}
        self.endings: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        connector = aiohttp.TCPConnector(ssl=False)
        async with aiohttp.ClientSession(connector=connector, headers=self.headers) as self.session:
            runner = await self.serve()
            await self.register()
            watching = asyncio.create_task(self.watch())
            await stop.wait()
            watching.cancel()
            await asyncio.gather(*(self.kill(one) for one in self.containers.values()))
            await runner.cleanup()

    # -- the cluster -------------------------------------------------------------------

    async def call(self, method: str, path: str, body: Json | None = None, kind: str = "") -> Json:
        """Asks until the API server answers."""
        headers = {"Content-Type": kind or "application/json"}
        while True:
            try:
                async with self.session.request(
                    method, f"{self.server}{path}", json=body, headers=headers
                ) as answer:
                    said: Json = await answer.json()
                    if answer.status < 500:
                        return said
            except (aiohttp.ClientError, TimeoutError, ValueError):
                pass
            await asyncio.sleep(0.1)

    async def register(self) -> None:
        now = stamp()
        room = {"cpu": "64", "memory": "64Gi", "pods": "500", "ephemeral-storage": "100Gi"}
        status = {
            "capacity": room, "allocatable": room,
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"},
                          {"type": "Hostname", "address": NODE}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady",
                            "lastHeartbeatTime": now, "lastTransitionTime": now}],
            "nodeInfo": dict.fromkeys((
                "machineID", "systemUUID", "bootID", "kernelVersion", "osImage",
                "containerRuntimeVersion", "kubeletVersion", "kubeProxyVersion",
                "operatingSystem", "architecture"), "bench"),
        }
        node = {"apiVersion": "v1", "kind": "Node",
                "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE}},
                "status": status}
        await self.call("POST", "/api/v1/nodes", node)
        await self.call("PATCH", f"/api/v1/nodes/{NODE}/status", {"status": status},
                        "application/strategic-merge-patch+json")

    async def watch(self) -> None:
        """Every pod of this node, as it changes; after a break all of them again."""
        path = f"{self.server}/api/v1/pods?fieldSelector=spec.nodeName={NODE}&watch=true"
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
                async with self.session.get(
                    path, timeout=aiohttp.ClientTimeout(sock_read=60)
                ) as answer:
                    async for line in answer.content:
                        event = json.loads(line)
                        if event["type"] in ("ADDED", "MODIFIED"):
                            self.seen(event["object"])
            await asyncio.sleep(0.1)

    def seen(self, pod: Json) -> None:
        container = self.containers.get(pod["metadata"]["uid"])
        if container is None and pod["status"].get("phase") == "Pending":
            container = self.containers[pod["metadata"]["uid"]] = Container(pod)
            container.task = asyncio.create_task(self.play(container))
        if container is not None:
            container.pod = pod
        if "deletionTimestamp" in pod["metadata"]:
            ending = asyncio.create_task(self.end(pod, container))
            self.endings.add(ending)
            ending.add_done_callback(self.endings.discard)

    async def status(self, pod: Json, phase: str, state: Json) -> None:
        name, image = "agent", pod["spec"]["containers"][0]["image"]
        now = stamp()
        body = {"status": {
            "phase": phase, "hostIP": "127.0.0.1", "podIP": "127.0.0.1", "startTime": now,
            "containerStatuses": [{"name": name, "image": image, "imageID": image, "ready":
                                   "running" in state, "restartCount": 0, "state": state}],
            "conditions": [{"type": "Initialized", "status": "True"},
                           {"type": "PodScheduled", "status": "True"}]}}
        await self.call("PATCH", f"{of(pod)}/status", body, "application/merge-patch+json")

    # -- a pod -------------------------------------------------------------------------

    async def play(self, container: Container) -> None:
        pod = container.pod
        image = pod["spec"]["containers"][0]["image"]
        if image != "bench":
            waiting = {"reason": "InvalidImageName" if " " in image or image.isupper()
                       else "ErrImagePull", "message": f"no such image: {image}"}
            return await self.status(pod, "Pending", {"waiting": waiting})
        await self.status(pod, "Pending", {"waiting": {"reason": "ContainerCreating"}})
        binds = await self.volumes(pod)
        if container.stopping:
            return None
        container.process = await self.begin(pod, binds)
        await self.status(pod, "Running", {"running": {"startedAt": stamp()}})
        assert container.process.stdout is not None
        rest = b""
        while chunk := await container.process.stdout.read(1 << 18):
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            now = time.time()
            container.log += [(now, line + b"\n") for line in lines]
            container.news.set()
        code = await container.process.wait()
        container.ended = True
        container.news.set()
        code = code if code >= 0 else 128 - code
        ended = {"exitCode": code, "startedAt": stamp(), "finishedAt": stamp(),
                 "reason": "Completed" if code == 0 else "Error",
                 "message": b"".join(line for _, line in container.log[-5:]).decode(
                     "utf-8", "replace")[-2000:]}
        await self.status(pod, "Succeeded" if code == 0 else "Failed", {"terminated": ended})
        shutil.rmtree(self.folder / pod["metadata"]["uid"], ignore_errors=True)
        return None

    async def volumes(self, pod: Json) -> list[tuple[str, str, str]]:
        top = self.folder / pod["metadata"]["uid"]
        binds = []
        made: dict[str, Path] = {}
        for volume in pod["spec"]["volumes"]:
            made[volume["name"]] = path = top / "volumes" / volume["name"]
            path.mkdir(parents=True)
            path.chmod(0o777)
            if "secret" in volume:
                for key, data in (await self.secret(pod, volume["secret"]["secretName"])).items():
                    (path / key).write_bytes(base64.b64decode(data))
                    (path / key).chmod(0o644)
        mounts = pod["spec"]["containers"][0]["volumeMounts"]
        for mount in sorted(mounts, key=lambda one: one["mountPath"].count("/")):
            source = made[mount["name"]] / mount.get("subPath", "")
            mode = "ro" if mount.get("readOnly") else "rw"
            binds.append((str(source), mount["mountPath"], mode))
        return binds

    async def secret(self, pod: Json, name: str) -> dict[str, str]:
        """Waits for it, as the real one does."""
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/secrets/{name}"
        while not self.containers[pod["metadata"]["uid"]].stopping:
            found = await self.call("GET", path)
            if found.get("kind") == "Secret":
                return dict(found["data"])
            await asyncio.sleep(0.1)
        return {}

    async def begin(
        self, pod: Json, binds: list[tuple[str, str, str]]
    ) -> asyncio.subprocess.Process:
        spec = pod["spec"]["containers"][0]
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
               "HOSTNAME": pod["metadata"]["name"], "HOME": "/"}
        for one in spec.get("env", ()):
            env[one["name"]] = one.get("value") or pod["metadata"]["uid"]
        root = self.folder / pod["metadata"]["uid"] / "root"
        root.mkdir()
        listed = root.with_name("binds")
        listed.write_text("".join(f"{a}|{b}|{c}\n" for a, b, c in binds))
        user = pod["spec"].get("securityContext", {}).get("runAsUser")
        drop = ["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all",
                *([f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else [])]
        words = [f"{key}={value}" for key, value in env.items()]
        command = [*drop, "env", "-i", *words, *spec["command"]]
        return await asyncio.create_subprocess_exec(
            "unshare", "--mount", "--pid", "--fork", "--kill-child",
            "sh", "-c", SCRIPT, "sh", str(root), *command,
            env={"PATH": env["PATH"], "SHOWN": " ".join(SHOWN), "BINDS": str(listed),
                 "READONLY": str(spec["securityContext"].get("readOnlyRootFilesystem"))},
            stdin=subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True)

    async def end(self, pod: Json, container: Container | None) -> None:
        """TERM, the grace, KILL; then it is gone from the cluster."""
        if container is not None:
            grace = float(pod["metadata"].get("deletionGracePeriodSeconds", 0))
            again = container.stopping
            container.stopping = True
            process = container.process
            if process is not None and process.returncode is None:
                if not again:
                    with contextlib.suppress(ProcessLookupError, IndexError):
                        os.kill(inner(process.pid), signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(process.wait()), max(grace, 0.1))
                await self.kill(container)
            if container.task is not None:
                await asyncio.wait({container.task})
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
        await self.call("DELETE", of(pod), body)

    async def kill(self, container: Container) -> None:
        process = container.process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    # -- logs --------------------------------------------------------------------------

    async def serve(self) -> web.AppRunner:
        key, cert = self.folder / "key.pem", self.folder / "cert.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
             "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
             "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        app = web.Application()
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self.logs)
        runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=context).start()
        return runner

    async def logs(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["pod"]
        found = [one for one in self.containers.values() if one.pod["metadata"]["name"] == name]
        if not found or found[-1].process is None:
            return web.Response(status=404, text="no such container\n")
        since = 0.0
        if "sinceTime" in request.query:
            since = datetime.fromisoformat(request.query["sinceTime"]).timestamp()
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            async for chunk in self.lines(found[-1], since, request.query.get("follow") == "true"):
                await response.write(chunk)
            await response.write_eof()
        return response

    async def lines(self, container: Container, since: float, follow: bool) -> AsyncIterator[bytes]:
        at = 0
        while True:
            container.news.clear()
            new = [line for when, line in container.log[at:] if when >= since]
            at = len(container.log)
            if new:
                yield b"".join(new)
            if container.ended or not follow:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(container.news.wait(), 0.2)


def of(pod: Json) -> str:
    about = pod["metadata"]
    return f"/api/v1/namespaces/{about['namespace']}/pods/{about['name']}"


def inner(pid: int) -> int:
    """The first process of the pid namespace that `unshare` has made."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    server, token, folder, port = sys.argv[1:]
    asyncio.run(Kubelet(server, token, Path(folder), int(port)).run())

"""A scripted cluster: one Job with one pod, and a log that can fail as a node's may."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import web


class Cluster:
    """`answers`: False: it can't answer anything now. `refuses`: what is asked (a method, or `log`)
    and the status with which that is refused; 200: what answers is none. `log`: `fails` (its node
    gives no answer), `breaks` (in the middle), all of its bytes, or its lines, each with the second
    in which its node saw it. As long as the pod runs, such a log is followed for `holds` seconds at
    once. `phase` is the pod's; empty: there is none; where `late` says so it comes after so many
    looks when the Job is deleted. `asked`: how often the Job was asked for, `heard`: how often its
    log, `deleted`: whether the Job was. `system`: the uid of its `kube-system`; None: that may not
    be read. `made`: what was made there, by its name."""

    def __init__(self) -> None:
        self.answers, self.phase = True, "Running"
        self.log: str | bytes | list[tuple[float, bytes]] = b""
        self.refuses: dict[str, int] = {}
        self.holds = 0.0
        self.asked = self.heard = 0
        self.deleted, self.late = False, 0
        self.system: str | None = "cluster-1"
        self.made: dict[str, dict[str, Any]] = {}
        self._runner: web.AppRunner | None = None

    async def open(self, folder: Path) -> str:
        """Begin, and write down the way there: the path of a kubeconfig."""
        app = web.Application(middlewares=[self._answer])
        jobs, core = "/apis/batch/v1/namespaces/default/jobs", "/api/v1/namespaces/default"
        app.router.add_get("/api/v1/namespaces/kube-system", self._kube_system)
        app.router.add_post(jobs, self._make)
        app.router.add_post(f"{core}/secrets", self._make)
        app.router.add_get(f"{core}/secrets/{{name}}", self._secret)
        app.router.add_get(f"{jobs}/{{name}}", self._job)
        app.router.add_delete(f"{jobs}/{{name}}", self._delete)
        app.router.add_get(f"{core}/pods", self._pods)
        app.router.add_get(f"{core}/pods/{{name}}/log", self._log)
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        file = folder / "kubeconfig"
        file.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test", "users": [],
            "clusters": [{"name": "test", "cluster": {
                "server": f"http://127.0.0.1:{self._runner.addresses[0][1]}"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": ""}}],
        }))
        return str(file)

    async def close(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @web.middleware
    async def _answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked += request.path.endswith("/jobs/one")
        if not self.answers:
            return web.json_response({"message": "etcd has no leader"}, status=503)
        asked = "log" if request.path.endswith("/log") else request.method
        if (status := self.refuses.get(asked)) == 200:
            return web.Response(text="<html>Log in first</html>", content_type="text/html")
        if status is not None:
            return web.json_response({"message": "you may not"}, status=status)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _kube_system(self, request: web.Request) -> web.Response:
        if self.system is None:
            return web.json_response({"message": "namespaces is forbidden"}, status=403)
        return web.json_response({"metadata": {"name": "kube-system", "uid": self.system}})

    async def _make(self, request: web.Request) -> web.Response:
        made = await request.json()
        name = made["metadata"]["name"]
        if name in self.made:
            return web.json_response({"message": "it exists"}, status=409)
        self.made[name] = {"metadata": {"name": name, "uid": str(uuid.uuid4())}, "status": {}}
        return web.json_response(self.made[name], status=201)

    async def _secret(self, request: web.Request) -> web.Response:
        if (found := self.made.get(request.match_info["name"])) is None:
            return web.json_response({"message": "there is no such Secret"}, status=404)
        return web.json_response(found)

    async def _job(self, request: web.Request) -> web.Response:
        if self.deleted:
            return web.json_response({"message": "there is no such Job"}, status=404)
        return web.json_response({"metadata": {"name": "one"}, "status": {}})

    async def _delete(self, request: web.Request) -> web.Response:
        self.deleted, self.phase = True, self.phase and "Failed"
        return web.json_response({})

    async def _pods(self, request: web.Request) -> web.Response:
        if self.late and self.deleted:
            self.late -= 1
            self.phase = self.phase if self.late else "Running"
        if not self.phase:
            return web.json_response({"items": []})
        state = {"running": {}} if self.phase == "Running" else {"terminated": {"exitCode": 0}}
        pod = {"metadata": {"name": "one-x"}, "spec": {"containers": [{"image": "bench"}]},
               "status": {"phase": self.phase, "containerStatuses": [{"state": state}]}}
        return web.json_response({"items": [pod]})

    async def _log(self, request: web.Request) -> web.StreamResponse:
        self.heard += 1
        if isinstance(self.log, bytes):
            return web.Response(body=self.log)
        if self.log == "fails":
            return web.json_response({"message": "dial tcp: no route to host"}, status=500)
        answer = web.StreamResponse()
        await answer.prepare(request)
        if isinstance(self.log, list):
            await self._lines(answer, request.query.get("sinceTime"))
            return answer
        await answer.write(b"0 1 o half of ")
        assert request.transport is not None
        request.transport.close()
        return answer

    async def _lines(self, answer: web.StreamResponse, since: str | None) -> None:
        """As a kubelet: what came since then, and what comes."""
        assert isinstance(self.log, list)
        first = datetime.fromisoformat(since).timestamp() if since else 0.0
        until, told = time.monotonic() + self.holds, 0
        while True:
            running = self.phase == "Running"
            for when, line in self.log[told:]:
                if when >= first:
                    await answer.write(line)
            told = len(self.log)
            if not running or time.monotonic() > until:
                return
            await asyncio.sleep(0.05)

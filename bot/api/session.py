"""The `session` routes: what an agent says to Bullpen, and what it asks of it. Each turns JSON
into a call and the result into JSON; whose attempt it is, the policy has found out."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from bot.api import bodies, faults
from bot.api.bell import Bell
from bot.api.policies import CALLER, Policy, Route
from bot.api.rooms import Rooms
from core import memory, reports
from core.artifacts import LARGEST, check_name
from core.errors import Unclear
from core.house import House
from core.model import Attempt, Gate, GateState
from core.store import doors, sessions, tasks
from core.store.database import Tx

T = TypeVar("T")

UPLOADS = 2
"""Artifacts of one session that are taken in at a time."""


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """What a route takes; an unknown key is refused."""


class Outcome(Body):
    outcome: str
    summary: str = ""


class Progress(Body):
    text: str


class Question(Body):
    text: str
    options: list[str] = []
    key: str = ""


class Permission(Body):
    tool: str
    input: dict[str, Any] = {}
    key: str = ""


class Lease(Body):
    holder: str


class Session:
    """The handlers; `routes` says which of them is reached how."""

    def __init__(self, house: House, bell: Bell) -> None:
        self._house = house
        self._bell = bell
        self._uploads = Rooms(UPLOADS)

    def routes(self) -> tuple[Route, ...]:
        api = "/api/session"
        return (
            Route("POST", f"{api}/outcome", Policy.ATTEMPT, self.outcome),
            Route("POST", f"{api}/progress", Policy.ATTEMPT, self.progress),
            Route("POST", f"{api}/question", Policy.ATTEMPT, self.question),
            Route("POST", f"{api}/permission", Policy.ATTEMPT, self.permission),
            Route("GET", api + "/gates/{id}", Policy.ATTEMPT, self.gate),
            Route("GET", f"{api}/artifacts", Policy.ATTEMPT, self.artifacts),
            Route("GET", api + "/artifacts/{name}", Policy.ATTEMPT, self.artifact),
            Route("PUT", api + "/artifacts/{name}", Policy.ATTEMPT, self.put_artifact),
            Route("GET", f"{api}/memory", Policy.ATTEMPT, self.memory),
            Route("PUT", f"{api}/memory", Policy.ATTEMPT, self.put_memory),
            Route("GET", f"{api}/input", Policy.PLACE, self.input),
            Route("POST", f"{api}/lease", Policy.PLACE, self.lease),
            Route("*", "/api/{rest:.*}", Policy.PLACE, nothing),
        )

    # -- what it says ----------------------------------------------------------------------

    async def outcome(self, request: web.Request) -> web.Response:
        said = await bodies.json_of(request, Outcome)
        await self._act(request, reports.outcome, said.outcome, said.summary)
        return web.json_response({"outcome": said.outcome})

    async def progress(self, request: web.Request) -> web.Response:
        said = await bodies.json_of(request, Progress)
        await self._act(request, reports.progress, said.text)
        return web.json_response({"progress": "told"})

    async def question(self, request: web.Request) -> web.Response:
        said = await bodies.json_of(request, Question)
        key = _key(request, said.key)
        gate = await self._act(request, reports.question, said.text, said.options, key)
        return web.json_response({"gate": _gate(gate)}, status=201)

    async def permission(self, request: web.Request) -> web.Response:
        said = await bodies.json_of(request, Permission)
        bodies.shallow(said.input)
        key = _key(request, said.key)
        gate = await self._act(request, reports.permission, said.tool, said.input, key)
        return web.json_response({"gate": _gate(gate)}, status=201)

    async def put_artifact(self, request: web.Request) -> web.Response:
        name = check_name(request.match_info["name"])
        attempt = _attempt(request)
        async with self._uploads.of(attempt.session_id):
            data = await bodies.whole(request, LARGEST)
            version = await reports.artifact(self._house, attempt, name, data)
        return web.json_response({"name": name, "version": version})

    async def _act(self, request: web.Request, act: Callable[..., T], *words: Any) -> T:
        """One transaction of this caller's attempt."""
        attempt = _attempt(request)
        return await self._house.store.write(lambda tx: act(tx, self._house, attempt, *words))

    # -- what it asks ----------------------------------------------------------------------

    async def gate(self, request: web.Request) -> web.Response:
        """Its own gate; with `wait`, as soon as it is answered."""
        attempt, store = _attempt(request), self._house.store
        number = request.match_info["id"].upper().removeprefix("G-")
        if not number.isascii() or not number.isdigit() or len(number) > 15:
            raise faults.not_found("There is no such gate.")

        async def settled() -> tuple[Gate | None] | None:
            found = await doors.gate(store, attempt, int(number))
            waits = found is not None and found.state is GateState.OPEN
            return None if waits else (found,)

        ready = await self._bell.until(attempt.session_id, settled, bodies.wait(request))
        gate = ready[0] if ready else await doors.gate(store, attempt, int(number))
        if gate is None:
            raise faults.not_found("There is no such gate of this attempt.")
        return web.json_response({"gate": _gate(gate)})

    async def artifacts(self, request: web.Request) -> web.Response:
        found = await doors.artifacts(self._house.store, _attempt(request).session_id)
        listed = [{key: row[key] for key in row.keys()} for row in found]  # noqa: SIM118
        return web.json_response({"artifacts": listed, "total": len(listed)})

    async def artifact(self, request: web.Request) -> web.Response:
        """The newest version of an artifact of its task."""
        house, attempt = self._house, _attempt(request)
        name = check_name(request.match_info["name"])

        def find(tx: Tx) -> Any:
            return tasks.get(tx, sessions.get(tx, attempt.session_id).task_id)

        task = await house.store.write(find)
        try:
            data = await asyncio.to_thread(house.artifacts.read, task, name)
        except Unclear as error:
            raise faults.not_found(str(error)) from None
        return _bytes(data)

    async def input(self, request: web.Request) -> web.Response:
        """What is said to it from a number on: pulled by its launcher where no folder is shared."""
        caller = request[CALLER]
        after, seconds = bodies.number(request, "after"), bodies.wait(request)
        if caller.attempt is None:
            return web.json_response({"inputs": [], "ended": True})
        attempt = caller.attempt

        async def said() -> list[Any] | None:
            return await doors.inputs(self._house.store, attempt, after) or None

        found = await self._bell.until(attempt.session_id, said, seconds) or []
        ended = any(row["last"] for row in found)
        if not found and after:
            before = await doors.inputs(self._house.store, attempt, after - 1)
            ended = any(row["last"] for row in before)
        return web.json_response({"inputs": [_input(row) for row in found], "ended": ended})

    # -- what is kept for it ---------------------------------------------------------------

    async def lease(self, request: web.Request) -> web.Response:
        """The first holder works; a place that was started twice does nothing the second time."""
        caller, holder = request[CALLER], (await bodies.json_of(request, Lease)).holder
        if not 0 < len(holder) <= 200:
            raise faults.invalid("`holder` is a name of at most 200 characters.")
        if caller.errand is not None:
            caller.errand.holder = caller.errand.holder or holder
            granted = caller.errand.holder == holder
        else:
            act = partial(doors.take_lease, attempt=_attempt(request), holder=holder)
            granted = await self._house.store.write(act)
        if not granted:
            raise faults.ApiError(409, "CONFLICT", "Another has taken this lease: do nothing.")
        return web.json_response({"granted": True})

    async def memory(self, request: web.Request) -> web.Response:
        agent = await self._persistent(request)
        return _bytes(await asyncio.to_thread(memory.read_memory, self._house.data, agent))

    async def put_memory(self, request: web.Request) -> web.Response:
        agent = await self._persistent(request)
        text = await bodies.whole(request, memory.LARGEST)
        await asyncio.to_thread(memory.write_memory, self._house.data, agent, text)
        return web.json_response({"size": len(text)})

    async def _persistent(self, request: web.Request) -> str:
        """The name of the caller's agent, which must be one that remembers."""
        session_id = _attempt(request).session_id
        session = await self._house.store.write(lambda tx: sessions.get(tx, session_id))
        agent = self._house.agents.get(session.agent)
        if agent is None or agent.mode != "persistent":
            raise faults.not_found(f"{session.agent} keeps no memory: it is not persistent.")
        return agent.name


async def nothing(request: web.Request) -> web.Response:
    raise faults.not_found("There is no such route.")


def _attempt(request: web.Request) -> Attempt:
    attempt = request[CALLER].attempt
    if attempt is None:  # a policy lets no errand get here
        raise faults.unauthorized()
    return attempt


def _key(request: web.Request, said: str) -> str:
    """What makes a request the same as an earlier one."""
    key = request.headers.get("Idempotency-Key", said)
    if not key.isprintable():
        raise faults.invalid("`Idempotency-Key` is made of printable characters.")
    return key


def _gate(gate: Gate) -> dict[str, Any]:
    return {
        "id": gate.id,
        "ref": gate.ref,
        "kind": gate.kind.value,
        "state": gate.state.value,
        "answer": gate.answer,
        "options": list(gate.options),
    }


def _input(row: Any) -> dict[str, Any]:
    data = base64.b64encode(row["data"]).decode("ascii")
    return {"number": row["number"], "data": data, "last": bool(row["last"])}


def _bytes(data: bytes) -> web.Response:
    """As it is, and nothing that a browser would run."""
    tag = hashlib.sha256(data).hexdigest()
    headers = {"ETag": f'"{tag}"', "Content-Disposition": "attachment"}
    return web.Response(body=data, content_type="application/octet-stream", headers=headers)

"""Who gets in by which door, and what is turned away at each."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.api import bodies
from bot.api.faults import ApiError
from bot.api.pace import Pace
from bot.api.policies import Policy
from bot.api.server import Address, Server
from core.store import doors, inputs
from tests.api_bench import Api, Speaker, asked, serving, short_folder

ROUTES = (
    ("POST", "outcome", {"outcome": "default"}), ("POST", "progress", {"text": "x"}),
    ("POST", "question", {"text": "x"}), ("POST", "permission", {"tool": "x"}),
    ("GET", "gates/1", None), ("GET", "artifacts", None), ("GET", "artifacts/raw-input.md", None),
    ("PUT", "artifacts/a.md", None), ("GET", "input", None), ("POST", "lease", {"holder": "x"}),
    ("GET", "memory", None), ("PUT", "memory", None),
)
BY_ERRAND = {"input", "lease"}
CHANGED = "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM gates)"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    with short_folder() as folder:
        async with serving(folder, Address("http://bull.example:4040", "127.0.0.1", 0)) as api:
            yield api


@pytest.fixture
async def agent(api: Api) -> Speaker:
    return await api.speaker()


# -- policies --------------------------------------------------------------------------------


def handlers(app: web.Application) -> list[tuple[str, str, Any]]:
    return [(route.method, route.resource.canonical if route.resource else "?", route.handler)
            for route in app.router.routes()]


async def test_every_route_has_a_policy(api: Api) -> None:
    for app in (api.server.app(), api.server.far_app(), api.server.socket_app()):
        for method, path, handler in handlers(app):
            assert isinstance(getattr(handler, "policy", None), Policy), f"{method} {path}"


async def test_what_needs_no_token_is_health_alone(api: Api) -> None:
    open_ones = {(method, path) for method, path, handler in handlers(api.server.app())
                 if handler.policy is Policy.OPEN}
    assert open_ones == {("GET", "/api/health"), ("HEAD", "/api/health")}


async def test_other_doors_serve_agents_alone(api: Api) -> None:
    for app in (api.server.far_app(), api.server.socket_app()):
        assert {handler.policy for _, _, handler in handlers(app)} <= {
            Policy.ATTEMPT, Policy.PLACE}


async def test_this_list_of_routes_is_whole(api: Api) -> None:
    served = {(method, path.removeprefix("/api/session/"))
              for method, path, _ in handlers(api.server.app())
              if path.startswith("/api/session/")}
    named = {(method, path.replace("gates/1", "gates/{id}").replace(
        "raw-input.md", "{name}").replace("a.md", "{name}")) for method, path, _ in ROUTES}
    assert served == named


# -- tokens ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "body"), ROUTES, ids=lambda v: str(v))
async def test_who_is_turned_away(agent: Speaker, method: str, path: str, body: Any) -> None:
    api = agent.api
    ended = await api.speaker()
    await ended.end()
    errand = api.home.doors.errand(agent.session.id, api.home.data)
    before = await api.home.store.read(CHANGED)
    for headers in ({}, {"Authorization": "Bearer"}, {"Authorization": "Bearer "},
                    {"Authorization": "Bearer bpa_" + "0" * 64},
                    {"Authorization": agent.token}, {"Authorization": f"Token {agent.token}"},
                    {"Authorization": "Basic " + "eDp5"},
                    {"Authorization": f"Bearer {ended.token}"},
                    {"Authorization": f"Bearer {agent.token}x"},
                    {"Cookie": f"bullpen={agent.token}"}):
        said = await api.ask(method, f"/api/session/{path}", body, headers=headers)
        assert (said.status, said.code) == (401, "UNAUTHORIZED"), headers
    said = await api.ask(method, f"/api/session/{path}", body, token=errand.token)
    assert said.status == (200 if path in BY_ERRAND else 403)
    for query in (f"?token={agent.token}", f"?access_token={agent.token}", f"?{agent.token}"):
        said = await api.ask(method, f"/api/session/{path}{query}", body)
        assert said.status == 400 and agent.token not in said.body.decode()
    assert await api.home.store.read(CHANGED) == before


async def test_a_token_is_no_key_to_the_dashboard(agent: Speaker) -> None:
    for path in ("/", "/index.html", "/enter", "/tasks/TASK-001.html"):
        said = await agent.api.ask("GET", path, token=agent.token)
        assert said.status in (401, 403)
    for path in ("/api/tasks", "/api/gates/1/approve", "/api/session", "/api/session/nothing",
                 "/api/commands", "/api/agents"):
        for method in ("GET", "POST", "DELETE"):
            said = await agent.api.ask(method, path, token=agent.token)
            assert (said.status, said.code) == (404, "NOT_FOUND")
            assert (await agent.api.ask(method, path)).status == 401


async def test_two_tokens_are_one_too_many(agent: Speaker) -> None:
    reply = await raw(agent.api, f"Authorization: Bearer {agent.token}",
                      "Authorization: Bearer bpa_0")
    assert reply.startswith("HTTP/1.1 400 ")


# -- the property: no token reaches another session's data ------------------------------------

MINE, THEIRS = "mine-b7e1", "theirs-9f2c"
paths = st.one_of(
    st.sampled_from([path for _, path, _ in ROUTES]),
    st.builds("artifacts/{}".format, st.sampled_from([
        "note.md", "..%2fnote.md", "%2e%2e/note.md", "../../TASK-002--mend-it/artifacts/note.md",
        ".versions/note.md.v1", ".versions%2fnote.md.v1", "note.md%00", "secret"])),
    st.builds("gates/{}{}".format, st.integers(0, 5), st.sampled_from(["", "?wait=0", "/.."])),
    st.builds("input?after={}".format, st.integers(0, 3)))
actions = st.lists(st.tuples(
    st.sampled_from(["GET", "PUT", "POST", "DELETE"]), paths,
    st.sampled_from([None, {"text": MINE}, {"outcome": "verify.failed"}, {"tool": MINE},
                     {"holder": MINE}, {"text": MINE, "key": "k"}]),
    st.booleans()), min_size=1, max_size=12)


async def prepared(api: Api) -> tuple[Speaker, Speaker]:
    """Two at work, and the second one's secrets everywhere."""
    mine, theirs = await api.speaker(), await api.speaker("keeper")
    await theirs.ask("PUT", "artifacts/note.md", data=THEIRS.encode())
    await theirs.ask("PUT", "artifacts/secret", data=THEIRS.encode())
    await theirs.ask("PUT", "memory", data=THEIRS.encode())
    await theirs.ask("POST", "question", {"text": THEIRS, "options": [THEIRS], "key": "k"})
    await theirs.ask("POST", "lease", {"holder": THEIRS})
    await api.home.store.write(
        lambda tx: inputs.owe(tx, theirs.session.id, THEIRS.encode()))
    await mine.api.home.doors.open(mine.session.id)
    return mine, theirs


async def standing(api: Api, theirs: Speaker) -> list[list[Any]]:
    """All that the database holds of the second one."""
    sid, task = theirs.session.id, theirs.task.id
    return [[tuple(row) for row in await api.home.store.read(sql, params)] for sql, params in (
        ("SELECT * FROM sessions WHERE id = ?", (sid,)),
        ("SELECT * FROM attempts WHERE session_id = ?", (sid,)),
        ("SELECT * FROM iterations WHERE session_id = ?", (sid,)),
        ("SELECT * FROM gates WHERE session_id = ?", (sid,)),
        ("SELECT * FROM artifacts WHERE task_id = ?", (task,)),
        ("SELECT * FROM events WHERE task_id = ? OR session_id = ?", (task, sid)))]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(actions)
def test_no_token_reaches_another_sessions_data(acts: list[Any]) -> None:
    async def play() -> None:
        with short_folder() as folder:
            async with serving(folder) as api:
                mine, theirs = await prepared(api)
                before = await standing(api, theirs)
                for method, path, body, by_socket in acts:
                    speak = mine.over_socket if by_socket else mine.ask
                    data = MINE.encode() if method == "PUT" else None
                    said = await speak(method, path, None if data else body, data=data)
                    assert said.status < 500, (method, path, said)
                    assert THEIRS.encode() not in said.body, (method, path)
                    assert theirs.session.id.encode() not in said.body
                assert await standing(api, theirs) == before
    asyncio.run(play())


# -- hosts and origins -----------------------------------------------------------------------


async def raw(api: Api, *headers: str, host: str | None = None, body: bytes = b"",
              path: str = "/api/session/artifacts", method: str = "GET") -> str:
    """What comes back to a request written byte by byte."""
    reader, writer = await asyncio.open_connection(*api.url[7:].split(":"))
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host or api.url[7:]}", *headers,
             "Connection: close", "", ""]
    writer.write("\r\n".join(lines).encode() + body)
    reply = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    return reply.decode()


async def test_a_foreign_origin_is_turned_away(agent: Speaker) -> None:
    api = agent.api
    port = api.url.rpartition(":")[2]
    for origin in ("http://evil.example", "null", "", f"https://127.0.0.1:{port}",
                   f"http://localhost:{port}", f"http://127.0.0.1:{port}.evil.example"):
        said = await agent.ask("POST", "progress", {"text": "x"}, headers={"Origin": origin})
        assert said.code == "FORBIDDEN", origin
    assert (await agent.ask("POST", "progress", {"text": "x"}, headers={
        "Origin": api.url})).status == 200
    await api.home.doors.open(agent.session.id)
    assert (await agent.over_socket("GET", "artifacts", headers={
        "Origin": "http://evil.example"})).status == 403


async def test_one_host_and_a_known_one(agent: Speaker) -> None:
    own = f"Authorization: Bearer {agent.token}"
    assert (await raw(agent.api, own)).startswith("HTTP/1.1 200 ")
    for host in ("evil.example", "bull.example:4040", "localhost", ""):
        assert (await raw(agent.api, own, host=host or "\t")).startswith("HTTP/1.1 400 ")
    assert " 400 " in (await raw(agent.api, own, f"Host: {agent.api.url[7:]}"))[:14]


async def test_the_far_door_knows_its_own_names(agent: Speaker) -> None:
    server, client = agent.api.server, agent.api.client
    far = f"http://127.0.0.1:{server._far.port}"
    for host, status in (("bull.example:4040", 200), (far[7:], 200), ("bull.example", 400),
                         (agent.api.url[7:], 400)):
        said = await asked(client, "GET", f"{far}/api/session/artifacts", token=agent.token,
                           headers={"Host": host})
        assert said.status == status, host
    for path in ("/", "/index.html", "/enter", "/api/health"):
        assert (await asked(client, "GET", far + path)).status in (401, 404)
    assert agent.api.home.doors.far_url == "http://bull.example:4040"
    door = agent.api.home.doors.door(agent.folder, agent.session.id, 1, near=False)
    assert (door.url, door.socket) == ("http://bull.example:4040", None)


async def test_without_a_door_of_its_own_the_main_one_answers_to_the_far_name() -> None:
    with short_folder() as folder:
        async with serving(folder, Address("http://bull.example")) as api:
            agent = await api.speaker()
            for host in ("bull.example", "bull.example:80"):
                said = await agent.ask("GET", "artifacts", headers={"Host": host})
                assert said.status == 200


# -- bodies ----------------------------------------------------------------------------------


async def test_bodies_have_a_size(agent: Speaker) -> None:
    large = b'{"text": "' + b"x" * (1 << 20) + b'"}'
    assert (await agent.ask("POST", "question", data=large)).status == 413

    async def without_length() -> AsyncIterator[bytes]:
        for _ in range(21 << 4):
            yield b"x" * (1 << 16)

    said = await agent.ask("PUT", "artifacts/a", data=without_length())
    assert said.status == 413
    assert (await agent.ask("PUT", "artifacts/a", data=b"x" * (20 << 20))).status == 200


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b'"text"', b'{"text": 1}', b'{"txt": "x"}',
    b'{"text": "x", "more": 1}', b"\xff\xfe", b'{"text": "\xff"}', b'{"text": null}',
    b"[" * 100_000, b'{"text": ' + b"[" * 100_000])
async def test_what_is_not_understood_is_said_in_a_line(agent: Speaker, body: bytes) -> None:
    said = await agent.ask("POST", "progress", data=body)
    assert (said.status, said.code) == (400, "INVALID_INPUT") and "\n" not in said.message


async def test_bodies_have_a_depth(agent: Speaker) -> None:
    def nested(levels: int) -> dict[str, Any]:
        return {"tool": "x", "input": json.loads('{"a": ' * levels + "1" + "}" * levels)}

    assert (await agent.ask("POST", "permission", nested(bodies.DEEPEST - 1))).status == 201
    for levels in (bodies.DEEPEST + 1, 500):
        said = await agent.ask("POST", "permission", nested(levels))
        assert said.status == 400 and "levels" in said.message
    deep = b'{"tool": "x", "input": {"a": ' + b"[" * 500_000
    assert (await agent.ask("POST", "permission", data=deep)).status == 400


async def test_a_packed_body_is_refused(agent: Speaker) -> None:
    said = await agent.ask("POST", "progress", data=b"x", headers={"Content-Encoding": "deflate"})
    assert said.status in (400, 415)


async def test_a_body_that_does_not_come_is_given_up() -> None:
    with short_folder() as folder:
        async with serving(folder, patience=0.2) as api:
            agent = await api.speaker()
            reply = await raw(api, f"Authorization: Bearer {agent.token}", "Content-Length: 100",
                              method="POST", path="/api/session/progress", body=b'{"te')
    assert reply.startswith("HTTP/1.1 408 ")


@pytest.mark.parametrize("said", [b"", b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nX: "])
async def test_who_never_finishes_asking_is_hung_up_on(said: bytes) -> None:
    with short_folder() as folder:
        async with serving(folder, patience=0.2) as api:
            reader, writer = await asyncio.open_connection(*api.url[7:].split(":"))
            writer.write(said)

            async def dribble() -> None:
                while said:
                    writer.write(b"x")
                    await asyncio.sleep(0.05)

            dribbling = asyncio.create_task(dribble())
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 60) == b""
            dribbling.cancel()
            writer.close()


async def test_those_who_wait_are_few_and_leave_with_the_bot(agent: Speaker) -> None:
    await agent.ask("POST", "question", {"text": "x"})
    waiting = [asyncio.create_task(agent.ask("GET", "gates/1?wait=60")) for _ in range(8)]
    while len(agent.api.server._bell._waiting.get(agent.session.id, ())) < 8:
        await asyncio.sleep(0)
    assert (await agent.ask("GET", "gates/1?wait=60")).code == "RATE_LIMITED"
    await agent.api.server.close()
    states = [(await one).json["gate"]["state"] for one in waiting]
    assert states == ["open"] * 8


async def test_what_breaks_inside_is_told_without_its_inside(agent: Speaker) -> None:
    await agent.api.home.store.close()
    said = await agent.ask("GET", "artifacts")
    assert said.status in (500, 503) and said.code == "INTERNAL_ERROR"
    assert "Traceback" not in said.message and "sqlite" not in said.message.lower()


async def test_a_server_without_a_house_has_no_session_routes(tmp_path: Any) -> None:
    server = Server(tmp_path, "127.0.0.1", 0)
    assert not any("/session" in path for _, path, _ in handlers(server.app()))


async def test_a_stored_hash_opens_nothing(agent: Speaker) -> None:
    known = await doors.living(agent.api.home.store, agent.session.id)
    assert known is not None and known.token_hash
    assert (await agent.ask("GET", "artifacts", token=known.token_hash)).status == 401


def test_a_session_may_ask_so_often_and_others_as_before() -> None:
    now = 0.0
    pace = Pace(3, 2, lambda: now)

    def granted(session: str) -> int:
        for number in range(100):
            try:
                pace.take(session)
            except ApiError as error:
                assert (error.status, error.code) == (429, "RATE_LIMITED")
                return number
        return 100

    assert (granted("a"), granted("a"), granted("b")) == (3, 0, 3)
    now = 1.0
    assert granted("a") == 2
    now = 100.0
    assert (granted("a"), granted("b")) == (3, 3)


async def test_who_asks_too_often_waits() -> None:
    with short_folder() as folder:
        async with serving(folder, pace=Pace(5, 0)) as api:
            agent, other = await api.speaker(), await api.speaker()
            await api.home.doors.open(agent.session.id)
            said = [await agent.ask("GET", "artifacts") for _ in range(4)]
            said += [await agent.over_socket("GET", "artifacts") for _ in range(2)]
            assert [one.status for one in said] == [200] * 5 + [429]
            assert (await other.ask("GET", "artifacts")).status == 200

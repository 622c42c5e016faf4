"""The HTTP doors as seen from behind walls: an agent speaks for itself and reaches nothing else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.ports import Door, Order
from tests import remote_bench
from tests.api_bench import Api, Speaker, serving, short_folder
from tests.docker_ground import PYTHON_IMAGE
from tests.sandbox_bench import SANDBOXES, WALLED, Bench, texts

ASK = """
import http.client, json, socket
class OverSocket(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)
def ask(connection, path, token=None):
    try:
        headers = {"Authorization": "Bearer " + token} if token else {}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except OSError:
        return None
"""


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    with short_folder() as folder:
        async with serving(folder) as api:
            yield api


@pytest.fixture(params=WALLED)
async def bench(request: pytest.FixtureRequest, api: Api) -> AsyncIterator[Bench]:
    base = api.home.data.parent
    bench = Bench(SANDBOXES[request.param](base), base)
    yield bench
    await bench.clean()


def inside(bench: Bench, speaker: Speaker, script: str, **changes: object) -> Order:
    order = bench.order("python3", "-I", "-c", ASK + script, **changes)
    door = Door(speaker.token, speaker.api.url, speaker.socket)
    return _at(order, speaker.folder, door)


def _at(order: Order, folder: Path, door: Door) -> Order:
    workspace = folder / "worktree"
    workspace.mkdir(exist_ok=True)
    return replace(order, folder=folder / "attempts/1", workspace=workspace, door=door)


def near(bench: Bench) -> dict[str, object]:
    """Where it has the network of this machine: for Docker an engine that stands in that."""
    if bench.sandbox.name != "docker":
        return {}
    container = {"image": PYTHON_IMAGE, "engine": remote_bench.engine().address}
    return {"network": "host", "container": container}


async def test_its_own_door_speaks_for_itself_alone(api: Api, bench: Bench) -> None:
    me, other = await api.speaker(), await api.speaker()
    for speaker in (me, other):
        await api.home.doors.open(speaker.session.id)
        assert speaker.socket.exists()
    script = f"""
own, others = {str(me.socket)!r}, {str(other.socket)!r}
print(json.dumps([
    ask(OverSocket(own), "/api/session/artifacts"),
    ask(OverSocket(own), "/api/session/artifacts", {other.token!r}),
    ask(OverSocket(own), "/"),
    ask(OverSocket(others), "/api/session/artifacts", {other.token!r}),
]))
"""
    end, lines = await bench.play(inside(bench, me, script, network="off"))
    assert end.status == 0, texts(lines, "err")
    mine, with_another, page, elsewhere = json.loads(texts(lines)[-1])
    assert mine == 200
    assert with_another in (401, 403)
    assert page in (401, 403, 404)
    assert elsewhere is None


async def test_the_main_door_wants_a_token_and_gives_no_more_than_its_scope(
    api: Api, bench: Bench
) -> None:
    """Over the network of this machine."""
    me, other = await api.speaker(), await api.speaker()
    host, _, port = api.url.removeprefix("http://").partition(":")
    script = f"""
def main(path, token=None):
    return ask(http.client.HTTPConnection({host!r}, {int(port)}, timeout=10), path, token)
print(json.dumps([main("/api/session/artifacts", {me.token!r}), [
    main("/api/session/artifacts"), main("/", {me.token!r}), main("/"),
    main("/t/1.html", {me.token!r}), main("/status.json", {me.token!r}),
    main("/git/{other.session.id}.git/info/refs?service=git-upload-pack", {me.token!r}),
]]))
"""
    end, lines = await bench.play(inside(bench, me, script, **near(bench)))
    assert end.status == 0, texts(lines, "err")
    mine, others = json.loads(texts(lines)[-1])
    assert mine == 200
    assert all(status in (401, 403, 404) for status in others), others

"""The HTTP door, over a real socket: who comes in, and what lies beyond reach."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.api import entry
from bot.api.server import Server
from core.errors import Broken

PAGE, SECRET = "<h1>The board</h1>", "the database"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str


class Door:
    """A server with a small site, and requests written byte by byte."""

    def __init__(self, data: Path, server: Server, address: str) -> None:
        self.data, self.server = data, server
        self.host = address.removeprefix("http://").rstrip("/")
        self.port = int(self.host.rpartition(":")[2])

    async def ask(self, path: str, *headers: str, host: str | None = None,
                  method: str = "GET") -> Answer:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host or self.host}", *headers,
                 "Connection: close", "", ""]
        writer.write("\r\n".join(lines).encode())
        raw = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        head, _, body = raw.decode().partition("\r\n\r\n")
        first, *rest = head.split("\r\n")
        pairs = (line.partition(": ") for line in rest)
        return Answer(int(first.split()[1]), {k.lower(): v for k, _, v in pairs}, body)

    async def enter(self) -> str:
        """A cookie, by a fresh link."""
        answer = await self.ask(self.server.link().partition(self.host)[2])
        assert answer.status == 303 and answer.headers["location"] == "/"
        return f"Cookie: {answer.headers['set-cookie'].partition(';')[0]}"


@pytest.fixture
async def door(data_dir: Path) -> AsyncIterator[Door]:
    site = data_dir / "site"
    (site / "tasks").mkdir(parents=True)
    (site / "index.html").write_text(PAGE)
    (site / "tasks" / "TASK-001.html").write_text("the task")
    (site / ".state.json").write_text("hidden")
    (data_dir / "bullpen.db").write_text(SECRET)
    (site / "leak.html").symlink_to(data_dir / "bullpen.db")
    server = Server(data_dir, "127.0.0.1", 0)
    address = await server.start()
    yield Door(data_dir, server, address)
    await server.close()


async def test_health_needs_no_cookie(door: Door) -> None:
    answer = await door.ask("/api/health")
    assert answer.status == 200 and json.loads(answer.body)["status"] == "ok"


async def test_without_a_cookie_nothing_is_shown(door: Door) -> None:
    for headers in ((), ("Cookie: bullpen=made-up",), ("Cookie: bullpen=1-a.b; other=1",)):
        answer = await door.ask("/", *headers)
        assert answer.status == 401 and "bullpen open" in answer.body and PAGE not in answer.body


async def test_a_link_opens_once_and_the_cookie_goes_on(door: Door) -> None:
    path = door.server.link().partition(door.host)[2]
    first = await door.ask(path)
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    second = await door.ask(path)
    assert second.status == 403 and "was used before" in second.body
    assert "set-cookie" not in second.headers
    for page, text in (("/", PAGE), ("/tasks/TASK-001.html", "the task"), ("/index.html", PAGE)):
        answer = await door.ask(page, f"Cookie: {cookie.partition(';')[0]}")
        assert (answer.status, answer.body) == (200, text)


async def test_a_code_is_no_cookie_and_a_cookie_no_code(door: Door) -> None:
    cookie = (await door.enter()).removeprefix("Cookie: bullpen=")
    code = door.server.link().partition("code=")[2]
    assert (await door.ask("/", f"Cookie: bullpen={code}")).status == 401
    assert (await door.ask(f"/enter?code={cookie}")).status == 403
    for bad in ("", "x", "9999999999-aa.00", code[:-1] + ("0" if code[-1] != "0" else "1")):
        assert (await door.ask(f"/enter?code={bad}")).status == 403


async def test_another_process_of_the_owner_makes_a_link_that_opens(door: Door) -> None:
    other = Server(door.data, "127.0.0.1", entry.running_port(door.data) or 0)
    assert (await door.ask(other.link().partition(door.host)[2])).status == 303
    assert (door.data / "api.key").stat().st_mode & 0o777 == 0o600


async def test_a_key_of_another_folder_opens_nothing(door: Door, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    code = entry.make_code(entry.load_key(tmp_path / "other"))
    assert (await door.ask(f"/enter?code={code}")).status == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1",
                                  "127.0.0.1:1", "127.0.0.1:{port}.evil.example", "x@127.0.0.1"])
async def test_a_host_that_is_not_ours_is_refused(door: Door, host: str) -> None:
    cookie = await door.enter()
    for path in ("/", "/api/health", door.server.link().partition(door.host)[2]):
        answer = await door.ask(path, cookie, host=host.format(port=door.port))
        assert answer.status == 400 and PAGE not in answer.body


async def test_our_own_names_are_served(door: Door) -> None:
    for name in ("localhost", "LOCALHOST", "127.0.0.1", "[::1]"):
        assert (await door.ask("/api/health", host=f"{name}:{door.port}")).status == 200


async def test_two_hosts_are_refused(door: Door) -> None:
    cookie = await door.enter()
    for extra in (f"Host: {door.host}", "Host: evil.example"):
        answer = await door.ask("/", cookie, extra)
        assert answer.status == 400 and PAGE not in answer.body


@pytest.mark.parametrize("path", [
    "/../bullpen.db", "/tasks/../../bullpen.db", "/..%2fbullpen.db", "/%2e%2e/bullpen.db",
    "/tasks/..%2f..%2fbullpen.db", "//bullpen.db", "/leak.html", "/.state.json", "/%2estate.json",
    "/tasks", "/tasks/", "/nothing.html", "/index.html%00", "/index.html/", "/%2fetc%2fpasswd",
    "/..\\bullpen.db"])
async def test_what_lies_beyond_reach(door: Door, path: str) -> None:
    answer = await door.ask(path, await door.enter())
    assert answer.status in (400, 404) or (path == "/index.html/" and answer.body == PAGE), path
    assert SECRET not in answer.body and "hidden" not in answer.body


async def test_only_looking_is_possible(door: Door) -> None:
    cookie = await door.enter()
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert (await door.ask("/", cookie, "Content-Length: 0", method=method)).status == 405


async def test_every_answer_carries_the_guards(door: Door) -> None:
    cookie = await door.enter()
    for path, headers in (("/", (cookie,)), ("/", ()), ("/nothing", (cookie,))):
        answer = await door.ask(path, *headers)
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_taken_port_is_one_line(door: Door, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(Broken, match=rf"Port {door.port} on 127\.0\.0\.1 is taken"):
        await Server(tmp_path / "other", "127.0.0.1", door.port).start()


def test_codes_and_cookies_grow_old(data_dir: Path) -> None:
    key = entry.load_key(data_dir)
    old = entry._signed(key, "code", "1000000000-aa")
    assert not entry.Codes(key).use(old)
    assert not entry.valid_cookie(key, entry._signed(key, "cookie", "1000000000-aa"))
    assert entry.valid_cookie(key, entry.make_cookie(key))
    assert entry.load_key(data_dir) == key

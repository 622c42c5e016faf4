"""What an agent behind walls cannot reach, tried from inside: real processes, files, sockets."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from core.ports import Door, Order
from tests.api_bench import short_folder
from tests.sandbox_bench import SANDBOXES, WALLED, Bench, lives, texts

TRY = """
import json, os, socket, sys
def tried(act):
    try:
        return act()
    except OSError as error:
        return None
def connect(family, address):
    with socket.socket(family) as client:
        client.settimeout(5)
        client.connect(address)
        return client.recv(100).decode()
def write(path):
    with open(path, "a") as file:
        file.write("planted")
    return True
"""
SECRET = "the-secret-of-the-bot"


@pytest.fixture(params=WALLED)
async def bench(
    request: pytest.FixtureRequest, tmp_path: Path, data: Path
) -> AsyncIterator[Bench]:
    """Over before the data folder is gone."""
    bench = Bench(SANDBOXES[request.param](tmp_path), tmp_path)
    yield bench
    await bench.clean()


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder with two sessions, as Bullpen makes it."""
    with short_folder() as folder:
        yield _laid(folder / "data")


def _laid(data: Path) -> Path:
    for session in ("mine", "other"):
        for name in ("worktree", "home", "artifacts", "door"):
            (data / "sessions" / session / name).mkdir(parents=True)
    for name in ("bullpen.db", "logs.db", "api.key", "sessions/other/worktree/code.py"):
        (data / name).write_text(SECRET)
    return data


@pytest.fixture
def bot(tmp_path: Path) -> Iterator[int]:
    """A process of this machine with a secret in its environment."""
    code = "import time; print(flush=True); time.sleep(1000)"
    with subprocess.Popen(
        [sys.executable, "-c", code], env={"TOKEN": SECRET}, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def mine(bench: Bench, data: Path, script: str, **changes: object) -> Order:
    """A script of Python in the session `mine`; it prints JSON."""
    session = data / "sessions/mine"
    order = bench.order("python3", "-I", "-c", TRY + script, **changes)
    return replace(
        order,
        workspace=session / "worktree",
        folder=session / "attempts" / str(order.number),
        env={**order.env, "HOME": str(session / "home")},
        writable=(session / "home", session / "artifacts"),
        door=Door("bpa_mine", socket=session / "door/api.sock"),
    )


async def told(bench: Bench, order: Order) -> object:
    end, lines = await bench.play(order)
    assert (end.status, end.reason) == (0, None), texts(lines, "err")
    return json.loads(texts(lines)[-1])


async def test_databases_keys_and_other_sessions_cannot_be_read(bench: Bench, data: Path) -> None:
    (data / "sessions/mine/worktree/own.py").write_text("mine")
    paths = [str(path) for path in data.rglob("*") if path.is_file()]
    home = [str(Path.home() / name) for name in (".ssh", ".bashrc", ".profile", ".cache")]
    script = f"""
paths = {paths!r}
print(json.dumps([[p for p in paths if tried(lambda: open(p).read())],
                  tried(lambda: os.listdir({str(data / "sessions")!r})),
                  [p for p in {home!r} if os.path.exists(p)],
                  [p for p in ("/var/run/docker.sock", "/run/docker.sock", "/etc/shadow")
                   if os.path.exists(p)]]))
"""
    readable, sessions, private, sockets = await told(bench, mine(bench, data, script))  # type: ignore[misc]
    assert readable == [str(data / "sessions/mine/worktree/own.py")]
    assert sessions == ["mine"]
    assert (private, [name for name in sockets if "sock" in name]) == ([], [])


async def test_nothing_but_its_own_places_can_be_written(bench: Bench, data: Path) -> None:
    session = data / "sessions/mine"
    own = [str(session / name / "new") for name in ("worktree", "home", "artifacts")]
    others = [
        *(str(data / name) for name in ("bullpen.db", "api.key", "new")),
        *(str(data / "sessions" / name / "new") for name in ("", "other", "other/worktree")),
        *(str(session / name) for name in ("new", "door/new", "attempts/1/exit.json")),
        *(str(Path(folder, "planted-by-a-test")) for folder in ("/", "/usr", "/etc", "/opt")),
        str(Path.home() / "planted-by-a-test"),
    ]
    kernel = ["/proc/sys/kernel/core_pattern", "/proc/sys/vm/overcommit_memory",
              "/proc/sysrq-trigger", "/proc/kcore"]  # fmt: skip
    script = f"""
print(json.dumps([[p for p in {own!r} if tried(lambda: write(p))],
                  [p for p in {others!r} if tried(lambda: write(p))],
                  [p for p in {kernel!r} if tried(lambda: str(os.open(p, os.O_WRONLY)))]]))
"""
    before = {path: _content(path) for path in others}
    written, _, settings = await told(bench, mine(bench, data, script))  # type: ignore[misc]
    assert (written, settings) == (own, [])
    after = {path: _content(path) for path in others}
    del before[str(session / "attempts/1/exit.json")], after[str(session / "attempts/1/exit.json")]
    assert after == before


async def test_other_processes_are_neither_seen_nor_read_nor_signalled(
    bench: Bench, data: Path, bot: int
) -> None:
    script = f"""
bot, found = {bot}, []
for pid in (bot, os.getppid(), *(int(p) for p in os.listdir("/proc") if p.isdigit())):
    found.append(str(tried(lambda: open(f"/proc/{{pid}}/environ").read())))
    found.append(str(tried(lambda: open(f"/proc/{{pid}}/cmdline").read())))
seen = "TOKEN" + "=" in "".join(found)
for number in (15, 9):
    tried(lambda: os.kill(bot, number))
print(json.dumps([seen, len(os.listdir("/proc")) and
                  sum(name.isdigit() for name in os.listdir("/proc"))]), flush=True)
"""
    seen, many = await told(bench, mine(bench, data, script))  # type: ignore[misc]
    assert not seen
    assert many < 10
    end, _ = await bench.play(mine(bench, data, "os.kill(-1, 9)"))
    assert end.reason in (None, "stopped", "gone")
    assert lives(bot)


def _content(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except OSError:
        return None


def listening(path: Path, word: bytes) -> socket.socket:
    """A socket of a session's; whoever connects hears the word."""
    server = socket.socket(socket.AF_UNIX)
    path.unlink(missing_ok=True)
    server.bind(str(path))
    server.listen()
    server.setblocking(False)
    return server


async def test_only_its_own_door_opens_and_also_after_the_bot_began_again(
    bench: Bench, data: Path
) -> None:
    script = f"""
for line in sys.stdin:
    print(json.dumps([tried(lambda: connect(socket.AF_UNIX, path)) for path in (
        {str(data / "sessions/mine/door/api.sock")!r},
        {str(data / "sessions/other/door/api.sock")!r})]), flush=True)
"""
    order = mine(bench, data, script, input_open=True)
    handle = await bench.start(order)
    for number, word in enumerate((b"first", b"again"), start=1):
        with (
            closing(listening(data / "sessions/mine/door/api.sock", word)) as own,
            closing(listening(data / "sessions/other/door/api.sock", word)) as other,
        ):
            await bench.sandbox.send(order.folder, number, b"try\n")
            client = await _accepted(own)
            client.sendall(word)
            client.close()
            await bench.said(order, f'["{word.decode()}", null]')
            with pytest.raises(BlockingIOError):
                other.accept()
    await bench.sandbox.stop(order.folder, handle, force=True)


async def _accepted(server: socket.socket) -> socket.socket:
    async with asyncio.timeout(30):
        client, _ = await asyncio.get_running_loop().sock_accept(server)
    return client


async def test_without_a_network_not_even_loopback_is_reached(bench: Bench, data: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.setblocking(False)
        address = server.getsockname()
        script = f"""
print(json.dumps([tried(lambda: connect(socket.AF_INET, {address!r})),
                  tried(lambda: connect(socket.AF_INET, ("192.0.2.1", 80))),
                  sorted(name for _, name in socket.if_nameindex())]))
"""
        found = await told(bench, mine(bench, data, script, network="off"))
        assert found == [None, None, ["lo"]]
        with pytest.raises(BlockingIOError):
            server.accept()


async def test_it_has_no_capability_and_cannot_get_one(bench: Bench, data: Path) -> None:
    script = """
facts = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps([int(facts["CapEff"], 16), int(facts["CapPrm"], 16), int(facts["NoNewPrivs"])]))
"""
    assert await told(bench, mine(bench, data, script)) == [0, 0, 1]


async def test_what_is_to_be_read_is_seen_and_stays_as_it_is(bench: Bench, data: Path) -> None:
    objects = data / "repos/demo.git/objects"
    objects.mkdir(parents=True)
    (objects / "pack").write_text("objects")
    (data / "repos/demo.git/config").write_text(SECRET)
    script = f"""
print(json.dumps([open({str(objects / "pack")!r}).read(),
                  tried(lambda: write({str(objects / "pack")!r})),
                  tried(lambda: write({str(objects / "new")!r})),
                  tried(lambda: open({str(data / "repos/demo.git/config")!r}).read())]))
"""
    order = mine(bench, data, script, readable=(objects,))
    assert await told(bench, order) == ["objects", None, None, None]


async def test_a_clone_that_borrows_its_objects_works_inside(bench: Bench, data: Path) -> None:
    """Commits are made in the workspace; the bare repository stays as it is."""
    bare, workspace = data / "repos/demo.git", data / "sessions/mine/worktree"
    bare.parent.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(data), "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    origin = data / "origin"

    def git(*words: str) -> None:
        subprocess.run(["git", *identity, *words], env=env, check=True, capture_output=True)

    git("init", "-q", str(origin))
    git("-C", str(origin), "commit", "-q", "--allow-empty", "-m", "first")
    git("clone", "-q", "--bare", str(origin), str(bare))
    shutil.rmtree(workspace)
    git("clone", "-q", "--shared", str(bare), str(workspace))
    order = mine(bench, data, "", readable=(bare / "objects",))
    text = "echo new > file && git add file && git commit -qm second && git log --format=%s"
    people = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
    names = {f"GIT_{name}": "a@b" for name in people}
    order = replace(order, argv=("sh", "-c", text), env={**order.env, **names})
    end, lines = await bench.play(order)
    assert (end.status, texts(lines)) == (0, ["second", "first"]), texts(lines, "err")

"""A bot's HTTP doors on a scratch folder, and attempts that speak over them."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp

from bot.api.pace import Pace
from bot.api.server import Address, Server
from core.doors import hashed
from core.house import House
from core.lifecycle import Situation
from core.model import Attempt, Session, Task
from core.store import doors, sessions
from core.store.database import Store, Tx
from tests.fakes.clock import FakeClock
from tests.house_bench import bring, house

OUTCOMES = {"default": "review", "verify.passed": "review", "verify.failed": "work"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])

    @property
    def message(self) -> str:
        return str(self.json["error"]["message"])


@dataclass
class Speaker:
    """A living attempt, and its token."""

    api: Api
    task: Task
    session: Session
    attempt: Attempt
    token: str

    @property
    def folder(self) -> Path:
        return self.api.home.session_folder(self.session.id)

    @property
    def socket(self) -> Path:
        return self.folder / "door" / "api.sock"

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """Over the main door, with its own token."""
        return await self.api.ask(method, f"/api/session/{path}", body,
                                  **{"token": self.token, **more})

    async def over_socket(self, method: str, path: str, body: Any = None, *,
                          token: str | None = None, **more: Any) -> Answer:
        connector = aiohttp.UnixConnector(str(self.socket))
        async with aiohttp.ClientSession(connector=connector) as client:
            return await asked(client, method, f"http://localhost/api/session/{path}", body,
                               token=token, **more)

    async def end(self) -> None:
        """Its attempt has ended."""
        await self.api.home.store.write(
            lambda tx: sessions.attempt_ended(tx, self.attempt, sessions.Exit(status=0)))


class Api:
    def __init__(self, home: House, server: Server, url: str,
                 client: aiohttp.ClientSession) -> None:
        self.home, self.server, self.url, self.client = home, server, url.rstrip("/"), client

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return await asked(self.client, method, self.url + path, body, **more)

    async def speaker(self, agent: str = "claude") -> Speaker:
        """Somebody at work, on a task of its own."""

        def act(tx: Tx) -> tuple[Task, Session, Attempt]:
            task = bring(tx, self.home, Situation.WORKING)
            (session,) = sessions.open_of_task(tx, task.id)
            attempt = sessions.get_attempt(tx, session.id)
            token = self.home.doors.token(session.id, attempt.number)
            doors.keep_token(tx, attempt, hashed(token))
            tx.run("UPDATE sessions SET agent = ? WHERE id = ?", (agent, session.id))
            return task, sessions.get(tx, session.id), attempt

        task, session, attempt = await self.home.store.write(act)
        (self.home.session_folder(session.id) / "artifacts").mkdir(parents=True)
        token = self.home.doors.token(session.id, attempt.number)
        return Speaker(self, task, session, attempt, token)

    async def value(self, sql: str, *params: Any) -> Any:
        found = await self.home.store.read(sql, params)
        return found[0][0] if found else None


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose sockets' paths are short enough for the system."""
    folder = Path(tempfile.mkdtemp(prefix="bp-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.asynccontextmanager
async def serving(folder: Path, agents: Address | None = None,
                  patience: float = 30.0, pace: Pace | None = None) -> AsyncIterator[Api]:
    """A house with a step of several outcomes, and its doors on a free port."""
    data = folder / "data"
    store = await Store(data, FakeClock().now).open()
    home = house(store, data)
    declare(home)
    server = Server(data, "127.0.0.1", 0, home, agents, patience, pace)
    try:
        url = await server.start()
        async with aiohttp.ClientSession(auto_decompress=False) as client:
            yield Api(home, server, url, client)
    finally:
        await server.close()
        await store.close()


def declare(home: House) -> None:
    """The step `work` may end in several ways; a second agent is persistent."""
    quick = home.workflows["quick"]
    steps = tuple(replace(step, outcomes=OUTCOMES) if step.id == "work" else step
                  for step in quick.steps)
    keeper = replace(home.agents["claude"], name="keeper", mode="persistent")
    setup = replace(home.setup, workflows={**home.workflows, "quick": replace(quick, steps=steps)},
                    agents={**home.agents, "keeper": keeper})
    home.current.setup = setup


async def asked(client: aiohttp.ClientSession, method: str, url: str, body: Any = None, *,
                token: str | None = None, data: bytes | None = None,
                headers: Mapping[str, str] | None = None) -> Answer:
    sent = dict(headers or {})
    if token is not None:
        sent.setdefault("Authorization", f"Bearer {token}")
    async with client.request(method, url, json=body, data=data, headers=sent,
                              allow_redirects=False) as answer:
        return Answer(answer.status, answer.headers, await answer.read())



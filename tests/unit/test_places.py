"""Where an agent runs, and what that means for its programs and its PATH."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.house import BOXED, House
from core.lifecycle import Situation
from core.model import Agent
from core.sessions.surroundings import environment
from core.store import sessions
from core.store.database import Store
from tests.house_bench import bring, house


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store(tmp_path, lambda: 1).open()
    yield store
    await store.close()


@pytest.fixture
def home(store: Store, tmp_path: Path) -> House:
    return house(store, tmp_path)


def boxed(sandbox: str, **container: Any) -> Agent:
    options = {"command": "no-such-program-here"}
    return Agent("far", "command", sandbox, options=options, container=container)


@pytest.mark.parametrize(("engine", "place"), [
    (None, "docker"), ("unix:///run/docker.sock", "docker"),
    ("ssh://crew@builder", "docker-remote"),
])
def test_an_engine_elsewhere_is_another_sandbox(
    home: House, engine: str | None, place: str
) -> None:
    assert home.place(boxed("docker", engine=engine)) == place
    assert home.place(replace(boxed("host"), container={"engine": engine})) == "host"


@pytest.mark.parametrize("sandbox", ["host", *sorted(BOXED)])
def test_an_images_programs_are_not_looked_for_here(home: House, sandbox: str) -> None:
    agent = boxed(sandbox)
    told = home.no_driver(agent)
    assert told is None if sandbox in BOXED else "no-such-program-here" in str(told)
    unreadable = replace(agent, options={"command": "'oops"})
    assert "Close the quote" in str(home.no_driver(unreadable))


@pytest.mark.parametrize("sandbox", ["host", *sorted(BOXED)])
async def test_an_image_keeps_its_own_path(store: Store, home: House, sandbox: str) -> None:
    task = await store.write(lambda tx: bring(tx, home, Situation.WORKING))
    found = await store.read("SELECT id FROM sessions WHERE task_id = ?", (task.id,))
    session = await store.write(lambda tx: sessions.get(tx, found[0]["id"]))
    session = replace(session, sandbox=sandbox)
    env = environment(home, session, boxed(sandbox))
    assert env.get("PATH") == (None if sandbox in BOXED else os.environ["PATH"])
    own = replace(boxed(sandbox), environment={"PATH": "/own"})
    assert environment(home, session, own)["PATH"] == "/own"

"""The sandbox suite for places that share no folder: what can't be said of them is left out by
name."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import Broken
from core.model import Mount
from tests.contracts import test_sandbox_contract as suite
from tests.sandbox_bench import PATIENCE, Bench

LEFT_OUT = {
    "test_it_can_work_here": "it needs an image and an address: see test_it_says_what_it_lacks",
    "test_a_missing_workspace_is_named": "over there the workspace is made anew",
    "test_a_folder_starts_one_process_however_often_it_is_asked":
        "it looks into the workspace: see test_however_often_it_is_asked_… of the faults",
    "test_what_cannot_start_says_why_in_one_line": "its programs lie in a folder of this machine",
    "test_a_terminal_is_its_input_and_output": "the size of a terminal does not get there",
}
"""Tests of the suite that look at what is not shared, and why they are not run."""


def promised() -> dict[str, Callable[..., Any]]:
    """The tests that are run, for a module's globals: the suite's, and those below. Those left out
    are there to be left out."""
    tests = {name: test for name, test in vars(suite).items() if name.startswith("test_")}
    assert LEFT_OUT.keys() <= tests.keys()
    kept = {name: test for name, test in tests.items() if name not in LEFT_OUT}
    return kept | {name: test for name, test in globals().items() if name.startswith("test_")}


@pytest.mark.parametrize("target", ["/opt/auth/key", "{room}/key"], ids=["shown", "laid out"])
async def test_what_can_not_be_carried_there_is_refused_at_the_start(
    bench: Bench, tmp_path: Path, target: str
) -> None:
    """Whatever lies where a mount is to come from: the bot neither waits for it, nor reads it
    without end, nor follows it out of where an agent may have been at work."""
    room = tmp_path / "room"
    for path in (room, tmp_path / "many", tmp_path / "secret"):
        path.mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "secret/key").write_text("of-somebody")
    (room / "link").symlink_to(tmp_path / "secret/key")
    (room / "aside").symlink_to(tmp_path / "secret")
    for path, size in ((tmp_path / "large", 1 << 20), *(
            (tmp_path / "many" / str(n), (1 << 20) - 1) for n in range(9))):
        with open(path, "wb") as file:
            file.truncate(size + 1)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for name, why in {
            "pipe": "it is no file", "/dev/zero": "it is no file", "socket": "it is no file",
            "room/link": "it is a link", "room/aside/key": "Not a directory",
            "large": "larger than 1 MB", "many": "more than 8 MB", "nowhere": "No such file",
        }.items():  # fmt: skip
            mount = Mount(tmp_path / name, target.format(room=room))
            order = bench.order("true", writable=(room,), mounts=(mount,))
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(Broken, match=why):
                    await bench.sandbox.start(order)
                assert await bench.sandbox.find(order.folder) is None

"""Real agents in the bot's hands: the model is scripted, all else is what people use."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.sandboxes.bubblewrap import BubblewrapSandbox
from tests.flows.bench import Bench, Live
from tests.needs import need

_OWN = {"bot.cli", "site_gen"}
"""Processes of the bot's own, by a word of theirs."""


def program(name: str, variable: str, how: str) -> str:
    """The real agent's program; the test is skipped by name where it isn't here."""
    found = shutil.which(os.environ.get(variable, name))
    need(how, found is not None, f"scripts/tools.sh, or {variable}=PROGRAM")
    assert found is not None
    return found


def need_sandbox(name: str) -> None:
    if name == "bubblewrap":
        missing = BubblewrapSandbox().missing({})
        need("bubblewrap", missing is None, str(missing))


def crew(bench: Bench, name: str, sandbox: str, options: Mapping[str, Any],
         environment: Mapping[str, str], more: str = "") -> None:
    """That agent alone, with an account that others could share."""
    rows = [f'[agents.{name}]\ndriver = "{name}"\nsandbox = "{sandbox}"\naccount = "team"', more,
            f"[agents.{name}.options]", *(f"{key} = {_toml(v)}" for key, v in options.items()),
            f"[agents.{name}.environment]", *(f'{k} = "{v}"' for k, v in environment.items())]
    if name != "claude":
        rows.append('[agents.claude]\ndriver = "claude"\nenabled = false')
    bench.configure("\n".join(row for row in rows if row) + "\n", "config/agents.toml")


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f'"{key}" = {_toml(one)}' for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return str(value).lower() if isinstance(value, bool | int) else f'"{value}"'


def left(folder: Path) -> list[str]:
    """Agents' processes of this folder, by their command line, place or variables."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            told += os.fsencode((process / "cwd").readlink()) + b"/"
            line = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if os.fsencode(folder) + b"/" in told and not _OWN & set(line):
                found.append(" ".join(line))
    return found


async def ended(live: Live, bench: Bench) -> None:
    """Nothing of any agent is left."""
    await live.until(lambda: not left(bench.folder), "the end of all its processes")

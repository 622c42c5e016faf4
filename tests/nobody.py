"""Tests of what is only so for a bot that is not root, where whoever runs the tests is."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def place() -> Iterator[Path]:
    """A folder of somebody who is not root, and reaches it."""
    with tempfile.TemporaryDirectory(prefix="bpn-") as base:
        if os.geteuid() == 0:
            os.chown(base, NOBODY, NOBODY)
        yield Path(base)


def leave_root() -> None:
    """For all of this process, which must have loaded all that it takes: nobody may be shown
    where that lies."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def played(module: str, *args: str) -> str:
    """The error of `module.play(*args)` in a process of its own; empty where all went well."""
    words = f"import asyncio, sys; from {module} import play; asyncio.run(play(*sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", words, *args], check=False, capture_output=True, text=True,
        timeout=120, cwd=Path(__file__).parents[1])  # fmt: skip
    return "" if done.returncode == 0 else done.stderr[-3000:] or f"status {done.returncode}"

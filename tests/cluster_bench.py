"""One attempt over a scripted cluster: what it was told, and what its log says."""

from __future__ import annotations

import json
from pathlib import Path

from core.sandboxes.attempt import Attempt
from core.sandboxes.kubernetes.following import Handle

HANDLE = Handle("one", "default").handle
END = {"exit": {"status": 3, "signal": None, "reason": None, "error": None, "at": 5}}
WHOLE = b"0 1 o hello\n12 1 o there\n= " + json.dumps(END).encode() + b"\n"


def started(folder: Path) -> Path:
    """An attempt that has been started."""
    folder.mkdir()
    limited(folder, None)
    (folder / "handle.json").write_text(HANDLE)
    assert Attempt(folder).take("kubernetes:" + HANDLE)
    return folder


def limited(folder: Path, idle_time: float | None) -> None:
    facts = {"workspace": str(folder.parent), "branch": "", "log_cap": 1 << 20, "grace": 0.0,
             "idle_time": idle_time, "rooms": []}
    (folder / "afar.json").write_text(json.dumps(facts))

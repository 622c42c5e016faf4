"""Named instants at which a test may have this process killed, as a power cut would.

`BULLPEN_KILL_AT=after-claim` kills at the first passing; `after-claim:3` at the third.
"""

from __future__ import annotations

import os
import signal

POINTS = ("after-claim", "after-spawn", "after-exit", "after-approval", "after-intake")

_passed: dict[str, int] = {}


def kill_point(name: str) -> None:
    """Dies here by SIGKILL when the environment says so; otherwise does nothing."""
    wanted, _, nth = os.environ.get("BULLPEN_KILL_AT", "").partition(":")
    if wanted != name:
        return
    _passed[name] = _passed.get(name, 0) + 1
    if _passed[name] == int(nth or 1):
        os.kill(os.getpid(), signal.SIGKILL)

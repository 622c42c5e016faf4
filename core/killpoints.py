"""Named instants at which a test may have this process killed, as a power cut would.

`BULLPEN_KILL_AT=after-claim` kills at the first passing; `after-claim:3` at the third.
"""

from __future__ import annotations

import os
import signal

POINTS = (
    "before-intake",  # an update has arrived and is not stored
    "after-intake",  # stored, not confirmed, not executed
    "after-staging",  # an artifact's content is on the disk, and nothing refers to it
    "after-claim",  # committed; nothing prepared
    "after-workspace",  # made; its branch not in the rows
    "after-spawn",  # the process runs; its handle not in the rows
    "after-input",  # given to the agent; not noted as given
    "after-log",  # lines in the log; not taken into state
    "after-exit",  # the process has ended; its result not in the rows
    "after-receipt",  # the checks have run in a clean checkout, which is still there
    "after-collect",  # commits fetched and checks run; the verdict not in the rows
    "in-approval",  # decided, not committed
    "after-approval",  # committed; the answer not sent
    "after-post",  # sent; not noted as sent
    "after-merge",  # pushed; the merge not in the rows
    "after-removal",  # a workspace removed; still in the rows
)

_passed: dict[str, int] = {}


def kill_point(name: str) -> None:
    """Dies here by SIGKILL when the environment says so; otherwise does nothing."""
    wanted, _, nth = os.environ.get("BULLPEN_KILL_AT", "").partition(":")
    if wanted != name:
        return
    _passed[name] = _passed.get(name, 0) + 1
    if _passed[name] == int(nth or 1):
        os.kill(os.getpid(), signal.SIGKILL)

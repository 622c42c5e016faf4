"""A sandbox that shares no folder, played on this machine: the carrier runs in namespaces of its
own, with nothing in the test's folder but what it brings along. Its log is a file, followed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

from core.ports import Exit, Order
from core.sandboxes.afar import CARRIER, Afar
from core.sandboxes.mirror import Mirror

_HIDDEN = """
mount --make-rprivate / || exit 1
mkdir -p "$1" && mount -t tmpfs none "$1" || exit 1
shift; exec "$@"
"""


@dataclass
class Elsewhere:
    """One place: `hidden` is the folder that it doesn't share."""

    hidden: Path
    log: Path
    started: list[asyncio.subprocess.Process] = field(default_factory=list)

    @property
    def shares_folder(self) -> bool:
        return False

    async def begin(self, order: Order, holder: str = "") -> asyncio.subprocess.Process:
        """Start a place for that order: however often, one of them works."""
        afar = Afar(order.folder)
        await afar.load(order)
        environment = {"PATH": os.environ["PATH"]} | ({"BULLPEN_HOLDER": holder} if holder else {})
        with open(self.log, "ab") as log:
            process = await asyncio.create_subprocess_exec(
                "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                "sh", "-c", _HIDDEN, "sh", str(self.hidden),
                sys.executable, "-I", "-S", "-c", CARRIER.read_text(), "-",
                stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log, env=environment,
                start_new_session=True, cwd="/")
        assert process.stdin is not None
        process.stdin.write(afar.freight())
        await process.stdin.drain()
        process.stdin.close()
        self.started.append(process)
        return process

    def follow(self, mirror: Mirror) -> None:
        """All that the log holds by now."""
        mirror.begin()
        mirror.feed(self.log.read_bytes(), from_start=True)

    async def play(self, order: Order) -> Exit:
        process = await self.begin(order)
        await process.wait()
        return await self.home(order)

    async def home(self, order: Order) -> Exit:
        """It has ended over there."""
        afar = Afar(order.folder)
        with afar.mirror() as mirror:
            self.follow(mirror)
        return await afar.settle(Exit(reason="gone"))

    def inner(self) -> int:
        """The carrier's own pid."""
        top = self.started[-1].pid
        children = Path(f"/proc/{top}/task/{top}/children").read_text().split()
        return int(children[0]) if children else 0

    def tell(self, number: int) -> None:
        os.kill(self.inner(), number)

    async def clean(self) -> None:
        for process in self.started:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

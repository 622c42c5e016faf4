"""A real Docker engine for tests: an own one, started when first asked for, in namespaces of its
own (network, mounts, processes), so that nothing is left of it once their first process ends.

`scripts/docker_ground.sh` prepares what it needs. One engine serves all tests of a process;
whoever kills or restarts an engine starts another.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.needs import need

TOP = Path(__file__).parent.parent / ".tools/docker"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PYTHON_IMAGE, PLAIN_IMAGE = "bullpen-test/debian:1", "bullpen-test/busybox:1"
"""A small Debian with python3 and git; busybox alone."""
PATIENCE = 60.0
REAPER = """
import os, time
while True:
    try:
        os.wait()
    except ChildProcessError:
        time.sleep(0.05)
"""
"""The first process of the engine's namespace: nobody else takes leave of what it leaves behind."""


def _newest(pattern: str) -> Path | None:
    found = sorted(TOP.glob(pattern)) if TOP.is_dir() else []
    return found[-1] if found else None


def dockerd() -> str | None:
    return shutil.which("dockerd", path=PATH)


@dataclass
class Engine:
    """One engine. `shared_network`: it stands in the machine's own network, without a bridge;
    else in one of its own, with a bridge that leads nowhere."""

    live_restore: bool = False
    shared_network: bool = False
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="bpd-")))
    holder: subprocess.Popen[bytes] | None = None
    running: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "docker.sock"

    @property
    def address(self) -> str:
        return f"unix://{self.socket}"

    def begin(self) -> Engine:
        """Start it for the first time, with the images in it."""
        spaces = ["--mount", "--pid", "--propagation", "slave"]
        spaces += [] if self.shared_network else ["--net"]
        self.holder = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL", "unshare", *spaces, "--fork"),
                *("--kill-child", "--mount-proc", sys.executable, "-I", "-S", "-c", REAPER),
            ],
            env={"PATH": PATH},
            stderr=subprocess.DEVNULL,
        )
        self.start()
        for image, pattern in ((PYTHON_IMAGE, "debian-*.tar"), (PLAIN_IMAGE, "busybox-*.tar")):
            self.docker("import", str(_newest(pattern)), image)
        return self

    def start(self) -> None:
        """Start it, or start it again."""
        assert self.holder is not None
        first = _until(lambda: _children(self.holder.pid), "the first process")[0]  # type: ignore[union-attr]
        spaces = ["--mount", "--pid", *([] if self.shared_network else ["--net"])]
        network = ["--bridge=none"] if self.shared_network else []
        argv = [
            *("nsenter", "--target", str(first), *spaces, "--", str(dockerd())),
            *("--host", self.address, "--data-root", str(self.folder / "data")),
            *("--exec-root", str(self.folder / "exec"), "--pidfile", str(self.folder / "pid")),
            *("--cgroup-parent", f"/{self.folder.name}", "--iptables=false", "--ip6tables=false"),
            *("--shutdown-timeout", "5", *network),
            *(["--live-restore"] if self.live_restore else []),
        ]
        with (self.folder / "log").open("ab") as log:
            self.running = subprocess.Popen(
                argv, stdout=log, stderr=log, env={"PATH": PATH}, start_new_session=True
            )
        _until(self._answers, f"the engine: {self.folder / 'log'}")

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End the engine's own process, and wait for it."""
        assert self.running is not None
        for pid in _children(self.running.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        self.running.wait()
        (self.folder / "pid").unlink(missing_ok=True)

    def freeze(self) -> None:
        """Let it hang, as one that gives no answer."""
        for pid in self._processes():
            os.kill(pid, signal.SIGSTOP)
            _until(lambda: _stopped(pid), "the engine stops")  # noqa: B023

    def thaw(self) -> None:
        for pid in self._processes():
            os.kill(pid, signal.SIGCONT)

    def _processes(self) -> list[int]:
        assert self.running is not None
        return [*_children(self.running.pid), self.running.pid]

    def docker(self, *words: str) -> str:
        """What the command line tool says."""
        done = subprocess.run(
            ["docker", *words],
            env={"PATH": PATH, "DOCKER_HOST": self.address, "HOME": str(self.folder)},
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"docker {' '.join(words)}: {done.stderr.decode()}")
        return done.stdout.decode()

    def containers(self) -> list[str]:
        """The names of all that are there, running or not."""
        return self.docker("ps", "--all", "--format", "{{.Names}}").split()

    def end(self) -> None:
        """End it and all that it ran, and take everything away."""
        if self.running is not None:
            self.running.kill()
        if self.holder is not None:
            for pid in _children(self.holder.pid):  # the first of its pid namespace: all go with it
                os.kill(pid, signal.SIGKILL)
            self.holder.wait()
        if self.running is not None:
            self.running.wait()
        top = Path("/sys/fs/cgroup")
        for cgroup in (top / self.folder.name, *top.glob(f"*/{self.folder.name}")):
            for path in sorted(cgroup.rglob("*/"), reverse=True):
                with contextlib.suppress(OSError):
                    path.rmdir()
            with contextlib.suppress(OSError):
                cgroup.rmdir()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        with contextlib.suppress(RuntimeError):
            return bool(self.docker("info", "--format", "{{.ID}}").strip())
        return False


_engine: list[Engine] = []


def require() -> None:
    """Skip the test by name where no engine can be started."""
    how = "make test-docker prepares it (root on Debian)"
    need("Docker", os.geteuid() == 0 and dockerd() is not None and _images(), how)


def _images() -> bool:
    return all(map(_newest, ("debian-*.tar", "busybox-*.tar")))


def engine() -> Engine:
    """The one that all tests of this process use, started when first asked for."""
    require()
    if not _engine:
        fresh = Engine()
        atexit.register(end)
        _engine.append(fresh)
        fresh.begin()
    return _engine[0]


def end() -> None:
    while _engine:
        _engine.pop().end()


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _until(true, what: str) -> Sequence[int]:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)
    return found

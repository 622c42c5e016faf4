"""An own sshd on 127.0.0.1 for tests, with its own keys and configuration, and a client that knows
nothing else: the way to an engine "on another machine"."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.docker_ground import Engine
from tests.needs import need

PATIENCE = 60.0
SERVER = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
"""
CLIENT = """
Host *
    IdentityFile {folder}/key
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
"""


def sshd() -> str | None:
    return shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")


def require() -> None:
    there = os.geteuid() == 0 and sshd() is not None and shutil.which("ssh") is not None
    need("sshd", there, "make test-docker prepares it (root on Debian)")


@dataclass
class Sshd:
    folder: Path
    port: int = 0
    running: subprocess.Popen[bytes] | None = None

    def begin(self) -> Sshd:
        self.folder.mkdir()
        for name in ("host", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                            str(self.folder / name)], check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        words = {"folder": self.folder, "port": self.port}
        (self.folder / "server.conf").write_text(SERVER.format(**words))
        (self.folder / "client.conf").write_text(CLIENT.format(**words))
        key = (self.folder / "host.pub").read_text()
        (self.folder / "known").write_text(f"[127.0.0.1]:{self.port} {key}")
        self.ssh.write_text(f'#!/bin/sh\nexec ssh -F {self.folder}/client.conf "$@"\n')
        self.ssh.chmod(0o755)
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        return self.start()

    @property
    def ssh(self) -> Path:
        """The client's program."""
        return self.folder / "client"

    def start(self) -> Sshd:
        with (self.folder / "log").open("ab") as log:
            self.running = subprocess.Popen(
                [str(sshd()), "-D", "-e", "-f", str(self.folder / "server.conf")],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return self
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """The server and every connection to it."""
        if self.running is None:
            return
        self.running.send_signal(signal.SIGSTOP)  # so that it starts no other meanwhile
        for pid in _below(self.running.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.running.kill()
        self.running.wait()
        self.running = None

    def address(self, engine: Engine) -> str:
        return f"ssh://root@127.0.0.1:{self.port}{engine.socket}"


def _below(pid: int) -> list[int]:
    try:
        words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [one for word in words for one in (int(word), *_below(int(word)))]

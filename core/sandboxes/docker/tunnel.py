"""The way to a Docker engine on another machine: for each connection one `ssh HOST docker system
dial-stdio`, by the system's own ssh, with its keys, known hosts and configuration.

(The docker package has such a way too, but only where paramiko is installed, and without an end
for calls that hang: a socket here has its timeouts.)
"""

from __future__ import annotations

import contextlib
import http.client
import re
import shlex
import socket
import subprocess
import threading
import time
from urllib.parse import urlsplit

from core.sandboxes.output import clean

OPTIONS = (
    "BatchMode=yes",
    "ClearAllForwardings=yes",
    "ConnectTimeout=10",
    "ForwardAgent=no",
    "LogLevel=ERROR",
    "ServerAliveCountMax=3",
    "ServerAliveInterval=15",
)
AT_ONCE = 4
"""Connections that are being made at the same time: a server drops whoever comes in a crowd."""
TRIES = 3
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:%-]*")
_PING = b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n"


class NoWay(OSError):
    """The engine can't be reached, in the words of who knows why."""


class Link:
    """One connection: a socket whose other end is a process of ssh."""

    def __init__(self, words: list[str], timeout: float) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(timeout)
        with theirs:
            self._process = subprocess.Popen(
                words,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        self._ending = threading.Lock()
        self._said = b""

    def greet(self) -> None:
        """Raises NoWay where no engine answers at its other end."""
        try:
            self.socket.sendall(_PING)
            answer = http.client.HTTPResponse(self.socket)
            answer.begin()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise NoWay(self._why() or str(error)) from error

    def over(self) -> bool:
        """Whether its process has ended."""
        return self._process.poll() is not None

    def end(self) -> None:
        """At once, whoever reads."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self._killed()

    def _why(self) -> str:
        """What ssh says, in one line."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        self._killed()
        said = self._said.decode("utf-8", "replace").strip().splitlines()
        return clean(said[-1])[:300] if said else ""

    def _killed(self) -> None:
        with self._ending:
            self._process.kill()
            if self._process.stderr is not None and not self._process.stderr.closed:
                self._said += self._process.communicate()[1]


class Way:
    """To one engine, by its address (`ssh://user@host:port/path/of/its.sock`, all but the host
    may be left out). `said`: why it could not be reached last."""

    def __init__(self, address: str, ssh: str = "ssh") -> None:
        self.address, self.said = address, ""
        self._words = [ssh, *command(address)]
        self._making = threading.BoundedSemaphore(AT_ONCE)
        self._leaving: list[Link] = []

    def open(self, timeout: float) -> Link:
        """A connection at whose other end an engine answers. Raises NoWay."""
        self._leaving = [link for link in self._leaving if not link.over()]
        with self._making:
            for again in range(TRIES):
                link = Link(self._words, timeout)
                try:
                    link.greet()
                except NoWay as error:
                    link.end()
                    self.said = str(error)
                    if again == TRIES - 1:
                        raise
                    time.sleep(0.3 * (again + 1))
                else:
                    self.said = ""
                    self._leaving.append(link)
                    return link
        raise AssertionError


def command(address: str) -> list[str]:
    """The words after `ssh`. Raises ValueError for an address that can't be one."""
    parts = urlsplit(address)
    host, user, port = parts.hostname or "", parts.username, parts.port
    fine = all(_NAME.fullmatch(word) for word in (host, *([user] if user is not None else [])))
    if parts.scheme != "ssh" or not fine or parts.query or parts.fragment or parts.password:
        raise ValueError(f"{address} is no engine's address: write ssh://user@host")
    words = [part for option in OPTIONS for part in ("-o", option)]
    words += ["-T", *(["-p", str(port)] if port else []), *(["-l", user] if user else [])]
    path = parts.path.rstrip("/")
    where = f"--host {shlex.quote(f'unix://{path}')} " if path else ""
    return [*words, "--", host, f"docker {where}system dial-stdio"]

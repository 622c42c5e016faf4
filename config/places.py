"""Where an agent runs and how far it may go: its `limits`, `mounts` and `container` tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from config.settings import Section
from core.commands import amounts
from core.errors import Unclear
from core.model import Limits, Mount

_KERNELS = frozenset({"proc", "sys", "dev"})
_YEAR, _MEGABYTE = 365 * 86_400, 1 << 20


def _seconds(value: object) -> object:
    """`"90m"`, `"2h"`, or a number of seconds."""
    return amounts.duration(value) / 1000 if isinstance(value, str) else value


def _bytes(value: object) -> object:
    """`"4g"`, `"500m"`, or a number of bytes."""
    return amounts.size(value) if isinstance(value, str) else value


def _read(reader: Callable[[object], object]) -> BeforeValidator:
    def read(value: object) -> object:
        try:
            return reader(value)
        except Unclear as error:
            raise ValueError(str(error).rstrip(".")) from error

    return BeforeValidator(read)


def _time(seconds: float) -> float:
    if not 0 < seconds <= _YEAR:
        raise ValueError("must be more than nothing, and at most 365d")
    return seconds


def _size(size: int) -> int:
    if not _MEGABYTE <= size <= 1 << 50:
        raise ValueError("must be at least 1m, and at most 1024t")
    return size


Time = Annotated[float, _read(_seconds), AfterValidator(_time)]
Size = Annotated[int, _read(_bytes), AfterValidator(_size)]


def _user(text: str) -> str:
    if not re.fullmatch(r"[0-9]+(:[0-9]+)?", text):
        raise ValueError("is a user's number, or with its group's: 1000 or 1000:1000")
    return text


Name = Annotated[str, Field(min_length=1, max_length=253)]


class LimitsTable(Section):
    """What ends an attempt; what is left out is as configured for all, or without a limit."""

    wall_time: Time | None = None
    idle_time: Time | None = None
    memory: Size | None = None
    cpu_time: Time | None = None
    processes: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    output: Size | None = None

    def limits(self) -> Limits:
        return Limits(**self.model_dump())


class MountTable(Section):
    """One of `mounts`: `{ source = "~/.codex/auth.json", target = "~/.codex/auth.json" }`."""

    source: Path
    target: str
    writable: bool = False

    @field_validator("source")
    @classmethod
    def _absolute(cls, source: Path) -> Path:
        path = source.expanduser().absolute()
        if not path.exists():
            raise ValueError(f"there is no {path}")
        return path

    @field_validator("target")
    @classmethod
    def _inside(cls, target: str) -> str:
        if not re.match(r"(~/|/).", target):
            raise ValueError("begins with / or ~/, for instance ~/.codex/auth.json")
        if ".." in Path(target).parts:
            raise ValueError("leads elsewhere; name it without ..")
        if Path(target).parts[1:2] and Path(target).parts[1] in _KERNELS and target[0] == "/":
            raise ValueError("is the machine's own: nothing is shown there")
        return target

    def mount(self) -> Mount:
        return Mount(self.source, self.target, self.writable)


class ContainerTable(Section):
    """What Docker and Kubernetes need to know of an agent. `engine`: a Docker engine's address
    (`unix:///…`, `ssh://user@host`); none: the one of this machine. `cpus`: how many it may use
    at once. `memory` (a hard cap) is by `limits`. `user`: whom it runs as; none: whoever runs
    Bullpen (Docker), the image's own (Kubernetes). `pull`: Docker may fetch the image where it is
    not there."""

    image: Name | None = None
    pull: bool | None = None
    python: str | None = None
    engine: Name | None = None
    cpus: Annotated[float, Field(gt=0, le=1024)] | None = None
    user: Annotated[str, AfterValidator(_user)] | None = None
    log_size: Size | None = None
    context: Name | None = None
    namespace: Name | None = None
    node_selector: dict[str, str] | None = None
    service_account: Name | None = None
    ttl: Time | None = None

"""Where an agent runs and how far it may go: its `limits`, `mounts` and `container` tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from config.settings import Section
from core.commands import amounts
from core.errors import Unclear
from core.model import Limits, Mount


def _seconds(value: object) -> object:
    """`"90m"`, `"2h"`, or a number of seconds."""
    return _read(amounts.duration, value)


def _bytes(value: object) -> object:
    """`"4g"`, `"500m"`, or a number of bytes."""
    return _read(amounts.size, value)


def _read(reader: object, value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return reader(value)  # type: ignore[operator]
    except Unclear as error:
        raise ValueError(str(error).rstrip(".")) from error


Time = Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=365 * 86400)]
Size = Annotated[int, BeforeValidator(_bytes), Field(ge=1 << 20, le=1 << 50)]
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
    target: Annotated[str, Field(pattern=r"^(~/|/).")]
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
        if ".." in Path(target).parts:
            raise ValueError("leads elsewhere; name it without ..")
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
    user: Annotated[str, Field(pattern=r"^[0-9]+(:[0-9]+)?$")] | None = None
    log_size: Size | None = None
    context: Name | None = None
    namespace: Name | None = None
    node_selector: dict[str, str] | None = None
    service_account: Name | None = None
    ttl: Time | None = None

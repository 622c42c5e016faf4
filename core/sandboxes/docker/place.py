"""Where an attempt's container is written down: `container.json` in the attempt's folder.

It is written before the container is made, and shown read-only inside, so what it says is ours.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.errors import Broken
from core.ports import Order
from core.sandboxes import files

FILE = "container.json"


@dataclass(frozen=True, slots=True)
class Place:
    """`engine`: its address; `engine_id`: its own. `launcher`: whether ours is its main process;
    else the engine's log is the output. `output_limit`, `log_cap` and times as ordered, for what
    the launcher can't watch then."""

    name: str
    engine: str
    engine_id: str
    launcher: bool
    grace: float
    log_cap: int
    output_limit: int
    wall_time: float | None = None
    idle_time: float | None = None

    @property
    def handle(self) -> str:
        known = {"container": self.name, "engine": self.engine, "engine_id": self.engine_id}
        return json.dumps(known, separators=(",", ":"), sort_keys=True)

    def write(self, folder: Path) -> None:
        """Raises Broken."""
        files.write(folder / FILE, json.dumps(asdict(self)).encode())


def place_for(order: Order, engine: str, engine_id: str, launcher: bool) -> Place:
    """Where that order's container will be."""
    return Place(
        name=name_of(order),
        engine=engine,
        engine_id=engine_id,
        launcher=launcher,
        grace=order.grace,
        log_cap=order.log_cap,
        output_limit=order.output_limit,
        wall_time=order.wall_time,
        idle_time=order.idle_time,
    )


def name_of(order: Order) -> str:
    """The container's name: the same one whenever the same folder is asked for."""
    digest = hashlib.sha256(os.fsencode(order.folder.absolute())).hexdigest()[:8]
    return f"bullpen-{order.session_id}-{order.number}-{digest}"


class Shut(Broken):
    """It can't be told: an agent has closed its attempt's folder to us, which is ours by a user's
    number alone; or a power cut has left the file empty."""


def place_in(folder: Path) -> Place | None:
    """What is written there; None where nothing is. Raises Broken."""
    path = folder / FILE
    try:
        return Place(**json.loads(files.content(path, files.SMALL)))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (PermissionError, ValueError, TypeError, RecursionError) as error:
        raise Shut(f"{path} is closed to us, or not Bullpen's: {error}") from error
    except OSError as error:
        raise Broken(f"{path} can't be read: {error.strerror}") from error


def place_of(folder: Path, handle: str) -> Place:
    """The place in a folder, checked against its stored handle; where the folder is gone,
    shut or spoilt, as far as the handle knows it. Raises Broken for a handle of another kind."""
    try:
        value: Mapping[str, Any] = json.loads(handle)
        name, engine, engine_id = value["container"], value["engine"], value["engine_id"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Broken(f"{handle!r} is no handle of a container") from error
    written = None
    with contextlib.suppress(Shut):
        written = place_in(folder)
    if written is not None and written.handle == handle:
        return written
    return Place(name, engine, engine_id, True, 0.0, 0, 0)

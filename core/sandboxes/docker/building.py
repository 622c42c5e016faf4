"""What a container is told: its walls, its limits, and what it gets to see. Pure, but for a look
at the files that it names."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.errors import Broken
from core.ports import Order
from core.sandboxes.docker.place import FILE
from core.sandboxes.host import LAUNCHER

INSIDE = "/bullpen-launcher.py"
"""Where the launcher is shown."""
DATA, SESSION, ATTEMPT, FOLDER, PROBE = (
    f"bullpen.{name}" for name in ("data", "session", "attempt", "folder", "probe")
)
OURSELVES = secrets.token_hex(6)
"""What this process marks its probes with: those of another are left over."""
LAUNCHER_SHARE = 32 << 20
CARRIER_SHARE = 96 << 20
"""Bytes of memory that ours take, on top of what the agent may use: the launcher, the carrier."""
CARGO = "/bullpen"
"""Where a container elsewhere finds the carrier and its freight."""
FAR_LOG = 6
"""How often the engine's log may hold what is kept of an output: each line has its wrapping."""
USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What an engine sets where an image says nothing."""
PIDS = 512
"""Processes and threads at once, where the order names no limit. The launcher counts the
processes of those that do; the kernel's limit above only bounds a burst."""
LOG_SIZE = 4 << 20
LEAST_LOG = 64 << 20
"""Bytes of Docker's log where that is the output: short lines take forty times their size."""


def labels(order: Order, mark: str) -> dict[str, str]:
    return {
        DATA: mark,
        SESSION: order.session_id,
        ATTEMPT: str(order.number),
        FOLDER: str(order.folder.absolute()),
    }


def probe(mark: str) -> dict[str, Any]:
    """What a container is told that only looks for Python."""
    host = {**_walls(), "NetworkMode": "none", "Memory": 256 << 20, "PidsLimit": 16}
    marks = {DATA: mark, PROBE: OURSELVES}
    return {"HostConfig": host, "Labels": marks, "User": _user({}), "Cmd": []}


def container(order: Order, mark: str, image: str, launcher: bool) -> dict[str, Any]:
    """What the engine is told to create. Raises Broken for what can't be shown."""
    python = order.container.get("python") or "python3"
    words = [python, "-I", "-S", "-X", "utf8", INSIDE, str(order.folder.absolute()), "--stay"]
    told: dict[str, Any] = {
        "Image": image,
        "Entrypoint": words if launcher else list(order.argv),
        "Cmd": [],
        "User": _user(order.container),
        "WorkingDir": "/" if launcher else str(order.workspace),
        "Labels": labels(order, mark),
        "HostConfig": _host(order, launcher),
        "NetworkDisabled": False,
    }
    if not launcher:
        talks = bool(order.first_input) or order.input_open
        told["Env"] = [f"{name}={value}" for name, value in order.env.items()]
        told |= {"OpenStdin": talks, "StdinOnce": talks, "AttachStdin": talks}
    return told


def far_container(
    order: Order, mark: str, image: str, name: str, tops: Sequence[str]
) -> dict[str, Any]:
    """The same where no folder is shared: the carrier's, with room of its own at `tops`."""
    table, host = order.container, _walls()
    python = table.get("python") or "python3"
    host |= {
        "NetworkMode": "bridge" if order.network == "on" else order.network,
        "Mounts": [{"Type": "volume", "Target": top} for top in tops],
        "Tmpfs": {"/tmp": "rw,exec,nosuid,nodev,mode=1777"},  # noqa: S108 (its own)
        "PidsLimit": max(PIDS, 8 * (order.processes or 0)),
        "LogConfig": _log(replace(order, output_limit=FAR_LOG * order.log_cap), launcher=False),
    }
    host |= _amounts(order, CARRIER_SHARE)
    return {
        "Image": image,
        "Entrypoint": [python, "-I", "-S", f"{CARGO}/carrier.py", f"{CARGO}/freight"],
        "Cmd": [],
        "User": str(table.get("user") or ""),
        "WorkingDir": "/",
        "Labels": labels(order, mark),
        "Env": [f"BULLPEN_HOLDER={name}-{secrets.token_hex(4)}"],
        "HostConfig": host,
    }


def path_inside(order: Order, image_path: str | None) -> Mapping[str, str]:
    """The environment in there: the image's PATH, where nobody has set another."""
    return {"PATH": image_path or USUAL_PATH, **order.env}


def _host(order: Order, launcher: bool) -> dict[str, Any]:
    table = order.container
    host: dict[str, Any] = {
        **_walls(),
        "NetworkMode": {"off": "none", "on": "bridge"}.get(order.network, order.network),
        "Mounts": [*_binds(order, launcher)],
        "Tmpfs": {"/tmp": _tmpfs(table)},  # noqa: S108 (its own)
        "PidsLimit": max(PIDS, 8 * (order.processes or 0)),
        "LogConfig": _log(order, launcher),
    }
    return host | _amounts(order, LAUNCHER_SHARE if launcher else 0)


def _amounts(order: Order, share: int) -> dict[str, Any]:
    host: dict[str, Any] = {}
    if order.memory:
        host |= {"Memory": order.memory + share, "MemorySwap": order.memory + share}
    if order.container.get("cpus"):
        host["NanoCpus"] = int(order.container["cpus"] * 1_000_000_000)
    return host


def _walls() -> dict[str, Any]:
    return {
        "CapDrop": ["ALL"],
        "Init": False,
        "IpcMode": "private",
        "Privileged": False,
        "ReadonlyRootfs": True,
        "SecurityOpt": ["no-new-privileges"],
    }


def _log(order: Order, launcher: bool) -> dict[str, Any]:
    """What the engine keeps of what the container says. The launcher says nothing."""
    wanted = LOG_SIZE if launcher else max(order.output_limit, LEAST_LOG)
    size = order.container.get("log_size") or wanted
    return {"Type": "json-file", "Config": {"max-size": str(size), "max-file": "1"}}


def _user(table: Mapping[str, Any]) -> str:
    """Whoever runs Bullpen, unless it is configured."""
    user = str(table.get("user") or f"{os.getuid()}:{os.getgid()}")
    return user if ":" in user else f"{user}:{user}"


def _tmpfs(table: Mapping[str, Any]) -> str:
    uid, _, gid = _user(table).partition(":")
    return f"rw,exec,nosuid,nodev,mode=1777,uid={uid},gid={gid}"


def _binds(order: Order, launcher: bool) -> Iterator[dict[str, Any]]:
    """Everything at its own path, what is inside of another after it."""
    shown: dict[str, dict[str, Any]] = {}
    for path in order.readable:
        if path.exists():
            shown[str(path.absolute())] = _bind(path, path, writable=False)
    for path in (order.workspace, *order.writable):
        if path.exists():  # a missing workspace is told by the launcher
            shown[str(path.absolute())] = _bind(path, path, writable=True)
    if order.door is not None and order.door.socket is not None:
        folder = order.door.socket.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        shown[str(folder)] = _bind(folder, folder, writable=False)
    if launcher:
        folder = order.folder.absolute()
        shown[str(folder)] = _bind(folder, folder, writable=True)
        for name in ("order.json", "input", FILE):
            shown[str(folder / name)] = _bind(folder / name, folder / name, writable=False)
        shown[INSIDE] = _bind(LAUNCHER, Path(INSIDE), writable=False)
    for mount in order.mounts:
        target = Path(mount.target)
        if mount.target.startswith("~/"):
            target = Path(order.env.get("HOME", str(order.workspace)), mount.target[2:])
        if not mount.source.exists():
            raise Broken(f"{mount.source}, which the agent is to see, is missing")
        shown[str(target)] = _bind(mount.source, target, mount.writable)
    yield from shown.values()


def _bind(source: Path, target: Path, writable: bool) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": str(source.absolute()),
        "Target": str(target.absolute()),
        "ReadOnly": not writable,
        "BindOptions": {"Propagation": "rprivate"},
    }

"""The bubblewrap sandbox: a process of this machine that sees only what it is shown.

The launcher stays outside, so that it outlives the bot and cannot be reached; it starts
`bwrap … -- agent`. Inside are the system's programs (read-only), the workspace, what the order
names, and nothing else: no home, no data folder, no other process, no capability.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import Broken
from core.model import Mount
from core.ports import Order
from core.sandboxes import masks, programs
from core.sandboxes.host import HostSandbox

ETC = """
alternatives bash.bashrc ca-certificates ca-certificates.conf crypto-policies debian_version
default/locale fonts gai.conf group host.conf hosts inputrc ld.so.cache ld.so.conf ld.so.conf.d
locale.alias locale.conf localtime lsb-release mime.types nsswitch.conf os-release passwd
pki/ca-trust pki/tls/certs pki/tls/cert.pem pki/tls/openssl.cnf profile protocols python3
resolv.conf services shells ssl/certs ssl/cert.pem ssl/openssl.cnf static terminfo timezone
"""
"""What programs read below /etc. Not whole folders that hold keys as well."""

KERNEL_READ = tuple(Path("/proc", name) for name in ("bus", "fs", "irq", "sys", "sysrq-trigger"))
KERNEL_HIDDEN = tuple(
    Path("/proc", name)
    for name in ("acpi", "asound", "kcore", "keys", "key-users", "kmsg", "sched_debug", "scsi",
                 "timer_list", "timer_stats", "vmallocinfo")
)  # fmt: skip
"""Of the kernel's own: what may be read, and what nobody in there needs."""

ALONE = (
    *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
    *("--die-with-parent", "--cap-drop", "ALL"),
)
_USERS = (("--unshare-user", "--disable-userns"), ("--unshare-user",), ())
"""With no user namespace of the agent's own inside, in which it could mount what nobody counts;
where bubblewrap can't forbid that (before 0.8), with; where it is setuid root it may do without."""
_PATIENCE = 20.0


class BubblewrapSandbox(HostSandbox):
    """`hidden`: folders that stay hidden wherever they lie (the data folder); what an order names
    inside of them is shown. `private` tells what else does (files too), but for what its programs
    need. `home`: whose private places are; none: the user's."""

    name = "bubblewrap"

    def __init__(
        self,
        python: str = sys.executable,
        hidden: Sequence[Path] = (),
        private: Callable[[], Sequence[Path]] = tuple,
        home: Path | None = None,
        program: str = "bwrap",
    ) -> None:
        super().__init__(python)
        self._hidden = tuple(path.absolute() for path in hidden)
        self._private = private
        self._home = home or Path.home()
        self._program = program
        self._tried: tuple[tuple[str, ...], str | None] | None = None

    def missing(self, container: Mapping[str, Any]) -> str | None:
        """As the port says; bubblewrap is really run once, in some hundredths of a second."""
        return super().missing(container) or self._try()[1]

    def _try(self) -> tuple[tuple[str, ...], str | None]:
        """How bubblewrap isolates here, and what is missing for that. Asked once."""
        if self._tried is None:
            self._tried = _probe(self._program)
        return self._tried

    async def _walls(self, order: Order) -> Sequence[str]:
        return await asyncio.to_thread(self._built, order)

    def _built(self, order: Order) -> list[str]:
        """The command line up to the agent's own. Raises Broken for what can't be shown."""
        if order.network not in ("on", "off"):
            raise Broken(
                f"bubblewrap knows the networks `on` and `off`, not `{order.network}`: "
                "choose one of them, or a container sandbox"
            )
        program, (user, problem) = shutil.which(self._program), self._try()
        if program is None or problem is not None:
            raise Broken(problem or f"{self._program} is missing")
        path = order.env.get("PATH", os.defpath)
        private = [path.absolute() for path in self._private() if os.path.exists(path)]
        apart = masks.folders(private)
        shown = programs.needed(
            order.argv, path, order.workspace, self._home, order.writable, apart
        )
        readable = tuple(_readable(order, shown, (*self._hidden, *apart)))
        laid = masks.laid(shown, self._hidden, private, readable)
        return [
            *(program, *user, *ALONE),
            *(() if order.pty else ("--new-session",)),
            *(("--unshare-net",) if order.network == "off" else ()),
            *_system(),
            *laid,
            *_each("--bind", (order.workspace, *order.writable)),
            *_door(order),
            *(word for mount in order.mounts for word in _mounted(order, mount)),
            *masks.over(laid),
            *("--remount-ro", "/", "--chdir", str(order.workspace)),
        ]


def _readable(order: Order, shown: Sequence[Path], covered: Sequence[Path]) -> Iterator[Path]:
    """A link in a folder that is shown stands there already: nothing can be put in its place."""
    for path in (path.absolute() for path in order.readable):
        above = [place for place in shown if place in path.parents]
        hides = [place for place in covered if place in path.parents]
        nearest = max((*above, *hides), key=lambda place: len(place.parts), default=None)
        if not path.is_symlink() or nearest not in above or nearest in hides:
            yield path


def _probe(program: str) -> tuple[tuple[str, ...], str | None]:
    if shutil.which(program) is None:
        return (), f"{program} is missing: install it (Debian: apt install bubblewrap)"
    said = ""
    for user in _USERS:
        argv = [program, *user, *ALONE, "--unshare-net", *_system(), "--", "true"]
        try:
            tried = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE,
                check=False,
                env={"PATH": "/usr/bin:/bin"},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return (), f"{program} can't be run: {error}"
        if tried.returncode == 0:
            return user, None
        words = tried.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        said = words if user else said or words
    return (), (
        f"bubblewrap can't isolate here ({said or 'it says nothing'}): allow user namespaces "
        "(sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
    )


def _system() -> Iterator[str]:
    """The system as everybody may see it, and places of its own for what all programs share."""
    for path in programs.SYSTEM:
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))
    yield from _each("--ro-bind-try", (Path("/etc", name) for name in ETC.split()))
    yield from ("--proc", "/proc", "--dev", "/dev")
    # Root is root in there too for these, though it has no capability: bubblewrap thinks not.
    yield from _each("--ro-bind", (path for path in KERNEL_READ if path.exists()))
    for path in KERNEL_HIDDEN:
        if path.is_dir():
            yield from ("--tmpfs", str(path), "--remount-ro", str(path))
        elif path.exists():
            yield from ("--ro-bind", "/dev/null", str(path))
    for own in ("/tmp", "/var/tmp", "/run"):  # noqa: S108 (its own, empty)
        yield from ("--tmpfs", own)


def _each(option: str, paths: Iterator[Path] | Sequence[Path]) -> Iterator[str]:
    for path in paths:
        yield from (option, str(path), str(path))


def _door(order: Order) -> Sequence[str]:
    """The folder of its socket, not the socket: a bot that starts again makes a new one."""
    if order.door is None or order.door.socket is None:
        return ()
    folder = order.door.socket.parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return ("--ro-bind", str(folder), str(folder))


def _mounted(order: Order, mount: Mount) -> Sequence[str]:
    target = Path(mount.target)
    if mount.target.startswith("~/"):
        target = Path(order.env.get("HOME", str(order.workspace)), mount.target[2:])
    if not mount.source.exists():
        raise Broken(f"{mount.source}, which the agent is to see, is missing")
    for base in (order.workspace, *order.writable):
        if base in target.parents:
            _place(base, target.relative_to(base).parts, mount.source.is_dir())
            break
    option = "--bind" if mount.writable else "--ro-bind"
    return (option, str(mount.source), str(target))


def _place(base: Path, parts: Sequence[str], folder: bool) -> None:
    """Make what a mount covers. The agent may have been at work in there: no link is followed,
    or bubblewrap would make a file wherever it leads."""
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    at = os.open(base, os.O_RDONLY | os.O_DIRECTORY | flags)
    try:
        for number, part in enumerate(parts, start=1):
            if part == "..":
                raise OSError(0, "it leads elsewhere")
            if folder or number < len(parts):
                _make_folder(at, part)
                kind = os.O_RDONLY | os.O_DIRECTORY
            else:
                kind = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK
            inner = os.open(part, kind | flags, 0o600, dir_fd=at)
            os.close(at)
            at = inner
        if not folder and not stat.S_ISREG(os.fstat(at).st_mode):
            raise OSError(0, "it is no file")
    except OSError as error:
        place = base.joinpath(*parts)
        raise Broken(f"{place} can't be shown to the agent: {error.strerror}") from error
    finally:
        os.close(at)


def _make_folder(at: int, name: str) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=at)
    except FileExistsError:
        return

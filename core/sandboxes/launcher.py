"""The supervisor of one attempt: starts the agent, keeps its output, outlives the bot.

Run as `python3 -I -S launcher.py FOLDER`. It needs nothing but the standard library of
Python 3.9. With `--stay` it stays in the foreground, as a container's main process, and its own
exit status is the agent's. In FOLDER it finds `order.json` and `input/`, and at any time perhaps

    size         of the agent's terminal, `80x24`
    waiting      a person is asked: silence is no idleness as long as this file holds anything

and leaves

    claim        a link whose target says who took the attempt: `PID:TICKS:BOOT`, or `revoked`
    handle.json  who supervises: pid, start time in ticks, boot id; and the child's pid
    output       records, one a line: `<ms> <kind> <text>`
    terminal     with a terminal: its bytes as they came, up to the log cap
    exit.json    how it ended; written when nothing of it is left

A record's kind is `o` or `e` (a line of output or error), `O` or `E` (a piece: its line goes
on in the next record of that stream) or `m` (the launcher's own words).
SIGTERM asks it for a graceful end of the whole tree, SIGUSR1 for a forced one.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import resource
import select
import signal
import struct
import sys
import termios
import time

TYPE_CHECKING = False  # importing typing would cost every start some milliseconds
if TYPE_CHECKING:
    from typing import Any

LINE = 1 << 20  # a longer line is cut into pieces
TAIL = 64 << 10  # of each stream, kept past the log cap so that the ending can be read
CHUNK = 256 << 10
SILENCE = 1.0  # after this many seconds an unfinished line is shown as a piece
DRAIN = 0.3  # seconds for output still on its way when the main process has ended
FAREWELL = 1.5  # seconds after an agent's end by SIGTERM in which the same may come to us
GIVE_UP = 20.0  # seconds of killing after which what is left is reported
LOOK = 1.0  # seconds between two looks at what the tree uses, where that is limited
MOST_OPEN = 200_000  # open files of a tree with a memory limit
FIRST = 4096  # bytes of each stream that are remembered as its first words
SIGNALS = frozenset(map(int, signal.valid_signals()))
OWN_FOLDERS = ("tmp", "var/tmp", "run", "dev")  # in memory, behind bubblewrap's walls
PIDFD_GETFD, NS_GET_USERNS = 438, 0xB701
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, F_SETPIPE_SZ = 1, 4, 36, 1031
FULL = (errno.ENOSPC, errno.EDQUOT)


def main(folder: str, stay: bool = False) -> None:
    """Goes into the background at once, unless it shall stay; the caller waits for the first
    process only."""
    os.chdir(folder)
    umask = os.umask(0o077)
    done = -1 if stay else background()
    with open("order.json", encoding="utf-8") as file:
        order = json.load(file)
    launcher = Launcher(order, umask)
    if stay:  # the memory limit is the container's: the kernel kills one, and the rest must go
        launcher.starved = oom_kills()
        launcher.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # no agent stops us, or writes in our memory
    try:
        os.symlink(":".join(map(str, identity())), "claim")
    except FileExistsError:
        return  # somebody else has it, or it was called off
    try:
        launcher.start()
        if done >= 0:
            os.close(done)
        launcher.work()
        os._exit(launcher.code() if stay else 0)
    except Exception as error:
        left = launcher.kill_all()
        launcher.asked.append(signal.SIGTERM)  # not the time to wait for a full disk
        launcher.report("gone", f"the launcher failed: {error}", left)
        raise


def background() -> int:
    """Leave the caller; returns what to close when it may go on."""
    ready, done = os.pipe()
    if os.fork():
        os.close(done)
        os.read(ready, 1)
        os._exit(0)
    os.close(ready)
    os.setsid()
    return done


def identity() -> tuple[int, int, str]:
    """What tells this process from every other: pid, start time in ticks, boot id."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return os.getpid(), int(stat(os.getpid())[19]), file.read().strip()


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on: state, parent, …"""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].decode("ascii").split()


def replace(name: str, value: dict[str, Any], durable: bool) -> None:
    """Write a file whole or not at all; `durable` survives a power cut too. In a container the
    agent writes here as well: nobody guesses the name, and nothing that is there is opened."""
    new = f"{name}.{os.urandom(8).hex()}.new"
    try:
        with open(new, "x", encoding="utf-8") as file:
            json.dump(value, file, separators=(",", ":"), sort_keys=True)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.rename(new, name)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise


class Log:
    """The output file: whole records up to the cap, then a mark, and the last lines."""

    def __init__(self, cap: int) -> None:
        self.fd = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.room, self.full = cap, False
        self.dropped = 0
        self.tails = {b"o": bytearray(), b"e": bytearray()}
        self.waiting = b""  # what a full disk has not taken yet

    def add(self, kind: bytes, lines: list[bytes]) -> None:
        """Keep lines; those past the cap go to the tail."""
        block = records(kind, lines)
        if len(block) <= self.room and not self.full:
            self.room -= len(block)
            self.put(block)
        elif not self.full and len(lines) > 1:
            half = len(lines) // 2
            self.add(kind, lines[:half])
            self.add(kind, lines[half:])
        else:
            self.fill()
            self.drop(kind, b"".join(line + b"\n" for line in lines))

    def fill(self) -> None:
        if not self.full:
            self.full = True
            self.mark("log cap reached: what follows is read and not kept, but for its end")

    def drop(self, kind: bytes, data: bytes) -> None:
        """Count it, and remember its end."""
        self.dropped += len(data)
        tail = self.tails[kind.lower()]
        tail += data[-TAIL:]
        if len(tail) > 4 * TAIL:
            del tail[:-TAIL]

    def mark(self, text: str) -> None:
        self.put(records(b"m", [text.encode()]))

    def put(self, block: bytes) -> None:
        self.waiting += block
        self.flush()

    def flush(self) -> bool:
        """Whether all is written. A full disk holds the agent up and loses nothing."""
        while self.waiting:
            try:
                self.waiting = self.waiting[os.write(self.fd, self.waiting) :]
            except OSError:
                return False
        return True

    def close(self) -> None:
        """Write the tails, and make all of it durable."""
        ends = {kind: bytes(tail[-TAIL:]) for kind, tail in self.tails.items()}
        lost = self.dropped - sum(map(len, ends.values()))
        if lost > 0:
            self.mark(f"{lost} bytes were not kept; the last lines follow")
        for kind, end in ends.items():
            if len(end) == TAIL:
                end = end.partition(b"\n")[2] or end
            if end:
                self.put(records(kind, end.rstrip(b"\n").split(b"\n")))
        if self.flush():
            os.fsync(self.fd)


def records(kind: bytes, lines: list[bytes]) -> bytes:
    prefix = b"%d %s " % (time.time_ns() // 1_000_000, kind)
    return prefix + (b"\n" + prefix).join(lines) + b"\n"


class Stream:
    """One of the agent's two streams, or its terminal, taken apart into lines."""

    def __init__(self, fd: int, kind: bytes, log: Log, terminal: Terminal | None = None) -> None:
        os.set_blocking(fd, False)
        self.fd, self.kind, self.log, self.terminal = fd, kind, log, terminal
        self.part, self.cut, self.first = b"", False, b""
        self.heard = self.begun = time.monotonic()

    def read(self) -> int:
        """Take what is there; how many bytes that was (0: nothing now, or its end)."""
        try:
            chunk = os.read(self.fd, CHUNK)
        except BlockingIOError:
            return 0
        except OSError:  # a terminal that nobody holds open any more
            chunk = b""
        if not chunk:
            self.close()
        self.heard = time.monotonic()
        if self.terminal:
            self.terminal.keep(chunk)
        if len(self.first) < FIRST:
            self.first += chunk[:FIRST]
        self.take(chunk)
        return len(chunk)

    def take(self, chunk: bytes) -> None:
        if not self.part or b"\n" in chunk:
            self.begun = self.heard
        if self.log.full:
            self.log.drop(self.kind, self.part + chunk)
            self.part = b""
            return
        lines = (self.part + chunk).split(b"\n")
        self.part = lines.pop()
        if lines and (self.cut or max(map(len, lines)) > LINE):
            for line in lines:
                self.log.add(self.kind, [self.shorten(line)])
                self.cut = False
        elif lines:
            self.log.add(self.kind, lines)
        self.part = self.shorten(self.part)

    def shorten(self, line: bytes) -> bytes:
        """Keep the pieces of a line that is too long; returns what is left of it."""
        while len(line) > LINE:
            end = LINE
            while end > LINE - 4 and line[end] & 0xC0 == 0x80:  # not inside a character
                end -= 1
            self.log.add(self.kind.upper(), [line[:end]])
            if not self.cut:
                self.log.mark("the line above is longer than 1 MiB and was cut")
            line, self.cut = line[end:], True
        return line

    def show(self, now: float) -> None:
        """A prompt has no newline and must be seen; half a JSON line is of no use to anyone.
        A terminal's pictures come without newlines and never pause."""
        if self.terminal and self.part and now - self.begun > SILENCE:
            end = whole(self.part)
            self.log.add(self.kind.upper(), [self.part[:end]] if end else [])
            self.part, self.begun = self.part[end:], now
        elif self.part and now - self.heard > SILENCE and not self.part.startswith(b"{"):
            self.log.add(self.kind.upper(), [self.part])
            self.part = b""

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if self.part:
            self.log.add(self.kind, [self.part])
            self.part = b""


def whole(part: bytes) -> int:
    """How much of it can be shown: neither a character nor a terminal sequence is cut."""
    end = len(part)
    for back in range(1, min(4, end) + 1):
        byte = part[-back]
        if byte & 0xC0 != 0x80:
            end -= back if byte >= 0xC0 and back < 2 + (byte >= 0xE0) + (byte >= 0xF0) else 0
            break
    start = part.rfind(b"\x1b", max(0, end - 64), end)
    if start >= 0:
        kind, rest = part[start + 1 : start + 2], part[start + 2 : end]
        done = {b"": False, b"[": any(64 <= byte < 127 for byte in rest), b"]": b"\a" in rest}
        if not done.get(kind, True):
            return start
    return end


class Terminal:
    """The bytes of a terminal as they came, up to the cap, so that it can be shown again."""

    def __init__(self, fd: int, cap: int) -> None:
        self.fd, self.room, self.size = fd, cap, ""
        self.file = os.open("terminal", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def keep(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # a full disk: the output waits for it, this doesn't
            self.room -= os.write(self.file, data[: self.room])

    def fit(self) -> None:
        """Take the size that is asked for."""
        size = word("size")
        if size != self.size:
            self.size = size
            columns, _, rows = size.partition("x")
            if columns.isdigit() and rows.isdigit():
                with contextlib.suppress(OSError, struct.error):
                    resize(self.fd, int(columns), int(rows))


def resize(fd: int, columns: int, rows: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def word(name: str) -> str:
    """What the file of that name says, in a few characters; empty where there is none."""
    flags = os.O_NONBLOCK | os.O_NOFOLLOW  # a fifo that was put in its place is not waited for
    with contextlib.suppress(OSError, ValueError):
        fd = os.open(name, os.O_RDONLY | flags)
        try:
            return os.read(fd, 32).decode("ascii").strip()
        finally:
            os.close(fd)
    return ""


class Input:
    """Feeds the numbered files of `input/` to the agent, in order, never waiting for it.
    `goodbye` is what ends the input of a terminal, which is not closed."""

    def __init__(self, fd: int, goodbye: bytes = b"") -> None:
        self.fd, self.number, self.goodbye = fd, 0, goodbye
        self.data, self.last = memoryview(b""), False
        if fd >= 0:
            os.set_blocking(fd, False)

    def feed(self) -> None:
        while self.fd >= 0 and (self.data or self.load()):
            try:
                self.data = self.data[os.write(self.fd, self.data[:CHUNK]) :]
            except BlockingIOError:
                return
            except OSError:  # the agent has closed its input
                self.last, self.data = True, memoryview(b"")

    def load(self) -> bool:
        """The next input that holds anything; closes the agent's input after the last."""
        while not self.last:
            name = f"input/{self.number:06d}"
            for file_name in (name, name + ".last"):
                with contextlib.suppress(FileNotFoundError), open(file_name, "rb") as file:
                    self.data, self.last = memoryview(file.read()), file_name != name
                    break
            else:
                return False
            self.number += 1
            if self.last and self.goodbye:
                self.data = memoryview(bytes(self.data) + self.goodbye)
            if self.data:
                return True
        os.close(self.fd)
        self.fd = -1
        return False


class Launcher:
    """One attempt, from its order to its exit."""

    def __init__(self, order: dict[str, Any], umask: int) -> None:
        self.order, self.umask, self.child = order, umask, 0
        self.log = Log(order["log_cap"])
        self.wake = os.open("wake", os.O_RDWR | os.O_NONBLOCK)
        self.prctl = ctypes.CDLL(None, use_errno=True).prctl
        self.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.asked: list[int] = []
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, lambda number, frame: self.asked.append(number))
        signal.signal(signal.SIGCHLD, lambda number, frame: None)  # it rings the bell
        for number in (signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        self.bell, bell = os.pipe()
        os.set_blocking(self.bell, False)
        os.set_blocking(bell, False)
        signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
        self.reason: str | None = None
        self.kill_at = self.wall = float("inf")
        self.end: tuple[int | None, int | None] | None = None  # status, signal
        self.ended_at = 0.0
        self.childless = False
        self.taken = 0
        self.walls = order.get("walls") or []  # what runs the agent behind walls, as argv
        self.told = -1  # where such a program says whether the agent could be run
        self.terminal: Terminal | None = None
        self.heard, self.asks = time.monotonic(), False
        limited = [name for name in ("memory", "cpu_time", "processes") if order.get(name)]
        self.look_at = self.heard if limited else float("inf")
        self.starved: int | None = None
        self.before, self.flying = shared_by_all() if order.get("memory") else 0, False
        self.shared: set[int] = set()  # segments that were found to be its own

    def start(self) -> None:
        """Start the agent and say so in `handle.json`; a failure is told in `exit.json`."""
        problem = self.on_terminal() if self.order.get("pty") else self.on_pipes()
        if self.order["wall_time"] is not None:
            self.wall = time.monotonic() + self.order["wall_time"]
        if problem:
            os.waitpid(self.child, 0)
            self.report("not_started", problem, [])
            self.child = 0
        pid, ticks, boot = identity()
        handle = {"boot": boot, "child": self.child, "pid": pid, "start": ticks}
        replace("handle.json", handle, durable=False)  # of no use after a reboot

    def on_pipes(self) -> str:
        """Fork the agent; one line about why it can't run."""
        silent = os.path.exists("input/000000.last") and not os.path.getsize("input/000000.last")
        theirs, stdin = (os.open(os.devnull, os.O_RDONLY), -1) if silent else os.pipe()
        (out, their_out), (err, their_err) = os.pipe(), os.pipe()
        for fd in (out, err):
            with contextlib.suppress(OSError):
                fcntl.fcntl(fd, F_SETPIPE_SZ, CHUNK)
        problem = self.spawn((theirs, their_out, their_err))
        self.input = Input(stdin)
        self.streams = [Stream(out, b"o", self.log), Stream(err, b"e", self.log)]
        return problem

    def on_terminal(self) -> str:
        """The same, with a terminal as its input and output."""
        fd, theirs = os.openpty()
        resize(fd, 80, 24)
        self.terminal = Terminal(fd, self.order["log_cap"])
        self.terminal.fit()
        problem = self.spawn((theirs, theirs, theirs))
        self.input = Input(os.dup(fd), goodbye=b"\x04")
        self.streams = [Stream(fd, b"o", self.log, self.terminal)]
        return problem

    def spawn(self, fds: tuple[int, int, int]) -> str:
        told, tell = os.pipe()
        self.told, status = os.pipe() if self.walls else (-1, -1)
        parent = os.getpid()
        self.child = os.fork()
        if self.child == 0:
            try:
                self.become(parent, fds, status)
            except Exception as error:
                os.write(tell, explain(error, self.order).encode("utf-8", "replace"))
            os._exit(127)
        for fd in {*fds, tell, status} - {-1}:
            os.close(fd)
        with open(told, "rb") as file:
            return file.read().decode()

    def become(self, parent: int, fds: tuple[int, int, int], status: int) -> None:
        """In the child: turn into the agent."""
        if self.terminal:
            os.setsid()
        else:
            os.setpgid(0, 0)
        self.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(127)
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
        if self.terminal:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # else what follows is not ours to write
        with contextlib.suppress(OSError, ValueError):
            first_to_go()
        with contextlib.suppress(OSError, ValueError):
            # Inherited by every descendant, whatever it does to its environment or session;
            # it limits nothing: the number is 36,000 years of real-time scheduling.
            resource.setrlimit(resource.RLIMIT_RTTIME, (self.order["seal"], resource.RLIM_INFINITY))
        os.umask(self.umask)
        os.chdir(self.order["cwd"])
        if self.walls:
            self.go_behind_walls(status)
        os.execvpe(self.order["argv"][0], self.order["argv"], self.order["env"])  # noqa: S606

    def go_behind_walls(self, status: int) -> None:
        """Become bubblewrap, which becomes the agent. Its orders don't stand on its command
        line, where everybody could read them; and of the agent's environment it gets nothing
        (a library to load, say), for it still stands outside."""
        runnable(self.order)
        settings = []
        for name, value in self.order["env"].items():
            settings += ["--setenv", name, value]
        orders = os.memfd_create("orders", 0)
        with open(orders, "wb", closefd=False) as file:
            words = settings + self.walls[1:]
            file.write(b"".join(os.fsencode(word) + b"\0" for word in words))
        os.lseek(orders, 0, os.SEEK_SET)
        os.set_inheritable(status, True)
        argv = [self.walls[0], "--args", str(orders), "--json-status-fd", str(status), "--"]
        env = {"BULLPEN_ATTEMPT": self.order["marker"]}
        os.execve(argv[0], argv + self.order["argv"], env)  # noqa: S606

    def work(self) -> None:
        """Supervise until nothing is left, then tell the end."""
        if not self.child:
            return
        while not self.over():
            self.obey()
            self.turn()
        left = self.kill_all()
        problem = self.never_began()
        self.last_words()
        if problem:
            self.reason, self.end = "not_started", None
        self.report(self.reason, problem, left)

    def over(self) -> bool:
        """Whether only killing is left to do."""
        now = time.monotonic()
        if self.reason:
            return self.childless or now >= self.kill_at + (self.end is None) * GIVE_UP
        drained = all(stream.fd < 0 for stream in self.streams)
        if self.end is None or not (drained or now >= self.ended_at + DRAIN):
            return False
        # A machine that is shut down tells everybody to end: the agent may hear it first.
        return self.end[1] != signal.SIGTERM or now >= self.ended_at + FAREWELL

    def obey(self) -> None:
        """Do what signals and limits ask for."""
        self.reap()
        while self.asked:
            self.stop("stopped", force=self.asked.pop(0) == signal.SIGUSR1)
        now = time.monotonic()
        if self.taken > self.order["output_limit"]:
            self.stop("output_limit")
        if now >= self.wall:
            self.stop("wall_time")
        if self.order.get("idle_time"):
            asked, self.asks = self.asks, bool(word("waiting"))
            if asked or self.asks:  # also once when the answer has come: its time begins then
                self.heard = now
        if now >= self.idle_at():
            self.stop("idle_time")
        if now >= self.look_at:
            self.look_at = now + LOOK
            self.look()
        if now >= self.kill_at:
            kill(descendants(), signal.SIGKILL)

    def idle_at(self) -> float:
        """When it has been silent for too long."""
        return self.heard + (self.order.get("idle_time") or float("inf"))

    def look(self) -> None:
        """End it where it uses more than it may. One that takes the whole machine is killed
        at once."""
        order, pids = self.order, tree()
        memory, seconds = usage(pids)
        if order.get("cpu_time") and seconds > order["cpu_time"]:
            self.stop("cpu_time")
        if order.get("processes") and len(pids) - 2 * bool(self.walls) > order["processes"]:
            freeze()
            self.stop("processes", force=True)
        if order.get("memory"):
            held = memfds(pids) + self.segments(pids)
            room = order["memory"] - self.scratch(pids) - held
            starved = self.starved is not None and oom_kills() > self.starved
            over = memory > room and proportional(pids, bool(held)) > room
            if starved or over or self.given_away(pids):
                self.stop("memory", force=True)

    def scratch(self, pids: list[int]) -> int:
        """Bytes of memory that files of the agent's take behind its walls."""
        for pid in pids[2:] if self.walls else ():
            with contextlib.suppress(OSError):
                return sum(used(f"/proc/{pid}/root/{own}") for own in OWN_FOLDERS)
        return 0

    def given_away(self, pids: list[int]) -> bool:
        """Whether files lie unread in its sockets, where nobody can look at them, for longer than
        a moment, while the machine's shared memory has grown by more than it may have."""
        grown = self.starved is None and shared_by_all() - self.before > self.order["memory"]
        was, self.flying = self.flying, grown and any(map(has_files_in_flight, pids))
        return was and self.flying

    def segments(self, pids: list[int]) -> int:
        """Bytes of System V shared memory: all that there is behind its walls; else what its
        processes have made, or used last, as far as they were seen."""
        if self.walls:
            return walled_segments(pids[1:])
        known, total = set(pids), 0
        for name, size, *users in shared_memory():
            if known.intersection(users) or name in self.shared:
                self.shared.add(name)
                total += size
        return total

    def stop(self, reason: str, force: bool = False) -> None:
        with_us = reason == "stopped" and self.end == (None, signal.SIGTERM)
        if self.end is not None and self.reason is None and not with_us:  # it ended by itself
            return
        if self.reason is None:
            self.reason = reason
            self.kill_at = time.monotonic() + self.order["grace"]
            kill([] if force else self.addressed(), signal.SIGTERM)
        if force:
            self.kill_at = min(self.kill_at, time.monotonic())

    def addressed(self) -> list[int]:
        """Whom a polite signal is for: where bubblewrap itself takes it, it kills the rest."""
        return [pid for pid in descendants() if not (self.walls and pid == self.child)]

    def turn(self) -> None:
        """Wait for whatever comes first, and move bytes."""
        poll = select.poll()
        poll.register(self.bell, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        if self.input.data:
            poll.register(self.input.fd, select.POLLOUT)
        open_ones = [s for s in self.streams if s.fd >= 0 and not self.log.waiting]
        for stream in open_ones:
            poll.register(stream.fd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(self.patience() * 1000)}
        for fd in ready & {self.bell, self.wake}:
            os.read(fd, 4096)
        taken = sum(stream.read() for stream in open_ones if stream.fd in ready)
        now = time.monotonic()
        if taken:
            self.taken, self.heard = self.taken + taken, now
        for stream in open_ones:
            stream.show(now)
        self.log.flush()
        self.input.feed()
        if self.terminal and self.streams[0].fd >= 0:
            self.terminal.fit()

    def patience(self) -> float:
        """Seconds to the next thing that is due; at least every second we look around."""
        now = time.monotonic()
        drained = self.ended_at + DRAIN if self.end else now + 1.0
        limits = (self.wall, self.kill_at, self.idle_at(), self.look_at)
        due = min(now + 1.0, drained, *limits) - now
        return max(due, 0.01)

    def reap(self) -> None:
        """Take leave of dead children; as subreaper, of every orphan of the tree too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.childless = True
                return
            if pid == self.child:
                code = os.waitstatus_to_exitcode(status)
                if self.walls and code - 128 in SIGNALS:  # as bubblewrap tells of a signal
                    code = 128 - code
                self.end = (code, None) if code >= 0 else (None, -code)
                self.ended_at = time.monotonic()
            elif pid == 0:
                return

    def kill_all(self) -> list[int]:
        """Kill what is left of the tree, until nothing is; returns what can't be killed."""
        deadline = time.monotonic() + GIVE_UP
        while True:
            self.reap()
            if self.childless:
                return []
            pids = descendants()
            if time.monotonic() > deadline:
                return pids
            kill(pids, signal.SIGKILL)
            time.sleep(0.005)

    def never_began(self) -> str | None:
        """Why the agent was never run, where the walls could not be built around it."""
        if not self.walls or self.reason or self.end is None or self.end[0] is None:
            return None
        with open(self.told, "rb") as file:
            if b"exit-code" in file.read():
                return None
        for stream in self.streams:
            stream.read()
        said = self.streams[-1].first.decode("utf-8", "replace").split("\n")[0]
        said = said.strip().replace("bwrap: ", "", 1)
        if said.startswith("execvp "):
            return f"`{self.order['argv'][0]}` can't be run inside its sandbox: {said[7:]}"
        return f"the sandbox can't be built: {said or 'bubblewrap says nothing'}"

    def last_words(self) -> None:
        """What is still in the pipes, and the end of the output. A full disk is waited for,
        unless we are told again to stop."""
        self.asked.clear()
        for stream in self.streams:
            for _ in range(64):
                if stream.fd < 0 or not stream.read():
                    break
            stream.close()
        self.log.close()
        while not self.log.flush() and not self.asked:
            time.sleep(1)

    def report(self, reason: str | None, error: str | None, left: list[int]) -> None:
        """Leave `exit.json`: nothing comes after it."""
        status, number = self.end or (None, None)
        end = {
            "at": time.time_ns() // 1_000_000,
            "dropped": self.log.dropped,
            "error": error and error[:500],  # Bullpen reads no more than some KiB of all this
            "left": left[:500],
            "reason": reason,
            "signal": number,
            "status": status,
        }
        while True:
            try:
                return replace("exit.json", end, durable=True)
            except OSError as error:  # a full disk is waited for, and nothing else
                if self.asked or error.errno not in FULL or not os.path.exists("order.json"):
                    return None
                time.sleep(1)

    def code(self) -> int:
        """The exit status of a container that this was: the agent's, as a shell tells it."""
        status, number = self.end or (None, None)
        if self.reason or (status is None and number is None):
            return 125
        return status if status is not None else 128 + (number or 0)


def runnable(order: dict[str, Any]) -> None:
    """Raises what running the agent would, where that can be told beforehand."""
    name = order["argv"][0]
    folders = [""] if "/" in name else os.get_exec_path(order["env"])
    found = [path for path in (os.path.join(folder, name) for folder in folders) if is_file(path)]
    if not found:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    fit = [path for path in found if os.access(path, os.X_OK) and os.path.isfile(path)]
    if not fit:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
    with contextlib.suppress(PermissionError), open(fit[0], "rb") as file:
        start = file.read(256)
        if start.startswith(b"#!") and not os.path.exists((start[2:].split() or [b"/"])[0]):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


def is_file(path: str) -> bool:
    return os.path.exists(path) and not os.path.isdir(path)


def first_to_go() -> None:
    """Offer ourselves to the out-of-memory killer before anything else of this user."""
    with open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file:
        if int(file.read()) < 500:
            file.write("500")


def explain(error: Exception, order: dict[str, Any]) -> str:
    """Why the agent could not be started, in one line for a person."""
    name, cwd = order["argv"][0], order["cwd"]
    if not os.path.isdir(cwd):
        return f"the workspace {cwd} is missing"
    number = error.errno if isinstance(error, OSError) else 0
    if number == errno.ENOENT and "/" not in name:
        return f"`{name}` was not found on the PATH"
    if number == errno.ENOENT and os.path.exists(name):
        return f"`{name}` can't run: the program that its first line names is missing"
    if number == errno.ENOENT:
        return f"`{name}` does not exist"
    if number == errno.EACCES:
        return f"`{name}` may not be executed: it is no program, or lacks the permission"
    if number == errno.ENOEXEC:
        return f"`{name}` is no program: its first line must say what runs it (#!/bin/sh)"
    if number == errno.E2BIG:
        return "the command line is too long for this machine"
    return f"`{name}` can't be started: {getattr(error, 'strerror', None) or error}"


def descendants() -> list[int]:
    """Everything below this process, from /proc."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(stat(int(name))[1]), []).append(int(name))
    found = [os.getpid()]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def tree() -> list[int]:
    """The same at a fraction of the cost on a busy machine; it may overlook newcomers."""
    found = [os.getpid()]
    for pid in found:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                    found += map(int, file.read().split())
        except OSError:
            if pid == found[0]:  # a kernel without these files
                return descendants()
    return found[1:]


def usage(pids: list[int]) -> tuple[int, float]:
    """Resident bytes of the processes; the seconds of all that ever were in the tree."""
    pages = ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = stat(pid)
            pages += int(fields[21])
            ticks += sum(map(int, fields[11:15]))
    dead = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = ticks / os.sysconf("SC_CLK_TCK") + dead.ru_utime + dead.ru_stime
    return pages * os.sysconf("SC_PAGE_SIZE"), seconds


def proportional(pids: list[int], but_memfds: bool) -> int:
    """Resident bytes with what they share counted once: dearer, and asked only in doubt.
    `but_memfds`: those are counted already."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
                total += next(int(line.split()[1]) << 10 for line in file if b"Pss:" in line)
            total -= mapped_memfds(pid) if but_memfds else 0
        except (OSError, StopIteration):
            with contextlib.suppress(OSError):
                total += int(stat(pid)[21]) * os.sysconf("SC_PAGE_SIZE")
    return total


def mapped_memfds(pid: int) -> int:
    """The share of its resident bytes that lies in memfds and System V's shared memory."""
    total, inside = 0, False
    with open(f"/proc/{pid}/smaps", "rb") as file:
        for line in file:
            if not line[:1].isupper():  # a new mapping begins
                name = b"".join(line.split(None, 5)[5:])
                inside = name.startswith((b"/memfd:", b"/SYSV"))
            elif inside and line.startswith(b"Pss:"):
                total += int(line.split()[1]) << 10
    return total


def memfds(pids: list[int]) -> float:
    """Bytes of files that have no name and lie in memory, mapped or not, each counted once.
    More open files than can be looked at are more than anything."""
    sizes: dict[tuple[int, int], int] = {}
    seen = 0
    for pid in pids:
        try:
            names = os.listdir(f"/proc/{pid}/fd")
        except PermissionError:
            seen += hidden_files(pid, sizes)
            names = []
        except OSError:
            continue
        seen += len(names)
        if seen > MOST_OPEN:
            return float("inf")
        for name in names:
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{name}").startswith("/memfd:"):
                    about = os.stat(f"/proc/{pid}/fd/{name}")
                    sizes[about.st_dev, about.st_ino] = about.st_blocks << 9
    return sum(sizes.values())


def hidden_files(pid: int, sizes: dict[tuple[int, int], int]) -> int:
    """The same of a process that lets nobody look (PR_SET_DUMPABLE): whoever has made its user
    namespace, as behind walls, may borrow its files. How many there can be."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            most = next(int(line.split()[1]) for line in file if line.startswith(b"FDSize:"))
        process = os.pidfd_open(pid)
    except (OSError, StopIteration):
        return 0
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    for number in range(min(most, MOST_OPEN)):
        fd = syscall(PIDFD_GETFD, process, number, 0)
        if fd < 0:
            if ctypes.get_errno() != errno.EBADF:
                break
            continue
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:"):
                about = os.fstat(fd)
                sizes[about.st_dev, about.st_ino] = about.st_blocks << 9
        os.close(fd)
    os.close(process)
    return most


def has_files_in_flight(pid: int) -> bool:
    """Whether a socket of this process's holds files that it has not received yet."""
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                    with open(f"/proc/{pid}/fdinfo/{name}", "rb") as file:
                        words = file.read().split()
                    if b"scm_fds:" in words and words[words.index(b"scm_fds:") + 1] != b"0":
                        return True
    return False


def shared_by_all() -> int:
    """Bytes of shared memory, files in memory among it, of the whole machine."""
    with contextlib.suppress(OSError, StopIteration), open("/proc/meminfo", "rb") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(b"Shmem:"))
    return 0


def shared_memory() -> list[tuple[int, int, int, int]]:
    """Of each segment of System V's shared memory: its id, its bytes, who made it, who used it
    last."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        with open("/proc/sysvipc/shm", encoding="ascii") as file:
            heads = file.readline().split()
            rows = [dict(zip(heads, map(int, line.split()))) for line in file]  # noqa: B905
        return [(r["shmid"], r["rss"] + r["swap"], r["cpid"], r["lpid"]) for r in rows]
    return []


def walled_segments(pids: list[int]) -> int:
    """The bytes of all of them where these processes are, seen by a child that goes there."""
    ours, namespaces = os.stat("/proc/self/ns/ipc").st_ino, {}
    for pid in pids:
        with contextlib.suppress(OSError):
            namespaces[os.stat(f"/proc/{pid}/ns/ipc").st_ino] = f"/proc/{pid}/ns/ipc"
    namespaces.pop(ours, None)
    return sum(map(segments_of, namespaces.values()))


def segments_of(namespace: str) -> int:
    answer, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(OSError):
            there = os.open(namespace, os.O_RDONLY)
            users = fcntl.ioctl(there, NS_GET_USERNS)
            setns = ctypes.CDLL(None).setns
            setns(users, 0)  # fails where we are in it already, and may do what follows
            if setns(there, 0) == 0:
                os.write(tell, b"%d" % sum(size for _, size, *_ in shared_memory()))
        os._exit(0)
    os.close(tell)
    with open(answer, "rb") as file:
        said = file.read()
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    return int(said or 0)


def oom_kills() -> int:
    """How many processes of the container the kernel has killed for want of memory."""
    for name in ("memory.events", "memory/memory.oom_control"):
        with contextlib.suppress(OSError, ValueError):
            with open(f"/sys/fs/cgroup/{name}", encoding="ascii") as file:
                counts = dict(line.split() for line in file)
            return int(counts.get("oom_kill", 0))
    return 0


def used(path: str) -> int:
    """Bytes in use of a file system."""
    facts = os.statvfs(path)
    return (facts.f_blocks - facts.f_bfree) * facts.f_frsize


def freeze() -> None:
    """Stop everything below, so that what forks faster than it is killed comes to rest."""
    seen: set[int] = set()
    for _ in range(100):
        new = [pid for pid in descendants() if pid not in seen]
        if not new:
            return
        kill(new, signal.SIGSTOP)
        seen.update(new)


def kill(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


if __name__ == "__main__":
    main(sys.argv[1], "--stay" in sys.argv[2:])

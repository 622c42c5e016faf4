"""A bench for the whole bot: starts it as a process of its own, kills it, looks at its rows.

Everything lies in one folder of a test. What a test sees are the rows, the files and what
the bot printed; what it says goes in by standard input or by a chat.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes.git_world import new_repository, run_git
from tests.sandbox_bench import lives

ROOT = Path(__file__).parents[1]
Row = sqlite3.Row
PATIENCE = 60.0
"""Seconds after which a wait fails: a bound for a busy machine, not a measure."""

CREW = """
[agents.shell]
sandbox = "host"  # they write down outside that they began
driver = "command"
max_concurrent_tasks = 16
"""
SETTINGS = {
    "BULLPEN_API__PORT": "0",
    "BULLPEN_QUEUE__MAX_CONCURRENT": "10",
    "BULLPEN_QUEUE__STOP_ON_FAILURE": "false",
    "BULLPEN_RETRY__BASE_SECONDS": "0",
    "BULLPEN_LIMITS__GRACE_SECONDS": "1",
    "BULLPEN_TICK_SECONDS": "2",
}

AGENT = '''
"""One line of work: signs the ledger, prints numbered lines, ends with a status of its own.

agent.py NAME LINES PAUSE STATUS [FILE]: with FILE it goes on printing its lines at once, and
ends when that file is there.
"""
import os, sys, time
name, lines, pause, status = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "ledger"), "a") as ledger:
    ledger.write("%s %s %d\\n" % (name, os.environ["BULLPEN_ATTEMPT"], os.getpid()))
for number in range(1, lines + 1):
    print("%s line %d" % (name, number), flush=True)
    time.sleep(pause)
while len(sys.argv) > 5 and not os.path.exists(sys.argv[5]):
    time.sleep(0.02)
with open("made-by-%s.txt" % name, "w") as made:
    made.write("%s\\n" % name)
print("%s ends" % name, file=sys.stderr, flush=True)
sys.exit(status)
'''

CHORE = """
name = "chore"
title = "Work that nobody has to look at"

[[steps]]
id = "work"
kind = "agent"
type = "any"
outcomes = { default = "done" }
"""
"""A workflow."""


@dataclass
class Bot:
    """One process of the bot."""

    process: subprocess.Popen[bytes]
    printed: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def says(self, *lines: str) -> None:
        """Type lines into its terminal; one that has ended hears nothing."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write("".join(line + "\n" for line in lines).encode())
            self.process.stdin.flush()

    def silent(self) -> None:
        """Its input has come to an end."""
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.stdin = None

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.over()

    def over(self, within: float = PATIENCE) -> int:
        """Wait for its end; its exit status (negative: the signal that ended it)."""
        try:
            status = self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the bot goes on and on; it printed:\n{self.text()}") from None
        self.silent()
        return status

    def signalled(self, number: int) -> int:
        """Send it a signal; the exit status that follows."""
        self.process.send_signal(number)
        return self.over()

    def text(self) -> str:
        """All that it has printed so far."""
        return self.printed.read_text("utf-8", "replace")


@dataclass
class House:
    """A data folder, a person's repository, and the bots that ran on them."""

    base: Path
    settings: dict[str, str] = field(default_factory=dict)
    bots: list[Bot] = field(default_factory=list)
    beside: Callable[[], str] = str
    """More to look at where a test fails."""
    by_option: bool = True
    """Whether `--repo` names the repository; otherwise the settings do."""

    def __post_init__(self) -> None:
        (self.base / "config").mkdir(parents=True)
        (self.base / "config" / "agents.toml").write_text(CREW)
        (self.base / "agent.py").write_text(AGENT)
        new_repository(self.repo)

    @property
    def data(self) -> Path:
        return self.base / "data"

    @property
    def repo(self) -> Path:
        return self.base / "shop"

    # -- the bot -----------------------------------------------------------------------

    def start(self, *options: str, kill_at: str | None = None, stdin: Any = subprocess.PIPE,
              before: Callable[[], None] | None = None, **settings: str) -> Bot:
        """A new process on this data. `kill_at` names the instant at which it kills itself;
        `before` is called in it first of all."""
        printed = self.base / f"printed-{len(self.bots) + 1:03d}"
        env = {"PATH": os.environ["PATH"], "HOME": str(self.base), "LANG": "C.UTF-8",
               "PYTHONPATH": str(ROOT), **SETTINGS, **self.settings, **settings}
        if kill_at is not None:
            env["BULLPEN_KILL_AT"] = kill_at
        argv = [sys.executable, "-m", "bot.cli", "up", "--data", str(self.data),
                *(["--repo", str(self.repo)] if self.by_option else []), *options]
        with printed.open("wb") as out:
            process = subprocess.Popen(argv, cwd=self.base, env=env, stdin=stdin, stdout=out,
                                       stderr=out, preexec_fn=before)
        bot = Bot(process, printed)
        self.bots.append(bot)
        return bot

    def play(self, *commands: str, kill_at: str | None = None,
             before: Callable[[], None] | None = None, **settings: str) -> Bot:
        """Carry out commands, work until nothing is left to do, and end."""
        bot = self.start("--until-idle", kill_at=kill_at, before=before, **settings)
        bot.says(*commands)
        bot.silent()
        bot.over()
        return bot

    def printed(self) -> str:
        """What all bots have printed, one after the other."""
        return "".join(bot.text() for bot in self.bots)

    def command(self, name: str, lines: int = 3, pause: float = 0.0, status: int = 0,
                until: Path | None = None) -> str:
        """`/add` for a task whose agent is the script of this bench."""
        words = [sys.executable, "-I", "-S", str(self.base / "agent.py"), name, str(lines),
                 str(pause), str(status), *([str(until)] if until else [])]
        return f'/add "{name}" --run "{" ".join(words)}"'

    # -- looking -----------------------------------------------------------------------

    def rows(self, sql: str, *params: object, file: str = "bullpen.db") -> list[Row]:
        """Rows, read beside the bot; none while there is no database yet."""
        path = self.data / file
        if not path.exists():
            return []
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
            db.row_factory = Row
            try:
                return db.execute(sql, params).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):  # it is being made
                    return []
                raise

    def values(self, sql: str, *params: object, file: str = "bullpen.db") -> list[Any]:
        """The first column."""
        return [row[0] for row in self.rows(sql, *params, file=file)]

    def answers(self) -> list[str]:
        """What was answered to commands, each once however often it was sent."""
        return [str(reply) for reply in self.values(
            "SELECT reply FROM deliveries WHERE urgency = 1 ORDER BY seq")]

    def ledger(self) -> list[tuple[str, str]]:
        """Who started, as (name, session/attempt): written by the agents themselves."""
        path = self.base / "ledger"
        text = path.read_text() if path.exists() else ""
        return [(line.split()[0], line.split()[1]) for line in text.splitlines()]

    def until(self, ready: Callable[[], Any], what: str, within: float = PATIENCE) -> Any:
        """Wait until something is so; fails loudly, with what the bots printed."""
        deadline = time.monotonic() + within
        while not (found := ready()):
            assert time.monotonic() < deadline, f"waited in vain: {what}\n{self.picture()}"
            time.sleep(0.03)
        return found

    def picture(self) -> str:
        """How everything stands, for a test that has failed."""
        parts = [f"-- {table}\n" + "\n".join(str(dict(row)) for row in self.rows(sql))
                 for table, sql in (
                     ("tasks", "SELECT id, title, state, step, failure, hold FROM tasks"),
                     ("sessions", "SELECT id, task_id, state, outcome, reason FROM sessions"),
                     ("attempts", "SELECT session_id, number, state, exit_status, exit_reason "
                                  "FROM attempts"),
                     ("iterations", "SELECT session_id, number, state, qa, cause "
                                    "FROM iterations"),
                     ("intake", "SELECT id, state, note, substr(payload, 1, 120) AS said "
                                "FROM intake"),
                     ("owed", "SELECT seq, chat, note, tries FROM deliveries "
                              "WHERE state = 'owed'"))]
        parts += [self.beside(), f"-- printed\n{self.printed()[-4000:]}"]
        return "\n".join(parts)

    # -- judging -----------------------------------------------------------------------

    def check(self) -> None:
        """After the last bot has ended: the data is whole, and nothing of it runs."""
        for file in ("bullpen.db", "logs.db"):
            assert self.values("PRAGMA integrity_check", file=file) == ["ok"]
            assert self.rows("PRAGMA foreign_key_check", file=file) == []
        for what, sql in NONSENSE.items():
            found = [dict(row) for row in self.rows(sql)]
            assert not found, f"{what}: {found}\n{self.picture()}"
        self._check_folders()
        self._check_logs()
        assert self.processes() == []

    def _check_folders(self) -> None:
        known = {row["id"]: row for row in self.rows("SELECT * FROM sessions")}
        folders = {path.name for path in (self.data / "sessions").glob("*")}
        assert folders <= known.keys(), "a session's folder that no row tells of"
        for name, row in known.items():
            there = Path(row["worktree"]).is_dir()
            if row["worktree_state"] == "gone":
                assert not there, f"the workspace of {name} is said to be gone"
            elif row["worktree_state"] != "creating":
                assert there, f"the workspace of {name} is missing"

    def _check_logs(self) -> None:
        """Each output is in the log to its last byte."""
        logged = {(row[0], row[1]): row[2] for row in self.rows(
            "SELECT session_id, attempt, position FROM positions", file="logs.db")}
        for row in self.rows("SELECT session_id, number FROM attempts WHERE state = 'ended'"):
            output = self.attempt(*row) / "output"
            size = output.stat().st_size if output.exists() else 0
            assert logged.get(tuple(row), 0) == size, f"the log of {tuple(row)} is not whole"

    def attempt(self, session: str, number: int) -> Path:
        """An attempt's own folder."""
        return self.data / "sessions" / session / "attempts" / f"{number:02d}"

    def sessions(self) -> list[str]:
        return [str(name) for name in self.values("SELECT id FROM sessions")]

    def processes(self) -> list[tuple[int, str]]:
        """What runs of this house: agents by their marker, launchers by their folder."""
        mine = {f"BULLPEN_ATTEMPT={name}/".encode() for name in self.sessions()}
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            with_ = _signs(Path("/proc", name))
            ours = any(mark in with_ for mark in mine) or bytes(self.data) in with_
            if ours and lives(int(name)):
                found.append((int(name), with_[:200].decode("utf-8", "replace")))
        return found

    def clean(self) -> None:
        """End every bot, then whatever is left of their agents."""
        for bot in self.bots:
            if bot.process.poll() is None:
                bot.process.kill()
                bot.process.wait()
        deadline = time.monotonic() + PATIENCE
        while (left := self.processes()) and time.monotonic() < deadline:
            for pid, _ in left:
                _kill(pid)
            time.sleep(0.02)
        shutil.rmtree(self.data, ignore_errors=True)


NONSENSE = {
    "a task in work without anybody on it":
        "SELECT id, state, step FROM tasks WHERE state IN ('planning', 'in_flight') "
        "AND NOT EXISTS (SELECT 1 FROM sessions WHERE task_id = tasks.id "
        "AND sessions.state <> 'terminated')",
    "a task under review with nothing to decide and nothing to merge":
        "SELECT id, step FROM tasks WHERE state = 'review' AND step <> 'merge' AND NOT EXISTS "
        "(SELECT 1 FROM gates WHERE task_id = tasks.id AND gates.state = 'open')",
    "an open gate on a task that has ended":
        "SELECT gates.id, tasks.state FROM gates JOIN tasks ON tasks.id = task_id "
        "WHERE gates.state = 'open' AND tasks.state IN ('done', 'cancelled', 'failed')",
    "a live attempt in a session that doesn't run, or none in one that does":
        "SELECT id, state FROM sessions WHERE (state IN ('starting', 'running')) <> EXISTS "
        "(SELECT 1 FROM attempts WHERE session_id = sessions.id AND attempts.state <> 'ended') "
        "AND state <> 'terminating'",
    "an open iteration in a session that has ended":
        "SELECT sessions.id FROM sessions JOIN iterations ON session_id = sessions.id "
        "WHERE sessions.state = 'terminated' AND iterations.state IN ('running', 'waiting')",
    "a running attempt without a handle":
        "SELECT session_id FROM attempts WHERE state = 'running' AND handle IS NULL",
    "two merges of one task":
        "SELECT task_id, count(*) FROM events WHERE type = 'pr.merged' "
        "GROUP BY task_id HAVING count(*) > 1",
    "a task that is counted wrongly":
        "SELECT state, n FROM state_counts WHERE n <> "
        "(SELECT count(*) FROM tasks WHERE tasks.state = state_counts.state)",
    "a run that counts wrongly":
        "SELECT id, done, failed FROM runs WHERE state IN ('planned', 'running', 'paused') AND "
        "(done <> (SELECT count(*) FROM tasks WHERE run_id = runs.id AND state = 'done') OR "
        "failed <> (SELECT count(*) FROM tasks WHERE run_id = runs.id "
        "AND state IN ('failed', 'cancelled')))",
    "a wave that counts wrongly":
        "SELECT run_id, number, open FROM waves JOIN runs ON runs.id = run_id "
        "WHERE runs.ended_at IS NULL AND open <> (SELECT count(*) FROM tasks "
        "WHERE tasks.run_id = waves.run_id AND tasks.wave = waves.number "
        "AND tasks.state NOT IN ('done', 'failed', 'cancelled'))",
    "a task of a run that has ended":
        "SELECT tasks.id FROM tasks JOIN runs ON runs.id = run_id WHERE runs.ended_at IS NOT NULL",
    "needs that are counted wrongly":
        "SELECT id, unmet FROM tasks WHERE unmet <> (SELECT count(*) FROM dependencies "
        "JOIN tasks n ON n.id = needs_id WHERE task_id = tasks.id AND n.state <> 'done')",
    "more than one receipt that counts":
        "SELECT task_id FROM receipts WHERE stale_at IS NULL GROUP BY task_id "
        "HAVING count(*) > 1",
    "spent on a task but not what its sessions have spent":
        "SELECT id, tokens FROM tasks WHERE tokens <> (SELECT coalesce(sum(tokens_in + "
        "tokens_out), 0) FROM sessions WHERE task_id = tasks.id)",
    "a command that was stored and never executed":
        "SELECT id FROM intake WHERE state = 'stored'",
}
"""What no instant of death may leave behind: a name, and the rows that would show it."""


def _signs(process: Path) -> bytes:
    """Environment and command line of a process; nothing where it can't be seen."""
    found = b""
    for name in ("environ", "cmdline"):
        try:
            found += (process / name).read_bytes() + b"\0"
        except OSError:
            continue
    return found


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def merges(repo: Path) -> list[str]:
    """The merge commits on the person's branch, by subject."""
    said = run_git(repo, "log", "--merges", "--format=%s", "main")
    return said.splitlines()


def numbered(name: str, lines: int) -> Sequence[tuple[str, str]]:
    """What the bench's agent prints, as (stream, text)."""
    said = [("out", f"{name} line {number}") for number in range(1, lines + 1)]
    return [*said, ("err", f"{name} ends")]

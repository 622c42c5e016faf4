"""A House on a scratch folder, with the packaged workflow and crew, and a task brought into
any situation by the same moves that the bot makes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from bot.configuring import Files, Sources
from config.load import load
from core import acts
from core.artifacts import Artifacts
from core.doors import Doors
from core.drivers.claude import ClaudeDriver
from core.drivers.command import CommandDriver, split_command
from core.forges.local import LocalForge
from core.house import Current, House
from core.lifecycle import Situation
from core.model import (
    Actor,
    Event,
    GateKind,
    IterationState,
    Place,
    Repo,
    Role,
    Session,
    SessionState,
    Task,
    TaskState,
    WorktreeState,
)
from core.policy import Policy
from core.prompts import Prompts
from core.redaction import Redactor
from core.sandboxes.host import HostSandbox
from core.setup import Setup
from core.store import claims, gates, sessions, tasks
from core.store.database import Store, Tx
from core.store.tasks import NewTask
from core.workflow import Onward, follow
from core.worktrees import Repositories
from tests.fakes.clock import FakeClock

ANN = Actor("console", "1", "Ann")
HERE = Place("console", "console", "7")


def house(store: Store, data: Path, **policy: Any) -> House:
    """A House as `bot.app` builds it, but for faces and configuration files of one's own."""
    packaged = load(environ={}, folder=data)
    repositories = Repositories(data / "repos")
    setup = Setup(
        policy=Policy(retries={}, **policy),
        agents={agent.name: replace(agent, sandbox="host") for agent in packaged.agents},
        workflows={workflow.name: workflow for workflow in packaged.workflows},
        repos={"shop": Repo("shop", str(data / "shop"))},
        prompts=Prompts(packaged.prompts), channels={},
        people={"console": {"1": Role.ADMIN}})
    files = Files(Sources(None, str(data), None, Redactor(), repositories), packaged, setup)
    return House(
        store=store, clock=FakeClock(), data=data, current=Current(files, setup),
        drivers={driver.name: driver for driver in (CommandDriver(), ClaudeDriver())},
        sandboxes={"host": HostSandbox()}, forges={"local": LocalForge()},
        repositories=repositories, redact=str, artifacts=Artifacts(data),
        check_command=split_command, doors=Doors(b"key"))


def bring(tx: Tx, home: House, wanted: Situation) -> Task:
    """A new task in that situation."""
    new = NewTask("Mend it", "quick", "work", repo="shop", created_by=ANN.key,
                  draft=wanted is Situation.INBOX,
                  after=(tasks.add(tx, NewTask("Before", "quick", "work", draft=True)).id,)
                  if wanted is Situation.BLOCKED else ())
    task = tasks.add(tx, new)
    if wanted in (Situation.INBOX, Situation.READY, Situation.BLOCKED):
        return task
    if wanted is Situation.CANCELLED:
        return tasks.move(tx, task, TaskState.CANCELLED)
    claims.claim(tx, task.id, "claude", TaskState.IN_FLIGHT)
    task = tasks.get(tx, task.id)
    session = sessions.begin(tx, task, home.agents["claude"], "Do it.", "/nowhere/{id}")
    if wanted is not Situation.STARTING:
        _worked_on(tx, home, wanted, task, _run(tx, session))
    return tasks.get(tx, task.id)


def _run(tx: Tx, session: Session) -> Session:
    sessions.attempt_started(tx, sessions.get_attempt(tx, session.id), "handle")
    session = sessions.set_worktree(tx, session, WorktreeState.ACTIVE)
    return sessions.move(tx, session, SessionState.RUNNING)


def _worked_on(tx: Tx, home: House, wanted: Situation, task: Task, session: Session) -> None:
    asking = {Situation.ASKING_LEAVE: GateKind.PERMISSION, Situation.ASKING: GateKind.QUESTION,
              Situation.PARKED: GateKind.QUESTION}
    if wanted in asking:
        gates.open_gate(tx, gates.NewGate(
            asking[wanted], task.id, "May I?", session_id=session.id, attempt=1,
            agent="claude", request={"request_id": "r1", "tool": "Bash", "input": {}},
            request_key="r1"))
        _wait(tx, session)
    if wanted is Situation.PARKED:
        _suspend(tx, session)
        tasks.block(tx, task, "question")
    elif wanted in (Situation.HELD, Situation.RESUMING):
        _wait(tx, session)
        _suspend(tx, session)
        if wanted is Situation.HELD:
            tasks.block(tx, task, "paused")
    elif wanted is Situation.FAILED:
        sessions.close_iteration(tx, session.id, IterationState.FAILED, "no")
        sessions.end(tx, session, sessions.SessionOutcome.FAILED, "no")
        tasks.fail(tx, task, "no")
    elif wanted not in (Situation.WORKING, *asking):
        _has_result(tx, home, wanted, task, session)


def _has_result(tx: Tx, home: House, wanted: Situation, task: Task, session: Session) -> None:
    sessions.move_iteration(tx, sessions.get_iteration(tx, session.id), IterationState.COMPLETED)
    _suspend(tx, session)
    if wanted is Situation.JUDGING:
        return
    task = follow(tx, home, task, "default", Onward(summary="It is mended."))
    if wanted is Situation.DECIDING:
        return
    acts.approve(tx, home, gates.open_gates(tx, task.id)[0], ANN, HERE, "")
    if wanted is Situation.DONE:
        follow(tx, home, tasks.get(tx, task.id), "pr.merged")


def _wait(tx: Tx, session: Session) -> None:
    sessions.move_iteration(tx, sessions.get_iteration(tx, session.id), IterationState.WAITING)


def _suspend(tx: Tx, session: Session) -> None:
    attempt = sessions.get_attempt(tx, session.id)
    sessions.attempt_ended(tx, attempt, sessions.Exit(status=0))
    session = sessions.move(tx, sessions.get(tx, session.id), SessionState.SUSPENDED)
    sessions.set_worktree(tx, session, WorktreeState.SUSPENDED)
    tx.emit(Event("session.suspended", session_id=session.id, task_id=session.task_id))

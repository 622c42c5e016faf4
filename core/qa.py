"""What the bot sees for itself at the end of an iteration: the commits, and the checks."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from core.errors import Broken, BullpenError
from core.house import House
from core.killpoints import kill_point
from core.model import (
    Change,
    Event,
    Iteration,
    IterationState,
    QaState,
    Session,
    SessionOutcome,
    SessionState,
    Severity,
    Step,
    Task,
)
from core.ports import Order, Ran, Sandbox
from core.sessions.ending import fail_task
from core.sessions.starting import environment, reload
from core.store import sessions, tasks
from core.store.database import Tx
from core.workflow import Onward, follow
from core.worktrees import leftover_script


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its command, whether it passed, and the end of what it printed."""

    command: str
    passed: bool
    said: str
    criterion: int | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What an iteration has brought: the change, the beginning of its diff, the checks."""

    change: Change | None
    diff: str
    findings: Sequence[Finding]


async def judge(house: House, session_id: str) -> None:
    """Collect the work, run the checks, and send the task on, or back. Doing it again after a
    crash does no harm: the verdict is recorded once."""
    session, iteration, task = await house.store.write(lambda tx: reload(tx, session_id))
    try:
        step = house.step(task, session.step)
        change = await _collect(house, session, task) if step.writes_code else None
        diff = await beginning(house, task, change)
        work = Work(change, diff, await _check(house, session, task, step))
        kill_point("after-collect")
        await house.store.write(lambda tx: _judged(tx, house, session, iteration, work))
    except BullpenError as error:
        reason = str(error)
        await house.store.write(lambda tx: _unjudgeable(tx, house, session, reason))


async def beginning(house: House, task: Task, change: Change | None) -> str:
    """The first of the diff, for a card: secrets out, cut at a line."""
    if change is None or change.empty:
        return ""
    text = await house.repositories.diff(house.repo(task.repo), change.base, change.head, 64 << 10)
    return house.redact(text)[:4000]


async def _collect(house: House, session: Session, task: Task) -> Change:
    """What was left uncommitted is committed inside the sandbox; then the commits are fetched."""
    ran = await inside(house, session, leftover_script(f"{task.ref}: {task.title}"))
    if ran.end.status != 0:
        raise Broken(f"What it left uncommitted can't be committed: {_last_words(house, ran)}")
    repo = house.repo(task.repo)
    return await house.repositories.collect(
        repo, task.branch or "", Path(session.worktree), session.id, task.base_commit or ""
    )


def _last_words(house: House, ran: Ran) -> str:
    lines = house.redact(ran.output).strip().splitlines()
    return ran.end.error or (lines[-1] if lines else f"exit status {ran.end.status}")


async def inside(house: House, session: Session, argv: Sequence[str]) -> Ran:
    """A command of ours in the session's own sandbox and workspace, alone in there."""
    checks = house.session_folder(session.id) / "checks"
    sandbox = house.sandboxes[session.sandbox]
    await _end_earlier(sandbox, checks)
    folder = checks / secrets.token_hex(6)
    policy = house.policy
    return await sandbox.run(
        Order(
            session_id=session.id,
            number=0,
            folder=folder,
            workspace=Path(session.worktree),
            argv=tuple(argv),
            env=environment(house, session.id, None),
            log_cap=1 << 20,
            output_limit=policy.output_limit,
            wall_time=policy.check_time,
            grace=1.0,
        )
    )


async def _end_earlier(sandbox: Sandbox, checks: Path) -> None:
    """A bot that was killed has left the command running that it waited for."""
    for folder in checks.glob("*"):
        handle = await sandbox.find(folder)
        if handle is not None:
            await sandbox.stop(folder, handle, force=True)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _check(house: House, session: Session, task: Task, step: Step) -> list[Finding]:
    criteria = await house.store.read(
        "SELECT position, command FROM criteria WHERE task_id = ? AND command IS NOT NULL "
        "ORDER BY position",
        (task.id,),
    )
    repo = house.repo(task.repo)
    commands: list[tuple[int | None, str]] = [
        (None, command) for command in (step.command, repo.check) if command
    ]
    commands += [(row["position"], row["command"]) for row in criteria]
    return [await _run(house, session, position, command) for position, command in commands]


async def _run(house: House, session: Session, position: int | None, command: str) -> Finding:
    ran = await inside(house, session, ("sh", "-c", command))
    said = "\n".join(house.redact(ran.output).strip().splitlines()[-20:])
    if ran.end.status != 0:
        said = f"{said}\n({ran.end.reason or f'exit status {ran.end.status}'})".strip()
    return Finding(command, ran.end.status == 0, said, position)


def _judged(
    tx: Tx,
    house: House,
    session: Session,
    iteration: Iteration,
    work: Work,
) -> None:
    """The verdict and what follows from it, once."""
    if sessions.get(tx, session.id).state is not SessionState.SUSPENDED:
        return  # it was ended meanwhile: nobody waits for a verdict
    findings, change = work.findings, work.change
    passed = all(finding.passed for finding in findings)
    qa = QaState.SKIPPED if not findings else QaState.PASSED if passed else QaState.FAILED
    if not tx.update(
        "iterations",
        {
            "session_id": session.id,
            "number": iteration.number,
            "state": "completed",
            "qa": "pending",
        },
        qa=qa.value,
    ):
        return
    tx.insert(
        "qa_results",
        session_id=session.id,
        iteration=iteration.number,
        result=qa.value,
        findings=json.dumps([asdict(finding) for finding in findings]),
        judged_by="bullpen",
        created_at=tx.now,
    )
    _criteria(tx, session.task_id, findings)
    if change is not None:
        tx.run(
            "UPDATE tasks SET change = ?, head_commit = ? WHERE id = ?",
            (msgspec.json.encode(change).decode(), change.head, session.task_id),
        )
    task = tasks.get(tx, session.task_id)
    if qa is QaState.FAILED:
        _send_back(tx, house, task, session, findings)
        return
    onward = Onward(summary=iteration.summary or "", diff=work.diff)
    follow(tx, house, task, iteration.outcome or "default", onward)


def _criteria(tx: Tx, task_id: int, findings: Sequence[Finding]) -> None:
    for finding in findings:
        if finding.criterion is not None:
            tx.run(
                "UPDATE criteria SET state = ? WHERE task_id = ? AND position = ?",
                ("passed" if finding.passed else "failed", task_id, finding.criterion),
            )


def _send_back(
    tx: Tx, house: House, task: Task, session: Session, findings: Sequence[Finding]
) -> None:
    """The next iteration, with the findings; or, after the limit, the end."""
    failed = [finding for finding in findings if not finding.passed]
    words = "; ".join(f"`{finding.command}` failed" for finding in failed)
    tx.emit(
        Event(
            "qa.failed",
            f"{task.ref}: {words}",
            Severity.WARNING,
            task_id=task.id,
            agent=session.agent,
            session_id=session.id,
        )
    )
    if sessions.sendbacks(tx, session.id) >= house.policy.send_backs:
        sessions.end(tx, sessions.get(tx, session.id), SessionOutcome.FAILED, words)
        fail_task(
            tx,
            house,
            task,
            SessionOutcome.FAILED,
            words,
            failed[0].said.splitlines()[-15:],
            session.id,
        )
        return
    prompt = house.prompts.again(
        "Bullpen",
        "The checks failed.",
        [f"{finding.command}\n{finding.said}" for finding in failed],
    )
    sessions.new_iteration(tx, session.id, "qa", prompt, IterationState.WAITING)


def _unjudgeable(tx: Tx, house: House, session: Session, reason: str) -> None:
    fresh = sessions.get(tx, session.id)
    if fresh.state is not SessionState.SUSPENDED:
        return
    sessions.end(tx, fresh, SessionOutcome.FAILED, reason)
    fail_task(
        tx, house, tasks.get(tx, session.task_id), SessionOutcome.FAILED, reason, [], session.id
    )

"""The end of an iteration: its work is taken in and checked, and the task goes on, or back."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec

from core import checks, collecting, git, overlaps, reports, shortages
from core.errors import Broken, BullpenError, Unreachable
from core.house import House
from core.killpoints import kill_point
from core.model import (
    Change,
    Check,
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
from core.ports import Ran
from core.prompts import apart
from core.receipts import Built, see
from core.sessions import wording
from core.sessions.ending import fail_task
from core.sessions.starting import reload
from core.store import logs, receipts, sessions, tasks
from core.store.database import Tx
from core.store.receipts import NewReceipt
from core.workflow import Onward, follow
from core.worktrees import leftover_script, nested

NOTED = 100
"""Files that the log names of one iteration."""


@dataclass(frozen=True, slots=True)
class Work:
    """What an iteration has brought: the change, the beginning of its diff, what was checked,
    and the receipt of those checks that ran in a clean checkout."""

    change: Change | None
    diff: str
    findings: Sequence[Check]
    receipt: NewReceipt | None = None


async def judge(house: House, session_id: str) -> None:
    """Collect the work, run the checks, and send the task on, or back. Doing it again after a
    crash does no harm: the verdict is recorded once."""
    session, iteration, task = await house.store.write(lambda tx: reload(tx, session_id))
    try:
        shortages.need_room(house.data)
        step = house.step(task, session.step)
        await collecting.take_in(house, session, task)
        await reports.take_file(house, session)
        work = await _look(house, session, task, step)
        if not all(finding.passed for finding in work.findings):
            shortages.need_room(house.data)
        kill_point("after-collect")
        await house.store.write(lambda tx: _judged(tx, house, session, iteration, work))
    except Unreachable:
        raise  # nothing is known yet: it is judged when the engine answers again
    except BullpenError as error:
        reason = str(error)
        if shortages.passing(error) or shortages.full(house.data):
            with contextlib.suppress(BullpenError):
                await house.store.write(lambda tx: shortages.tell(tx, session, reason))
            raise  # it is judged when that is over
        await house.store.write(lambda tx: _unjudgeable(tx, house, session, reason))


async def _look(house: House, session: Session, task: Task, step: Step) -> Work:
    """A step that writes code is judged by its commit, any other by its workspace."""
    written = await collecting.written(house, session, step)
    commands = await checks.wanted(house, task, step)
    if not step.writes_code:
        return Work(None, "", [*written, *await checks.run(house, session, commands)])
    change = await _collect(house, session, task)
    await _note_files(house, session, task, change)
    diff = await beginning(house, task, change)
    if not commands:
        return Work(change, diff, written)
    built = Built(change.head, change.base, change)
    receipt = await see(house, session, task, built, commands)
    return Work(change, diff, [*written, *receipt.checks], receipt)


async def beginning(house: House, task: Task, change: Change | None) -> str:
    """The first of the diff, for a card: secrets out, cut at a line."""
    if change is None or change.empty:
        return ""
    text = await house.repositories.diff(house.repo(task.repo), change.base, change.head, 64 << 10)
    return house.redact(text)[:4000]


async def _collect(house: House, session: Session, task: Task) -> Change:
    """What was left uncommitted is committed inside the sandbox; then the commits are fetched.
    From a place that shares no folder all of it has come home committed."""
    repo, base = house.repo(task.repo), task.base_commit or ""
    bare, left_out = house.repositories.path(repo), []
    if house.sandboxes[session.sandbox].shares_folder:
        main = await house.repositories.head(repo, house.repositories.default_branch(repo))
        script = leftover_script(f"{task.ref}: {task.title}", (base, main or ""))
        ran = await checks.inside(house, session, script)
        if ran.end.status != 0:
            raise Broken(f"What it left uncommitted can't be committed: {_last_words(house, ran)}")
        left_out = nested.told(ran.output)
    else:
        left_out = await collecting.apart(house, session)
    change = await house.repositories.collect(
        repo, task.branch or "", Path(session.worktree), session.id, base
    )
    named = await nested.unheld(bare, change.base, change.head)
    return replace(change, apart=nested.shown([*left_out, *named.values()], house.redact))


async def _note_files(house: House, session: Session, task: Task, change: Change) -> None:
    """The log tells which files the iteration has changed, also of an agent that doesn't."""
    since = task.head_commit
    if since is None:
        files = change.files
    else:
        bare = house.repositories.path(house.repo(task.repo))
        files = await git.files(bare, since, change.head)
    iteration = await house.store.write(lambda tx: sessions.get_iteration(tx, session.id))
    events = wording.changes(files[:NOTED])
    number, attempt = iteration.number, iteration.attempt
    written = await house.store.logs.write(
        lambda tx: logs.note_files(tx, session.id, attempt, number, events)
    )
    house.store.tell(written)


def _last_words(house: House, ran: Ran) -> str:
    lines = house.redact(ran.output).strip().splitlines()
    return ran.end.error or (lines[-1] if lines else f"exit status {ran.end.status}")


# -- the verdict ---------------------------------------------------------------------------


def _judged(tx: Tx, house: House, session: Session, iteration: Iteration, work: Work) -> None:
    """The verdict and what follows from it, once."""
    if sessions.get(tx, session.id).state is not SessionState.SUSPENDED:
        return  # it was ended meanwhile: nobody waits for a verdict
    findings = work.findings
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
    tick_off(tx, session.task_id, findings)
    task = _take(tx, session, work)
    if qa is QaState.FAILED:
        _send_back(tx, house, task, session, findings)
        return
    told = sessions.get_iteration(tx, session.id)  # its file may have spoken since
    onward = Onward(summary=told.summary or "", diff=work.diff)
    follow(tx, house, task, told.outcome or "default", onward)


def tick_off(tx: Tx, task_id: int, findings: Sequence[Check]) -> None:
    """The criteria that a command checks are as it says."""
    for finding in findings:
        if finding.criterion is not None:
            tx.run(
                "UPDATE criteria SET state = ? WHERE task_id = ? AND position = ? AND command = ?",
                (
                    "passed" if finding.passed else "failed",
                    task_id,
                    finding.criterion,
                    finding.command,
                ),
            )


def _take(tx: Tx, session: Session, work: Work) -> Task:
    """The task's change is this one now, and what was seen of it stands with it."""
    task = tasks.get(tx, session.task_id)
    change = work.change
    if change is None:
        return task
    tx.run(
        "UPDATE tasks SET change = ?, head_commit = ? WHERE id = ?",
        (msgspec.json.encode(change).decode(), change.head, task.id),
    )
    overlaps.seen(tx, task, (file.path for file in change.files))
    counted = receipts.valid(tx, task.id)
    if counted is not None and counted.patch_id != change.patch_id:
        receipts.make_stale(tx, task.id, receipts.OTHER_CHANGE)
    if work.receipt is not None:
        receipts.store(tx, task, session.id, work.receipt)
    return tasks.get(tx, task.id)


def _send_back(
    tx: Tx, house: House, task: Task, session: Session, findings: Sequence[Check]
) -> None:
    """The next iteration, with the findings; or, after the limit, the end."""
    failed = [finding for finding in findings if not finding.passed]
    words = "; ".join(checks.fault(finding) for finding in failed)
    last = sessions.sendbacks(tx, session.id) >= house.policy.send_backs
    tx.emit(
        Event(
            "qa.failed",
            f"{task.ref}: {words}",
            Severity.INFO if last else Severity.WARNING,  # the task's failure says it too
            task_id=task.id,
            agent=session.agent,
            session_id=session.id,
        )
    )
    if last:
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
        [*(f"{finding.command}\n{finding.said}" for finding in failed), *apart(task.change)],
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

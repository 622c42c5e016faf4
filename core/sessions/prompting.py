"""The words that a session's agent gets: its first prompt, what follows, its instructions."""

from __future__ import annotations

from core.holding import WORDS
from core.house import House
from core.memory import NAME, memory_folder
from core.model import Iteration, Session, Step, Task
from core.prompts import Place
from core.sessions.surroundings import PERSISTENT
from core.store.database import Tx


def first_prompt(tx: Tx, house: House, task: Task, step_type: str) -> str:
    """What a new session is told first; a retry's hint goes along."""
    repo = house.repo(task.repo)
    prompt = house.prompts.first(step_type, task, repo, criteria(tx, task))
    hint = tx.value("SELECT hint FROM tasks WHERE id = ?", (task.id,))
    if hint:
        prompt += f"\nA hint from the last try: {hint}\n"
    return prompt


def criteria(tx: Tx, task: Task) -> list[str]:
    """When the task is done, in its own words."""
    sql = "SELECT text FROM criteria WHERE task_id = ? ORDER BY position"
    return [row["text"] for row in tx.all(sql, (task.id,))]


def scoped(tx: Tx, house: House, session: Session, task: Task, step: Step) -> str:
    """The session's AGENTS.md: its task, where things lie, what it may report; nothing else."""
    folder = house.session_folder(session.id)
    agent = house.agents.get(session.agent)
    keeps = agent is not None and agent.mode == PERSISTENT
    memory = memory_folder(house.data, session.agent) / NAME if keeps else None
    place = Place(session.worktree, str(folder / "artifacts"), str(memory) if memory else None)
    return house.prompts.instructions(task, step, criteria(tx, task), place)


async def said_so_far(
    house: House, session: Session, iteration: Iteration, resumed: bool, answers: bool
) -> str:
    """A resumed agent hears only what is new; a fresh process all that was said before: its
    own answers, too, where no artifact holds them (`answers`)."""
    if resumed or iteration.number == 1:
        return iteration.prompt
    said = await house.store.read(
        "SELECT number, prompt, summary FROM iterations WHERE session_id = ? AND number <= ? "
        "ORDER BY number",
        (session.id, iteration.number),
    )
    parts = []
    for row in said:
        parts.append(row["prompt"].strip())
        answer = (row["summary"] or "").strip()
        if answers and answer and row["number"] < iteration.number:
            parts.append(f"Your answer then:\n\n{answer}")
    return "\n\n".join(parts) + "\n"


async def words_since(house: House, session: Session, iteration: Iteration) -> list[str]:
    """What people said to it since its iteration began: an earlier attempt may have been
    interrupted before it took that up."""
    rows = await house.store.read(
        "SELECT said FROM inputs WHERE session_id = ? AND attempt < ? AND created_at >= ? "
        "AND said IS NOT NULL ORDER BY attempt, number",
        (session.id, iteration.attempt, iteration.started_at),
    )
    return [str(row["said"]) for row in rows]


def with_words(prompt: str, words: list[str]) -> str:
    """The prompt, and those words again."""
    if not words:
        return prompt
    told = "\n\n".join(words)
    return f"{prompt.rstrip()}\n\nMeanwhile you were told, if you haven't heeded it:\n\n{told}\n"


async def interruption(house: House, session: Session) -> str | None:
    """Why its last attempt was cut short, for its log; None: it was not."""
    if session.held_for is None:
        return session.cut_off
    found = await house.store.read(
        "SELECT payload ->> 'paused' AS who FROM events WHERE task_id = ? "
        "AND type = 'task.edited' AND payload ->> 'paused' IS NOT NULL ORDER BY seq DESC LIMIT 1",
        (session.task_id,),
    )
    if session.held_for == "paused" and found:
        return f"paused by {found[0]['who']}"
    return WORDS[session.held_for]


def again(session: Session) -> str | None:
    """Why it was interrupted before it had a result; None: it was not."""
    if session.held_for is not None:
        return f"{WORDS[session.held_for]}; that is over"
    return session.cut_off

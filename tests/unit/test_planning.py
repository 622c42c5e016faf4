"""Pure decisions: who fits, how well, and how many more."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from core import planning
from core.model import Agent, AgentRole, Priority, Step, StepKind, Task, TaskState
from core.planning import Match, Needs

STEP = Step("work", StepKind.AGENT, {"default": "done"})
TASK = Task(1, "Work", "", TaskState.READY, Priority.MEDIUM, "quick", "work", "work", "me", 0, 0)
CODER = Agent("coder", "claude", skills=frozenset({"python", "sql"}),
              languages=frozenset({"German"}), max_concurrent_tasks=4)
SHELL = Agent("shell", "command")
skills = st.frozensets(st.sampled_from(["python", "sql", "css", "go"]))


def why(agent: Agent, task: Task = TASK, needs: Needs | None = None, load: int = 0) -> str | None:
    return planning.match(agent, task, STEP, needs or Needs(), load).why_not


def test_why_an_agent_does_not_fit() -> None:
    assert why(CODER) is None
    assert why(replace(CODER, enabled=False)) == "coder is disabled"
    assert why(replace(CODER, types=("reviewer",))) is None, "`any` is a step for everybody"
    assert "lacks css, go" in str(why(CODER, needs=Needs(skills=frozenset({"go", "css", "sql"}))))
    assert "doesn't know French" in str(why(CODER, needs=Needs(languages=frozenset({"French"}))))
    assert why(CODER, load=4) == "coder is busy"
    assert "only runs commands" in str(why(SHELL))
    run = replace(TASK, run_command="true")
    assert why(SHELL, run) is None
    assert "takes no --run commands" in str(why(CODER, run))
    own = replace(SHELL, options={"command": "paint"})
    assert why(own) is None and "takes no --run" in str(why(own, run))


def test_a_step_of_a_kind_goes_to_agents_of_that_kind() -> None:
    review = replace(STEP, type="reviewer")
    for agent, fits in ((CODER, True), (replace(CODER, types=("coding",)), False),
                        (replace(CODER, types=("reviewer",)), True),
                        (replace(CODER, role=AgentRole.STEWARD), False)):
        found = planning.match(agent, TASK, review, Needs(), 0)
        assert (found.why_not is None) is fits, agent


@given(have=skills, wanted=skills, required=skills, load=st.integers(0, 6))
def test_a_score_is_a_percentage_and_zero_means_no(
    have: frozenset[str], wanted: frozenset[str], required: frozenset[str], load: int
) -> None:
    agent = replace(CODER, skills=have)
    found = planning.match(agent, TASK, STEP, Needs(skills=required, preferred=wanted), load)
    assert 0 <= found.score <= 100
    assert (found.score == 0) == (found.why_not is not None)
    assert (found.why_not is None) == (required <= have and load < 4)


@given(have=skills, wanted=skills, load=st.integers(0, 2))
def test_more_load_and_fewer_skills_never_score_better(
    have: frozenset[str], wanted: frozenset[str], load: int
) -> None:
    def score(owned: frozenset[str], busy: int) -> int:
        agent = replace(CODER, skills=owned)
        return planning.match(agent, TASK, STEP, Needs(preferred=wanted), busy).score

    assert score(have, load) >= score(have, load + 1)
    assert score(have | wanted, load) >= score(have, load)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 100), st.booleans())))
def test_the_best_fits_and_nobody_fits_better(made: list[tuple[str, int, bool]]) -> None:
    matches = [Match(replace(CODER, name=name), score, None if fits else "no")
               for name, score, fits in made]
    best = planning.best(matches)
    fitting = [match for match in matches if match.why_not is None]
    assert (best is None) == (not fitting)
    if best is not None:
        assert best in fitting
        assert all((-best.score, best.agent.name) <= (-match.score, match.agent.name)
                   for match in fitting)
        assert best == planning.best(reversed(matches)), "whatever the order"


@given(st.integers(1, 10), st.lists(st.text(max_size=2), max_size=20))
def test_room_is_what_is_left(most: int, running: list[str]) -> None:
    assert planning.room(most, running) == max(0, most - len(running))

"""Pure decisions: who fits, and how well."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from core import planning
from core.model import Agent, AgentRole, Step, StepKind
from core.planning import Match, Needs, Record

STEP = Step("work", StepKind.AGENT, {"default": "done"})
CODER = Agent("coder", "claude", skills=frozenset({"python", "sql"}),
              languages=frozenset({"German"}), max_concurrent_tasks=4)
SHELL = Agent("shell", "command")
skills = st.frozensets(st.sampled_from(["python", "sql", "css", "go"]))


def why(agent: Agent, needs: Needs | None = None, load: int = 0) -> str | None:
    return planning.match(agent, STEP, needs or Needs(), load).why_not


def test_why_an_agent_does_not_fit() -> None:
    assert why(CODER) is None
    assert why(replace(CODER, enabled=False)) == "coder is disabled"
    assert why(replace(CODER, types=("reviewer",))) is None, "`any` is a step for everybody"
    assert "lacks css, go" in str(why(CODER, needs=Needs(skills=frozenset({"go", "css", "sql"}))))
    assert "doesn't know French" in str(why(CODER, needs=Needs(languages=frozenset({"French"}))))
    assert why(CODER, load=4) == "coder is busy"
    assert "only runs commands" in str(why(SHELL))
    run = Needs(command=True)
    assert why(SHELL, run) is None
    assert "takes no --run commands" in str(why(CODER, run))
    own = replace(SHELL, options={"command": "paint"})
    assert why(own) is None and "takes no --run" in str(why(own, run))


def test_a_step_of_a_kind_goes_to_agents_of_that_kind() -> None:
    review = replace(STEP, type="reviewer")
    for agent, fits in ((CODER, True), (replace(CODER, types=("coding",)), False),
                        (replace(CODER, types=("reviewer",)), True),
                        (replace(CODER, role=AgentRole.STEWARD), False)):
        found = planning.match(agent, review, Needs(), 0)
        assert (found.why_not is None) is fits, agent


@given(have=skills, wanted=skills, required=skills, load=st.integers(0, 6))
def test_a_score_is_a_percentage_and_zero_for_the_ineligible(
    have: frozenset[str], wanted: frozenset[str], required: frozenset[str], load: int
) -> None:
    agent = replace(CODER, skills=have)
    found = planning.match(agent, STEP, Needs(skills=required, preferred=wanted), load)
    assert 0 <= found.score <= 100
    assert found.eligible == (required <= have) == (found.score > 0)
    assert found.free == (load < 4)
    assert (found.why_not is None) == (found.eligible and found.free)
    assert set(found.matched) | set(found.missing) == required
    assert set(found.preferred) == wanted & have


@given(good=st.integers(0, 50), bad=st.integers(0, 50))
def test_a_better_record_on_the_lane_scores_better(good: int, bad: int) -> None:
    def score(record: Record) -> int:
        return planning.match(CODER, STEP, Needs(), 0, record).score

    known = score(Record(good, bad))
    assert score(Record(good + 10, bad)) >= known >= score(Record(good, bad + 10))
    assert score(Record(10, 0)) > score(Record()) > score(Record(0, 10))


def test_nobody_fits_is_told_with_what_is_missing() -> None:
    needs = Needs(skills=frozenset({"rust"}))
    found = [planning.match(agent, STEP, needs, 0) for agent in (CODER, SHELL)]
    assert planning.lacking(found, needs) == "it asks for rust; coder lacks rust"
    busy = [planning.match(CODER, STEP, Needs(), 4)]
    assert planning.lacking(busy, Needs()) is None, "who fits and is busy will take it later"
    assert planning.lacking([], Needs()) is not None


@given(have=skills, wanted=skills, load=st.integers(0, 2))
def test_more_load_and_fewer_skills_never_score_better(
    have: frozenset[str], wanted: frozenset[str], load: int
) -> None:
    def score(owned: frozenset[str], busy: int) -> int:
        agent = replace(CODER, skills=owned)
        return planning.match(agent, STEP, Needs(preferred=wanted), busy).score

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

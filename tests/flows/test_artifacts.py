"""What an agent leaves as artifacts, and what its step must leave."""

from __future__ import annotations

from tests.flows.bench import Bench

PLANNED = """
name = "planned"
[[steps]]
id = "plan"
kind = "agent"
output = "plan.md"
outcomes = { default = "look" }
[[steps]]
id = "look"
kind = "gate"
outcomes = { approved = "done", rejected = "plan" }
"""
TRIES = """
echo try >> tries
[ $(wc -l < tries) -lt $1 ] || echo "Plan of $(wc -l < tries)" > $2/plan.md
echo '{}' > $2/outcome.json
ln -sf /etc/passwd $2/users
"""


def add(bench: Bench, at_try: int) -> str:
    bench.configure(PLANNED, "config/workflows/planned.toml")
    script = bench.shown / "tries.sh"
    script.write_text(TRIES)
    return f'/add "Plan it" --workflow planned --run "sh {script} {at_try} {{artifacts}}"'


def versions(bench: Bench) -> list[tuple[str, int, str]]:
    return [tuple(row) for row in bench.rows(
        "SELECT name, version, author FROM artifacts WHERE author LIKE 'agent:%' ORDER BY 1, 2")]


def test_what_a_step_must_write_is_asked_for_until_it_is_there(bench: Bench) -> None:
    ran = bench.up(add(bench, at_try=3))
    ran.said("`plan.md` is missing", "G-1 · TASK-001", "Checks: ✓ artifact plan.md")
    assert [row[0] for row in bench.rows("SELECT qa FROM iterations ORDER BY number")] == [
        "failed", "failed", "passed"]
    assert "write it to the artifacts folder" in bench.prompts()[1]
    agent = bench.value("SELECT agent FROM sessions")
    assert versions(bench) == [("plan.md", 1, f"agent:{agent}")]
    bench.up("/show 1 plan.md").said("Plan of 3")


def test_never_written_it_fails_the_task(bench: Bench) -> None:
    ran = bench.up(add(bench, at_try=99), status=1)
    ran.said("TASK-001 failed", "`plan.md` is missing")
    assert versions(bench) == []


def test_a_link_is_refused_once_and_hinders_nothing(bench: Bench) -> None:
    ran = bench.up(add(bench, at_try=1), "/reject 1 Once more")
    told = "not taken as artifacts: users (a link)"
    ran.said(told, "G-2 · TASK-001")
    refused = [row[0] for row in bench.rows(
        "SELECT text FROM events WHERE type = 'artifact.refused'")]
    assert len(refused) == 2  # each once
    assert told in " ".join(refused) and "the outcome is not taken" in " ".join(refused)
    assert [version for _, version, _ in versions(bench)] == [1, 2]
    bench.up("/approve 1").said("TASK-001 done")

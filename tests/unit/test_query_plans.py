"""Every statement of a turn and of a claim goes down an index, on a fresh database too: SQLite
passes a partial index over as soon as another one starts with the same column."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from core import dispatch, orchestrator, taskfolders
from core.store import claims, doors
from core.store.database import connect

HOT = {
    "sessions": orchestrator.SESSIONS,
    "active tasks": orchestrator.ACTIVE_TASKS,
    "workspaces to tidy away": orchestrator.UNTIDY,
    "glance": claims.GLANCE,
    "demands": claims._DEMANDS,
    "head": claims._HEAD,
    "undemanded": claims._UNDEMANDED,
    "claim": claims._CLAIM,
    "waiting sessions": dispatch._WAITING,
    "load": dispatch._LOAD,
    "task folders": taskfolders.STALE,
    "whose token": doors._WHOSE,
    "a session's living attempt": doors._LIVE,
    "an attempt's gate": doors._GATE,
    "an attempt's gates": doors._GATES,
    "said lately": doors._LATELY,
    "inputs": doors._INPUTS,
    "artifacts of a session": doors._ARTIFACTS,
}


@pytest.mark.parametrize("name", HOT)
@pytest.mark.parametrize("analyzed", [False, True], ids=["fresh", "analyzed"])
def test_a_hot_statement_scans_no_table(tmp_path: Path, name: str, analyzed: bool) -> None:
    with contextlib.closing(connect(tmp_path / "bullpen.db", schema="state")) as db:
        if analyzed:
            db.execute("ANALYZE")
        sql = HOT[name]
        plan = db.execute(f"EXPLAIN QUERY PLAN {sql}", [0] * sql.count("?")).fetchall()
        steps = [row["detail"] for row in plan]
        scans = [step for step in steps if step.startswith("SCAN") and "INDEX" not in step
                 and not step.startswith(("SCAN asked", "SCAN CONSTANT", "SCAN (subquery"))]
        assert not scans, steps
        assert not [step for step in steps if "TEMP B-TREE" in step and name in ("head", "demands")]

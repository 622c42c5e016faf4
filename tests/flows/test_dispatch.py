"""Who takes what: by name, by fit, explained; and what happens where nobody can."""

from __future__ import annotations

import pytest

from tests.flows.bench import Bench

CREW = """
[agents.claude]
driver = "claude"
enabled = false

[agents.python-1]
driver = "command"
skills = ["python", "profiling"]
languages = ["german"]
max_concurrent_tasks = 2
options = { command = "sh -c 'echo python-1 > {task}.txt'" }

[agents.python-2]
driver = "command"
skills = ["python"]
languages = ["german", "french", "english"]
options = { command = "sh -c 'echo python-2 > {task}.txt'" }

[agents.rusty]
driver = "command"
skills = ["rust"]
options = { command = "sh -c 'echo rusty > {task}.txt'" }
"""


@pytest.fixture
def crew(bench: Bench) -> Bench:
    bench.configure(CREW, "config/agents.toml")
    return bench


def who(bench: Bench) -> dict[int, str]:
    found = bench.rows("SELECT task_id, agent FROM sessions")
    return {row["task_id"]: row["agent"] for row in found}


def test_candidates_are_ranked_with_what_matches_and_what_is_missing(crew: Bench) -> None:
    ran = crew.up("/pause", '/add "Speed it up" --skill python --prefer profiling --lang german',
                  "/candidates 1", "/candidates 1 --eligible", "/candidates 1 --min-score 80",
                  "/candidates 1 --min-score 200", "/candidates 9", "/candidates")
    ran.said("It asks for python, german.",
             "python-1 fits 8", "german, python, 1 of 1 preferred, free",
             "python-2 fits", "0 of 1 preferred",
             "rusty doesn't fit: rusty lacks python")
    whole, eligible, good = (part for part in ran.out.split("TASK-001 · Speed it up")[-3:])
    assert "rusty" in whole and "rusty" not in eligible
    assert "python-1" in good and "python-2" not in good
    ran.said("--min-score is a number from 0 to 100", "No task 9", "Which task? /candidates 42")


def test_assigned_to_the_best_with_the_reason_and_done_by_it(crew: Bench) -> None:
    ran = crew.up("/pause", '/add "Speed it up" --skill python --prefer profiling',
                  "/assign 1", "/assign 1", "/resume")
    ran.said("TASK-001 is for python-1.", "Fits ", "python, 1 of 1 preferred, free",
             "Others: python-2 fits", "TASK-001 is for python-1 already.")
    assert who(crew) == {1: "python-1"}


def test_assigned_by_name_whatever_the_score_but_never_to_whom_it_does_not_fit(
    crew: Bench,
) -> None:
    ran = crew.up("/pause", '/add "Speed it up" --skill python --prefer profiling',
                  "/assign 1 rusty", "/assign 1 nobody", "/assign 1 claude", "/assign 1 python-2",
                  "/resume")
    ran.said("It can't go to rusty: rusty lacks python", "No agent `nobody`",
             "It can't go to claude: claude is disabled", "TASK-001 is for python-2.")
    assert who(crew) == {1: "python-2"}


def test_an_edit_gives_it_to_nobody_whom_it_does_not_fit(crew: Bench) -> None:
    ran = crew.up("/pause", '/add "Speed it up" --skill python', "/edit 1 --agent rusty",
                  '/add "Port it" --skill cobol', "/assign 2", '/add "R" --run true --agent shell',
                  "/edit 3 --run none", "/edit 1 --agent python-2", "/list --lane x")
    ran.said("It can't go to rusty: rusty lacks python", "Nobody can take TASK-002: ",
             "/candidates 2 says what it asks for", "TASK-003 is for shell, which only runs",
             "say --agent none too", "TASK-001: agent changed")
    assert crew.value("SELECT assignee FROM tasks WHERE id = 1") == "python-2"
    assert crew.value("SELECT run_command FROM tasks WHERE id = 3") == "true"


def test_nobody_fits_is_said_once_with_what_is_missing(crew: Bench) -> None:
    ran = crew.up('/add "Port it" --skill cobol', '/add "Port more" --skill cobol',
                  '/add "Plain"', "/events")
    assert ran.out.count("nobody here can take it") == 1, ran.out
    ran.said("TASK-001", "lacks cobol", "TASK-002", "lacks cobol",
             "TASK-001 waits: nobody here can take it. It asks for cobol; ", "lacks cobol")
    assert crew.states() == {1: "ready", 2: "ready", 3: "review"}, "the others go on"
    again = crew.up("/status")
    assert "nobody here" not in again.out, "not after a restart either"
    crew.configure(CREW + '[agents.cobol-1]\ndriver = "command"\nskills = ["cobol"]\n'
                   'max_concurrent_tasks = 2\noptions = { command = "true" }\n',
                   "config/agents.toml")
    crew.up("/status", BULLPEN_QUEUE__MAX_CONCURRENT="2")
    assert crew.states() == {1: "review", 2: "review", 3: "review"}


def test_a_good_record_on_a_lane_counts(crew: Bench) -> None:
    """python-2 has brought results on this lane and python-1 none: it goes first there."""
    crew.up("/pause", *(f'/add "Import {n}" --skill python --lane import --agent python-2'
                        for n in range(6)), "/resume", *(f"/approve {n}" for n in range(1, 7)))
    ran = crew.up("/pause", '/add "Import more" --skill python --lane import', "/candidates 7",
                  '/add "Export" --skill python --lane export', "/candidates 8")
    lane, other = ran.out.split("It asks for python.")[-2:]
    assert "6 of 6 went well on this lane" in lane
    assert lane.index("python-2 fits") < lane.index("python-1 fits")
    assert other.index("python-1 fits") < other.index("python-2 fits")


def test_a_busy_crew_is_told_so(crew: Bench) -> None:
    ran = crew.up("/pause", '/add "Rust" --agent rusty', "/assign 1 python-1", "/resume",
                  '/add "More" --skill rust')
    assert crew.states() == {1: "review", 2: "review"}
    assert who(crew) == {1: "python-1", 2: "rusty"}, ran.out


TWO = """
[repos.shop]
source = "{shop}"
[repos.two]
source = "{shop}"
"""


def test_what_cannot_start_holds_up_no_other_however_much_it_is(crew: Bench) -> None:
    crew.configure(TWO.format(shop=crew.repo))
    crew.up("/pause", *(f'/add "Lost {n}" --repo two' for n in range(60)), repo=None)
    crew.configure(TWO.format(shop=crew.repo).split("[repos.two]")[0])
    ran = crew.up("/resume", '/add "Sound" --repo shop', repo=None)
    assert crew.states()[61] == "review", ran.out
    assert ran.out.count("is not configured any more") == 1, ran.out
    crew.configure(TWO.format(shop=crew.repo))
    crew.up("/status", repo=None)
    assert set(crew.states().values()) == {"review"}, "they go on when it is back"


def test_a_sent_back_task_whose_agent_is_disabled_says_so(crew: Bench) -> None:
    ran = crew.up('/add "Mend it" --agent rusty', "/agent disable rusty", "/reject 1 again",
                  "/status", "/release 1", "/agent enable rusty")
    assert ran.out.count("TASK-001 can't go on: ") == 1, ran.out
    ran.said("TASK-001 can't go on: rusty is disabled: /agent enable rusty.", "/release 1")
    sessions = crew.rows("SELECT agent FROM sessions ORDER BY created_at")
    assert len(sessions) == 2 and crew.states() == {1: "review"}


def test_an_agent_taken_away_before_it_began_is_followed_by_another(crew: Bench) -> None:
    crew.up('/add "Speed it up" --skill rust', BULLPEN_KILL_AT="after-claim", status=-9)
    assert who(crew) == {1: "rusty"}
    crew.configure(CREW.replace("[agents.rusty]", "[agents.rusty-2]"), "config/agents.toml")
    ran = crew.up("/status")
    ran.said("rusty is no longer configured, another may go on", "TASK-001 is ready for you")
    agents = crew.rows("SELECT agent, outcome FROM sessions ORDER BY created_at")
    assert [row["agent"] for row in agents] == ["rusty", "rusty-2"]
    assert crew.states() == {1: "review"}


def test_what_cannot_begin_keeps_its_files_from_nobody(crew: Bench) -> None:
    """One whose time hasn't come, and one that nobody can do: others of their wave go on."""
    ran = crew.up('/add "Later" --lane late --draft --touches src/* -p high --not-before 30d',
                  '/add "Now" --lane late --draft --touches src/*',
                  '/add "Cobol" --lane old --draft --touches lib/* -p high --skill cobol',
                  '/add "Plain" --lane old --draft --touches lib/*', "/go late", "/go old")
    assert crew.states() == {1: "ready", 2: "review", 3: "ready", 4: "review"}, ran.out


def test_what_may_begin_after_all_waits_for_who_is_at_work_on_its_files(crew: Bench) -> None:
    crew.up('/add "Later" --lane late --draft --touches src/* -p high --not-before 30d',
            '/add "Now" --lane late --draft --touches src/*', "/go late")
    ran = crew.up("/edit 1 --not-before now")
    ran.said("TASK-001 waits for TASK-002: both touch src/*")
    assert crew.states() == {1: "ready", 2: "review"}, "its branch isn't merged yet"
    crew.up("/approve 2")
    assert crew.states() == {1: "review", 2: "done"}

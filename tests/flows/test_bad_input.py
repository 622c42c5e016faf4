"""What is said wrongly: one line that says what to do instead, and nothing changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.commands.verbs import FORMS
from tests.flows.bench import Bench

WRONG = {
    "/statsu": "There is no /statsu. Did you mean /status",
    "/xyzzy": "There is no /xyzzy. /help lists what there is.",
    "do this for me": "There is no /do",
    "/": "Say a command",
    "/add": "Give it a title",
    '/add ""': "Give it a title",
    '/add "   " --run true': "Give it a title",
    f'/add {"x" * 301}': "300 fit",
    '/add "Half': "never closed",
    "/add T --runn true": "Did you mean --run?",
    "/add T --run": "--run needs a value: a command that does it",
    "/add T --budget": "--budget needs a value: what it may cost: 2usd, 200k, or both",
    '/add T --run ""': "--run needs a value",
    '/add T --run "  "': "--run needs a value",
    '/add T --tag=': "--tag needs a value",
    '/add T --draft=no': "--draft takes no value",
    "/add T --run \"sh -c 'half\"": "can't be read",
    "/add T --repo nowhere": "No repository `nowhere`. There are: shop",
    "/add T --agent nobody": "No agent `nobody`. There are: claude, shell",
    "/add T --agent shell": "shell only runs commands",
    "/add T --agent claude --run true": "claude takes no --run commands",
    "/add T --workflow waltz": "No workflow `waltz`. There are:",
    "/add T -p sometime": "No priority `sometime`",
    "/add T --complexity xxl": "No complexity `xxl`",
    "/add T --after 99": "No task 99",
    "/add T --after yesterday": "`yesterday` is no task",
    f"/add T\n{'word ' * 20_000}": "Attach the rest as a file",
    "/list sleeping": "No state `sleeping`",
    "/list -n many": "takes a number",
    "/list --lane nowhere": "No lane `nowhere`. No task has one.",
    "/list --repo nowhere": "No repository `nowhere`. There are: shop",
    "/list --agent nobody": "No agent `nobody`. There are: claude, shell",
    "/list --run 7": "No run 7",
    "/list --page 99": "There are 1 such task, 1 page of 10: nothing so far on. Say --page 1.",
    "/list --colour red": "no option --colour",
    "/task": "Which task? For instance /task 42",
    "/task 99": "No task 99. The newest is TASK-001",
    "/task mine": "`mine` is no task",
    "/task 0": "`0` is no task",
    "/task 99999999999999999999": "is no task",
    "/status --all": "It takes no options",
    "/inbox --all": "It takes no options",
    "/gate": "Which gate?",
    "/gate 9": "No gate G-9",
    "/gate nine": "Which gate?",
    "/gate G-99": "No gate G-99",
    "/show": "Which task?",
    "/show 1 nothing.txt": "has no `nothing.txt`. There is: raw-input.md",
    "/show 1 ../../../bullpen.db": "can't be an artifact's name",
    "/diff": "Which task?",
    "/diff 1": "has changed nothing yet",
    "/logs": "Whose?",
    "/logs 1 -n -5": "takes a number",
    "/logs 1": "nobody has begun it",
    "/agents --all": "has no option --all",
    "/sessions now": "stands alone",
    "/session": "Which?",
    "/session nobody": "No session `nobody`",
    "/spawn": "Start whom?",
    "/spawn work": "What is it to do?",
    "/worktrees --page x": "page",
    "/worktree": "Which?",
    "/worktree nowhere": "No worktree `nowhere`",
    "/worktree new": "For which agent?",
    "/worktree remove": "Which one?",
    "/events --all": "It takes no options",
    "/approve 1": "nothing to decide there",
    "/approve 99": "No task 99",
    "/approve G-99": "No gate G-99",
    "/approve": "Nothing waits for you.",
    "/reject 1 because": "nothing to decide there",
    "/answer G-99 yes": "No gate G-99",
    "/assign": "Which task?",
    "/assign 1 nobody": "No agent `nobody`",
    "/assign 1 claude": "It can't go to claude",
    "/reopen 1 nowhere": "only a done or cancelled task",
    "/start": "Which task?",
    "/start 99": "No task 99",
    "/start what": "`what` is no task",
    "/ready": "Which task?",
    "/add T --budget 2": "No budget `2`: say money like 2usd",
    "/add T --budget 2usd --budget 3usd": "--budget was said twice",
    "/add T --touches /etc/*": "--touches `/etc/*` begins outside: say it from the repository's",
    "/add T --touches ../x": "--touches `../x` leads out of the repository",
    "/add T --touches src/*.py,[": "--touches `[` has a [ that is never closed",
    "/add T --touches src/{a,b}.py": "has a list in {}: say each by itself",
    "/edit 1 --touches /etc/*": "--touches `/etc/*` begins outside",
    "/add T --tag ,": "--tag needs a value",
    "/add T --not-before yesterday": "No time `yesterday`: say 2h",
    "/add T --not-before 2020-01-01T09:00": "has passed",
    "/list --wave first": "--wave takes a number",
    "/list --run mine": "`mine` is no run",
    "/list --offset -1": "takes a number from 0",
    "/show 1 raw-input.md@9": "has no version 9 of raw-input.md",
    "/show 1 raw-input.md@new": "takes a number",
    "/edit": "Which task?",
    "/edit 99 New": "No task 99",
    "/edit 1": "Change what? /edit 1 NEW TITLE",
    "/edit 1 New --title Newer": "Say the new title once",
    f'/edit 1 {"x" * 301}': "300 fit",
    "/edit 1 --budget lots": "No budget `lots`",
    "/edit 1 --ephemeral perhaps": "takes yes or no",
    "/edit 1 --workflow waltz": "No workflow `waltz`",
    "/edit 1 --repo nowhere": "No repository `nowhere`",
    "/edit 1 --agent nobody": "No agent `nobody`",
    "/edit 1 --after 2": "/edit has no option --after. Say /after 42 12,13",
    "/edit 1 --agent claude": "claude takes no --run commands",
    "/edit 1 --run \"sh -c 'half\"": "can't be read",
    "/after": "Which task?",
    "/after 1": "Which tasks? /after 1 12,13",
    "/after 1 99": "No task 99",
    "/after 1 1": "can't wait for itself: TASK-001 → TASK-001",
    "/after 1 -7": "TASK-001 doesn't wait for TASK-007",
    "/after 1 7,+8": "Say either 12,13",
    "/delete": "Which task?",
    "/delete 99": "No task 99",
    "/delete 1": "Delete TASK-001, Here?",
    "/queue dance": "is nothing of the queue's",
    "/queue add": "Which task? /queue add 42",
    "/queue add x": "`x` is no task",
    "/queue remove 1": "TASK-001 is in the inbox: it isn't in the queue",
    "/queue remove 99": "No task 99",
    "/queue clear all": "is nothing of the queue's",
    "/queue -n 0": "takes a number from 1",
    "/move": "Which task?",
    "/move 1": "Where to? /move 1 top",
    "/move 1 sideways": "Where to?",
    "/move 1 before": "Where to?",
    "/move 1 before 99": "No task 99",
    "/move 1 before 1": "can't be moved beside itself",
    "/priority 1": "How urgent?",
    "/priority 1 sometime": "No priority `sometime`",
    "/release 1": "nobody has it",
    "/release 99": "No task 99",
    "/reopen 99": "No task 99",
    "/retry 1": "only a failed task is retried",
    "/say": "Say what to whom",
    "/say 1 hello": "Nothing of 1 runs now",
    "/say 99 hello": "No task 99",
    "/cancel": "Which task?",
    "/cancel 1 2": "/cancel takes one task: /cancel 1, then /cancel 2",
    "/delete 1 2": "/delete takes one task",
    "/done 99": "No task 99",
    "/reopen 1": "only a done or cancelled task is reopened",
    "/kill": "Kill what?",
    "/kill 1": "nothing of it runs",
    "/kill nobody": "Nothing of nobody runs",
    "/killall now": "Stop everything?",
    "/pause 1": "nothing to pause",
    "/resume 1": "nothing to resume",
    "/status now please": "stands alone",
    "/candidates": "Which task? /candidates 42",
    "/candidates 99": "No task 99",
    "/candidates 1 --min-score many": "--min-score is a number from 0 to 100",
    "/go": "Run what? /go LANE",
    "/go nowhere": "No open task on the lane `nowhere`",
    "/stop": "Which run? /stop 7",
    "/stop 7": "No run 7",
    "/run": "Which run? /run 7",
    "/run 7": "No run 7",
    "/runs now": "stands alone",
    "/cost 99": "Say /cost",
    "/whoami --really": "It takes no options",
    "/help dance": "There is no /dance",
    "/agent nobody": "No agent `nobody`",
    "/agents here": "/agents stands alone",
    "/set nonsense 1": "There is no setting",
    "/reload now": "/reload stands alone",
}
"""What is typed, and what the answer holds."""


async def test_each_mistake_gets_one_line_and_changes_nothing(bench: Bench) -> None:
    async with bench.running() as live:
        await live.say('/add "Here" --run "true" --draft', "In the inbox")
        before = bench.counts()
        for line, words in WRONG.items():
            answer = await live.say(line, words, "\n\n")
            text = answer.strip()
            assert len(text.splitlines()[0]) < 400, text
            assert bench.counts() == before, f"{line[:80]} changed something:\n{text}"
    assert bench.states() == {1: "inbox"}


def test_every_verb_is_tried_wrongly() -> None:
    tried = {line.removeprefix("/").split(None, 1)[0] for line in WRONG if line.strip("/ ")}
    assert set(FORMS) <= tried


def test_every_verb_answers(bench: Bench) -> None:
    ran = bench.up(
        "/help", *(f"/help {verb}" for verb in FORMS), "/whoami", "/status", "/agents", "/list",
        '/add "One" --run "sh -c \'echo said aloud; date > now.txt\'" --tag a --tag b --lane l '
        "--complexity m --touches '*.txt'", "/start 1", "/task 1", "/inbox", "/gate G-1",
        "/show 1", "/show 1 raw-input.md", "/diff 1", "/logs 1", "/logs 1 -n 1", "/sessions",
        "/events", "/list review --tag a --lane l -n 5 --page 1", "/say 1 hello", "/approve 1",
        "/assign 1", "/list done", "/pause", "/resume")
    ran.said("What you can say", "/approve 42 or G-17", "Role: approver", "role admin",
             "0 working", "shell", "No task", "1 waits for you", "now.txt +1 −0",
             "# One", "+++ b/now.txt", "said aloud", "Sessions", "What happened last",
             "TASK-001", "Nothing of 1 runs now", "G-1 approved",
             "TASK-001 is done: only what has not begun can be assigned", "TASK-001",
             "The queue is paused", "The queue goes on")


def test_a_long_description_comes_from_a_file_of_lines(bench: Bench) -> None:
    lines = [f"line {number} of a long story" for number in range(1200)]
    bench.up('/add "Long" --run "true" --draft', *lines)
    assert bench.value("SELECT description FROM tasks") == "\n".join(lines)
    raw = bench.task_folder("active") / "artifacts" / "raw-input.md"
    assert lines[-1] in raw.read_text()


@pytest.mark.parametrize("source", ["nowhere", "a-file", "plain-folder"])
def test_a_repository_that_is_none(bench: Bench, source: str) -> None:
    (bench.folder / "a-file").write_text("not a repository\n")
    (bench.folder / "plain-folder").mkdir()
    _refused(bench, str(bench.folder / source), source, repo=str(bench.folder / source))


def test_a_configured_repository_that_is_none(bench: Bench) -> None:
    bench.configure("[repos.ghost]\nsource = 'nowhere/at/all'\n")
    _refused(bench, "nowhere/at/all", "nowhere", repo=None)


@pytest.mark.parametrize(("toml", "words"), [
    ("[queue]\nmax_concurent = 2\n", ("bullpen.toml: queue.max_concurent", "max_concurrent")),
    ("[quue]\n", ("bullpen.toml: quue", "queue")),
    ("[queue]\nmax_concurrent = -1\n", ("bullpen.toml: queue.max_concurrent",)),
    ("[queue\n", ("bullpen.toml", "no valid TOML")),
    ("default_workflow = 'waltz'\n", ("default_workflow", "waltz")),
])
def test_a_wrong_setting_names_file_and_key(
    bench: Bench, toml: str, words: tuple[str, ...]
) -> None:
    bench.configure(toml)
    ran = bench.up("/status", status=2)
    assert not ran.out
    (line,) = ran.err.strip().splitlines()
    assert all(word in line for word in words), line
    assert not bench.data.exists() or not _files(bench.data)


def test_a_wrong_variable_is_named(bench: Bench) -> None:
    ran = bench.up("/status", status=2, BULLPEN_QUEUE__PUASED="yes")
    (line,) = ran.err.strip().splitlines()
    assert "BULLPEN_QUEUE__PUASED" in line and "BULLPEN_QUEUE__PAUSED" in line


async def test_a_second_bot_on_the_same_data_is_refused(bench: Bench) -> None:
    async with bench.running() as live:
        await live.told("Bullpen is up")
        ran = bench.up("/status", status=3)
        (line,) = ran.err.strip().splitlines()
        assert "Another Bullpen (process" in line


async def test_a_taken_port_is_said_in_one_line(bench: Bench, free_port: int) -> None:
    async with bench.running(BULLPEN_API__PORT=str(free_port)) as live:
        await live.told("Bullpen is up")
        bench.data = bench.folder / "other"
        ran = bench.up("/status", status=2, BULLPEN_API__PORT=str(free_port))
        (line,) = ran.err.strip().splitlines()
        assert str(free_port) in line and "api.port" in line


def _refused(bench: Bench, source: str, word: str, repo: str | None) -> None:
    """At the start or at the first use: one line that names it, and no task."""
    ran = bench.up('/add "Try" --run "true"', status=2, repo=repo)
    (line,) = ran.err.strip().splitlines()
    assert word in line, line
    assert not (bench.data / "bullpen.db").exists() or bench.states() == {}


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]

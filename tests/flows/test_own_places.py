"""What an agent is told, what is its own, how far it may go."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.flows.bench import Bench
from tests.flows.real_bench import need_sandbox

TOKEN = "tok-5f1c0d2e9b7a4c38"
KEY = "key-a1b2c3d4e5f60718"

EATS = "import time; held = bytearray(200 << 20); time.sleep(600)"
SPINS = "while True: pass"
LIMITS: dict[str, tuple[str, str, str, str]] = {
    "wall": ('wall_time = 0.5', "sleep 600", "timeout", "it ran longer than it may (0 s)"),
    "idle": ('idle_time = 0.5', "sleep 600", "timeout", "it said nothing for longer"),
    "said": ('idle_time = "1s"', "sleep 600", "timeout", "it said nothing for longer"),
    "memory": ('memory = "64m"', f"python3 -c '{EATS}'", "failed",
               "it used more memory than it may (64 MB)"),
    "cpu": ("cpu_time = 0.5", f"python3 -c '{SPINS}'", "failed", "it used more CPU time"),
    "many": ("processes = 4", "for i in 1 2 3 4 5 6 7 8; do sleep 600 & done; wait", "failed",
             "it ran more processes at once than it may (4)"),
    "much": ('output = "1m"', "yes", "failed", "it wrote more output than it may (1 MB)"),
}


@pytest.mark.parametrize("name", LIMITS)
def test_each_limit_ends_it_with_a_reason_of_its_own(bench: Bench, name: str) -> None:
    limit, script, outcome, words = LIMITS[name]
    bench.configure(agent("one", script, f"limits = {{ {limit} }}"), "config/agents.toml")
    ran = bench.up('/add "Go on"', status=1, BULLPEN_RETRY__TIMEOUT="0",
                   BULLPEN_LIMITS__GRACE_SECONDS="0.2")
    ran.said("TASK-001 failed", words)
    assert bench.value("SELECT outcome FROM sessions") == outcome


def test_where_it_runs_and_how_far_it_may_go_is_one_line(bench: Bench) -> None:
    need_sandbox("bubblewrap")
    more = ('network = "off"\nmounts = [{ source = "/etc/hosts", target = "/srv/hosts" }]\n'
            'limits = { wall_time = "2h", idle_time = "20m", memory = "4g", processes = 200 }')
    toml = agent("one", "true", more).replace('"host"', '"auto"')
    toml += '[agents.boxed]\ndriver = "command"\nsandbox = "docker"\nenabled = true\n'
    bench.configure(toml, "config/agents.toml")
    words = "network off · 2 h, idle 20 min, 4 GB, 200 processes · 1 mount"
    ran = bench.up('/add "Go"', "/agent one", "/agents", "/agent boxed")
    ran.said(f"sandbox: bubblewrap (auto) · {words}", "boxed: no image is configured for it",
             "[agents.boxed.container]")
    pages = [path.read_text() for path in (bench.data / "site").rglob("*.html")
             if path.parent.name in ("agents", "sessions")]
    assert sum(f"bubblewrap · {words}" in page for page in pages) == 1, "its own page"
    assert sum(f"bubblewrap) · {words}" in page for page in pages) == 1, "its session's"


def test_a_limit_that_makes_no_sense_is_said_in_its_own_units(bench: Bench) -> None:
    more = ('limits = { wall_time = "400d", idle_time = 0, memory = "1k", cpu_time = "soon" }\n'
            'mounts = [{ source = "/etc/hosts", target = "hosts" }]\n'
            'container = { user = "me", ttl = "0.0001s" }')
    bench.configure(agent("one", "true", more), "config/agents.toml")
    ran = bench.up(status=2)
    for words in ("limits.wall_time: must be more than nothing, and at most 365d",
                  "limits.idle_time: must be more than nothing, and at most 365d",
                  "limits.memory: must be at least 1m",
                  "limits.cpu_time: no duration `soon`: say it like 90m",
                  "mounts.0.target: begins with / or ~/",
                  "container.user: is a user's number", "container.ttl: no duration"):
        assert words in ran.out + ran.err, (words, str(ran))


@pytest.mark.parametrize("more,words", [
    ('network = "off"', "the plain host can't close the network: install bubblewrap, or network"),
    ('network = "team"', "the plain host can't close the network"),
    ('mounts = [{ source = "/etc/hosts", target = "~/hosts" }]', "the plain host shows no mounts"),
])
def test_what_the_plain_host_cannot_keep_is_not_begun_there(
        bench: Bench, more: str, words: str) -> None:
    bench.configure(agent("one", "touch begun", more), "config/agents.toml")
    bench.up('/add "Go" --agent one', "/agent one").said(words)
    assert bench.value("SELECT count(*) FROM sessions") == 0


@pytest.mark.parametrize("more,words", [
    ('environment = { HOME = "/home/somebody" }',
     "bubblewrap hides its HOME /home/somebody: give it a key"),
    ('network = "sideways"', "bubblewrap knows the networks `on` and `off`, not `sideways`"),
])
def test_what_bubblewrap_cannot_keep_is_not_begun_there(
        bench: Bench, more: str, words: str) -> None:
    need_sandbox("bubblewrap")
    toml = agent("one", "true", more).replace('sandbox = "host"', 'sandbox = "auto"')
    bench.configure(toml, "config/agents.toml")
    bench.up('/add "Go" --agent one', "/agent one").said(words)
    assert bench.value("SELECT count(*) FROM sessions") == 0


def test_a_home_that_a_mount_shows_is_one(bench: Bench) -> None:
    need_sandbox("bubblewrap")
    seen = f'{{ source = "{bench.shown}", target = "{bench.shown}", writable = true }}'
    more = f'mounts = [{seen}]\nenvironment = {{ HOME = "{bench.shown}" }}'
    toml = agent("one", "echo here > ~/seen", more).replace('"host"', '"bubblewrap"')
    bench.configure(toml, "config/agents.toml")
    bench.up('/add "Go"').said("TASK-001")
    assert (bench.shown / "seen").read_text() == "here\n"


def test_one_without_a_login_is_told_in_words_that_fit_here(bench: Bench) -> None:
    bench.install_claude()
    script = bench.shown / "play.json"
    script.write_text(json.dumps([[{"error": "Not logged in · Please run /login"}]]))
    bench.configure('[agents.claude]\ndriver = "claude"\nenvironment = '
                    f'{{ FAKE_CLAUDE_SCRIPT = "{script}" }}\n', "config/agents.toml")
    ran = bench.up('/add "Go"', status=1)
    ran.said("Not logged in: give it a key or a token (docs/agents.md)")
    assert bench.value("SELECT reason FROM sessions") == (
        "Not logged in: give it a key or a token (docs/agents.md)")


def agent(name: str, script: str, more: str = "") -> str:
    words = script.replace("\\", "\\\\").replace('"', '\\"')
    return (f'[agents.{name}]\ndriver = "command"\nsandbox = "host"\n{more}\n'
            f'options = {{ shell = true, command = "{words}" }}\n')


# -- what is its own -----------------------------------------------------------------------


def test_credentials_are_read_at_the_door_and_seen_nowhere(bench: Bench) -> None:
    (bench.folder / "key").write_text(f"{KEY}\n")
    script = "echo $WHO; echo $STORE; echo got $WHO > seen.txt"
    given = f'environment = {{ WHO = "env:GIVEN", STORE = "file:{bench.folder}/key" }}'
    bench.configure(agent("one", script, given), "config/agents.toml")
    ran = bench.up('/add "Look"', "/logs 1", "/diff 1", GIVEN=TOKEN)
    ran.said("[redacted]", "seen.txt")
    assert TOKEN not in ran.out and KEY not in ran.out
    folder = bench.data / "sessions" / bench.value("SELECT id FROM sessions")
    assert (folder / "workspace" / "seen.txt").read_text() == f"got {TOKEN}\n"


def test_a_mounted_folder_hides_its_keys_and_not_the_words_in_it(bench: Bench) -> None:
    """Whatever lies in a folder may be said again; what a name calls a key, may not."""
    need_sandbox("bubblewrap")
    files = {
        "words.txt": "kept-in-the-open\nsentence: nothing-to-be-hidden\n",
        "auth.json": json.dumps({"tokens": {"access_token": KEY}, "author": "somebody-we-know"}),
        "deep/conf": f"password = '{TOKEN}'\nname = plain-name-of-it\n",
    }
    for name, text in files.items():
        (bench.shown / name).parent.mkdir(exist_ok=True)
        (bench.shown / name).write_text(text)
    (bench.folder / "one-file").write_text("alone-on-its-line\n")
    more = (f'mounts = [{{ source = "{bench.shown}", target = "/srv/seen" }}, '
            f'{{ source = "{bench.folder}/one-file", target = "/srv/file" }}]')
    toml = agent("one", "cat /srv/seen/* /srv/seen/deep/conf /srv/file", more)
    bench.configure(toml.replace('"host"', '"bubblewrap"').replace("cat", "cat 2>&1"),
                    "config/agents.toml")
    ran = bench.up('/add "Look"', "/logs 1", status=1)
    ran.said("kept-in-the-open", "nothing-to-be-hidden", "somebody-we-know", "plain-name-of-it",
             "[redacted]")
    assert not any(secret in ran.out for secret in (KEY, TOKEN, "alone-on-its-line")), ran.out


def test_what_is_missing_is_named_all_together(bench: Bench) -> None:
    more = ('environment = { A = "env:NOT_THERE", B = "file:/not/there" }\n'
            'mounts = [{ source = "/not/there/either", target = "~/x" }]\n'
            'limits = { memory = "lots", wall_tme = 3 }')
    bench.configure(agent("one", "true", more), "config/agents.toml")
    ran = bench.up(status=2)
    for words in ("agents.one.environment.A: the variable NOT_THERE is not set: export it",
                  "agents.one.environment.B: /not/there can't be read",
                  "agents.one.mounts.0.source: there is no /not/there/either",
                  "agents.one.limits.memory", "agents.one.limits.wall_tme: unknown key"):
        assert words in ran.out + ran.err, (words, str(ran))


def test_a_persistent_agent_remembers_and_an_ephemeral_one_starts_blank(bench: Bench) -> None:
    script = ("cat ~/known $BULLPEN_MEMORY 2>/dev/null; echo once >> ~/known; "
              "[ -z $BULLPEN_MEMORY ] || echo learned >> $BULLPEN_MEMORY; true")
    bench.configure(agent("old", script, 'mode = "persistent"\ntypes = ["keep"]')
                    + agent("new", script, 'types = ["lose"]'), "config/agents.toml")
    bench.up(*(f'/spawn {kind} "Go"' for kind in ("keep", "lose")))
    bench.up(*(f'/spawn {kind} "Go on"' for kind in ("keep", "lose")), "/agent old").said(
        "mode: persistent, 16 bytes in MEMORY.md")
    said = {row["agent"]: text(bench, row["id"]) for row in bench.rows(
        "SELECT * FROM sessions WHERE task_id > 2")}
    assert "once" in said["old"] and "learned" in said["old"]
    assert said["new"] == ""
    memory = bench.data / "agents" / "old" / "memory" / "MEMORY.md"
    assert memory.read_text() == "learned\nlearned\n"
    assert str(memory) in instructions(bench, "old") and "MEMORY" not in instructions(bench, "new")


def text(bench: Bench, session: str) -> str:
    (output,) = (bench.data / "sessions" / session).glob("attempts/*/output")
    return output.read_text()


def instructions(bench: Bench, agent: str) -> str:
    name = bench.value("SELECT id FROM sessions WHERE agent = ?", agent)
    return (bench.data / "sessions" / name / "AGENTS.md").read_text()


# -- what it is told -----------------------------------------------------------------------

STEPS = """
name = "two"
[[steps]]
id = "plan"
kind = "agent"
type = "plan"
output = "plan.md"
outcomes = { default = "failed", planned = "build" }
[[steps]]
id = "build"
kind = "agent"
type = "build"
input = "plan.md"
writes_code = true
outcomes = { default = "done" }
"""


def test_it_is_told_its_own_task_and_what_it_may_report(bench: Bench) -> None:
    bench.configure(STEPS, "config/workflows/two.toml")
    plans = ("echo Step one > $BULLPEN_ARTIFACTS/plan.md; "
             "echo '{\\\"outcome\\\": \\\"planned\\\"}' > $BULLPEN_ARTIFACTS/outcome.json")
    bench.configure(agent("planner", "PLANS", 'types = ["plan"]').replace("PLANS", plans)
                    + agent("builder", "cat $BULLPEN_ARTIFACTS/plan.md > built.txt",
                            'types = ["build"]'), "config/agents.toml")
    bench.up('/add "Another secret plan" --draft', '/add "A shed" --workflow two',
             ).said("TASK-002 done")
    told = instructions(bench, "planner")
    assert "TASK-002" in told and "A shed" in told and '"planned"' in told
    assert "artifacts/plan.md" in told and "outcome.json" in told
    assert "Another secret plan" not in told and "TASK-001" not in told
    built = instructions(bench, "builder")
    assert "Read `" in built and "can end in" not in built
    assert bench.git("show", "bullpen/TASK-002:built.txt",
                     repo=next((bench.data / "repos").glob("*.git"))) == "Step one"


def attempts(bench: Bench) -> list[Any]:
    return bench.rows("SELECT session_id, number, token_hash FROM attempts")


def test_each_attempt_has_a_token_of_its_own_and_nobody_sees_it(bench: Bench) -> None:
    bench.configure(agent("one", "echo $BULLPEN_TOKEN; echo $BULLPEN_TOKEN > token"),
                    "config/agents.toml")
    ran = bench.up('/add "Look"', "/reject 1 again", "/logs 1", "/diff 1")
    ran.said("[redacted]")
    folder = bench.data / "sessions" / bench.value("SELECT id FROM sessions")
    token = (folder / "workspace" / "token").read_text().strip()
    assert token.startswith("bpa_") and token not in ran.out
    hashes = [row["token_hash"] for row in attempts(bench)]
    assert len(set(hashes)) == 2 and None not in hashes
    kept = [str(dict(row)) for row in bench.rows("SELECT * FROM events")]
    assert not [row for row in kept if "bpa_" in row]


def test_work_of_an_agent_that_is_gone_is_checked_without_a_network(bench: Bench) -> None:
    """Nobody knows any more whether it might have had one."""
    need_sandbox("bubblewrap")
    other = '[agents.other]\ndriver = "command"\nsandbox = "bubblewrap"\nenabled = true\n'
    bench.configure(other.replace("other", "one") + 'network = "off"\n', "config/agents.toml")
    check = "sh -c 'test $(grep -c : /proc/net/dev) = 1'"
    bench.configure(f'[repos.shop]\nsource = "{bench.repo}"\ncheck = """{check}"""\n')
    bench.up("/add Go --agent one --run \"sh -c 'echo 1 > x.txt'\"").said("G-1")
    bench.configure(other, "config/agents.toml")
    bench.commit({"other.txt": "meanwhile\n"})
    bench.up("/approve 1").said("TASK-001", "merged")
    assert bench.file("x.txt") == "1\n"

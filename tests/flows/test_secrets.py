"""What an agent is given as a secret is never seen, also where a text is cut through it."""

from __future__ import annotations

import json
import re
import stat

from tests.flows.bench import Bench
from tests.flows.real_bench import need_sandbox

TOKEN = "hunter2-zebra-quagga-mongoose-walrus-77"
PARTS = ("hunter2", "zebra", "quagga", "mongoose", "walrus")


def test_no_cut_divides_a_secret(bench: Bench) -> None:
    _crew(bench)
    prints = bench.folder / "prints.py"
    prints.write_text(f"""
import pathlib
print("a" * 165, "{TOKEN}", flush=True)
pathlib.Path("long.txt").write_text("b" * 2800 + "{TOKEN}" + "b" * 900)
pathlib.Path("wide.txt").write_text("c" * 2990 + "{TOKEN}" + "c" * 900)
print("d" * 2400, "{TOKEN}", "d" * 585, flush=True)
""")
    ran = bench.up(f'/add "Print" --run "python3 {prints}"', "/task 1", "/logs 1", "/diff 1")
    ran.said("TASK-001 is ready for you", "aaaa", "bbbb")
    _unseen(bench, ran.out)


def test_a_message_cut_at_its_width_keeps_the_secret(bench: Bench) -> None:
    """What the live message and the site say of the newest line."""
    _crew(bench)
    bench.up(f'/add "Print" --run "echo {"a" * 165} {TOKEN}"', "/task 1")
    told = bench.rows("SELECT text FROM events WHERE type = 'task.progress'")
    assert any("aaaa" in row["text"] for row in told)
    for row in bench.rows("SELECT text FROM events WHERE type = 'task.progress'"):
        assert not any(part in row["text"] for part in PARTS), row["text"]


def test_a_long_request_is_redacted_before_it_is_cut(bench: Bench) -> None:
    bench.install_claude()
    command = f"true {'e' * 1474} {TOKEN} {'e' * 100}"
    _crew(bench, [{"permission": command}, {"say": "Done."}])
    ran = bench.up('/add "Ask"', "/gate G-1", "/approve 1")
    ran.said("🔐 G-1", "characters more: read G-1.txt", "eeee", "G-1.txt", "[redacted]")
    assert not any(part in ran.out for part in PARTS), ran.out


def test_the_end_of_a_failure_shows_no_end_of_a_key(bench: Bench) -> None:
    """A key that nobody has told us of is known by its first line, above what is shown."""
    _crew(bench)
    body = "".join(f"walrus{line:02d}quagga{'A' * 50}\\n" for line in range(20))
    prints = bench.folder / "prints.py"
    prints.write_text(f"import sys\nprint('-----BEGIN PRIVATE KEY-----\\n{body}', end='')\n"
                      "print('-----END PRIVATE KEY-----\\nall is lost')\nsys.exit(3)\n")
    ran = bench.up(f'/add "Print" --run "python3 {prints}"', status=1)
    ran.said("TASK-001 failed", "[redacted]", "all is lost")
    assert not any(part in ran.out for part in PARTS), ran.out


def _crew(bench: Bench, acts: list[dict[str, str]] | None = None) -> None:
    script = bench.folder / "play.json"
    script.write_text(json.dumps(acts or []))
    bench.configure(
        f'[agents.shell]\ndriver = "command"\nenvironment = {{ DEPLOY_TOKEN = "{TOKEN}" }}\n'
        f'[agents.claude]\ndriver = "claude"\n[agents.claude.environment]\n'
        f'DEPLOY_TOKEN = "{TOKEN}"\nFAKE_CLAUDE_SCRIPT = "{script}"\n', "config/agents.toml")


def _unseen(bench: Bench, screen: str) -> None:
    pages = {path: path.read_text() for path in (bench.data / "site").rglob("*.html")}
    assert any("aaaa" in text for text in pages.values())
    for place, text in [("the screen", screen), *pages.items()]:
        assert not any(part in text for part in PARTS), f"{place}:\n{text}"
    (summary,) = bench.rows("SELECT summary FROM iterations")
    assert not any(part in summary["summary"] for part in PARTS), summary["summary"]


def test_what_has_ended_leaves_no_key_on_the_disk(bench: Bench) -> None:
    bench.configure('[agents.new]\ndriver = "command"\n'
                    'environment = { API_KEY = "zebra-finch-77" }\n'
                    'options = { command = "sh -c \'test -n \\"$API_KEY\\" && env > seen\'" }\n',
                    "config/agents.toml")
    bench.up('/add "Look"').said("TASK-001 is ready for you")
    (folder,) = (bench.data / "sessions").iterdir()
    assert "zebra-finch-77" in (folder / "workspace" / "seen").read_text()
    token = re.search("BULLPEN_TOKEN=(.+)", (folder / "workspace" / "seen").read_text())
    assert token
    for path in folder.rglob("*"):
        if path.is_file() and "workspace" not in path.parts:
            assert "zebra-finch-77" not in path.read_text(errors="replace"), path
            assert token[1] not in path.read_text(errors="replace"), path
    (order,) = folder.glob("attempts/01/order.json")
    assert set(json.loads(order.read_text())) == {"grace", "marker", "seal"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_an_agent_renews_in_its_login_is_seen_nowhere(bench: Bench) -> None:
    need_sandbox("bubblewrap")
    held = bench.folder / "auth.json"
    held.write_text(json.dumps({"pad": "x y " * 30_000, "k": TOKEN + "-old"}))
    bench.configure(
        '[agents.shell]\ndriver = "command"\nsandbox = "bubblewrap"\n'
        f'mounts = [{{ source = "{held}", target = "~/auth.json", writable = true }}]\n'
        '[agents.claude]\ndriver = "claude"\nenabled = false\n', "config/agents.toml")
    script = bench.repo / "renew.sh"
    script.write_text(f"""tail -c 80 ~/auth.json; echo '{{"k":"{TOKEN}-new"}}' > ~/auth.json
echo aaaa; cat ~/auth.json; cat ~/auth.json > long.txt; echo bbbb >> long.txt\n""")
    bench.git("add", "--all")
    bench.git("commit", "--quiet", "-m", "Renew")
    ran = bench.up('/add "Renew" --run "sh renew.sh"', "/task 1", "/logs 1", "/diff 1")
    ran.said("TASK-001 is ready for you", "aaaa", "bbbb", "[redacted]")
    assert held.read_text() == f'{{"k":"{TOKEN}-new"}}\n'
    _unseen(bench, ran.out)

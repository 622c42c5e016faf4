"""An agent that sets traps in its workspace, and everything that people and Bullpen then do.

What has to look into a workspace runs in the session's sandbox, and there a trap may spring.
Each trap's program tells by its environment where it ran: on the bot's side none ever may.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.test_hostile_repository import TRAPS
from tests.flows.bench import Bench

PROGRAM = """#!/bin/sh
if [ -n "$BULLPEN_ATTEMPT" ]; then echo sandbox >> {marks}; else echo bot >> {marks}; fi
cat 2> /dev/null
exit 0
"""
BARE = """
git init --quiet --bare --template= inner
printf '[core]\\n\\tbare = false\\n\\tfsmonitor = {program}\\n' >> inner/config
printf '\\tworktree = %s\\n' "$PWD/inner" >> inner/config
touch inner/refs/keep inner/objects/keep
"""
SUBMODULE = """
printf '[submodule "sub"]\\n\\tpath = sub\\n\\turl = ext::{program}\\n' > .gitmodules
git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),sub
printf '[submodule "sub"]\\n\\turl = ext::{program}\\n\\tactive = true\\n' >> .git/config
printf '\\tupdate = !{program}\\n' >> .git/config
"""
NESTED = """
git init --quiet --template= named
git init --quiet --template= own
for one in named own; do
  echo x > $one/x.txt
  git -C $one add x.txt
  git -C $one -c user.name=n -c user.email=e commit --quiet -m x
  printf '[core]\\n\\tfsmonitor = {program}\\n\\tsshCommand = {program}\\n' >> $one/.git/config
  mkdir $one/.git/hooks
  for hook in pre-commit post-checkout post-index-change reference-transaction; do
    cp {program} $one/.git/hooks/$hook
  done
done
git add named
printf '[submodule "named"]\\n\\tpath = named\\n\\turl = ./named\\n' >> .gitmodules
"""
COMMIT = """
echo changed >> README.md
printf '* filter=x diff=x merge=x\\n' > .gitattributes
git add --all
git commit --quiet -m 'all at once'
"""
FORGED = {
    "a file that points elsewhere": "rm -rf .git; echo 'gitdir: {private}/.git' > .git",
    "a link": "mv .git ../moved; ln -s {private}/.git .git",
    "objects elsewhere": "echo {private}/.git/objects >> .git/objects/info/alternates",
    "nothing": "rm -rf .git",
}


class Play:
    """A bot whose agent runs a script that lays traps."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder)
        self.marks = folder / "marks"
        self.program = folder / "program"
        self.program.write_text(PROGRAM.format(marks=self.marks))
        self.program.chmod(0o755)
        self.private = folder / "private"
        self.private.mkdir()
        self.bench.git("init", "--quiet", "--initial-branch=main", repo=self.private)
        (self.private / "secret.txt").write_text("secret\n")
        self.bench.git("add", "--all", repo=self.private)
        self.bench.git("commit", "--quiet", "-m", "mine", repo=self.private)
        self.bench.configure('[agents.shell]\ndriver = "command"\nsandbox = "host"\n',
                             "config/agents.toml")

    def script(self, *parts: str) -> str:
        """The agent's command; `{program}` and `{private}` are filled in."""
        path = self.bench.folder / "agent.sh"
        names = {"program": str(self.program), "private": str(self.private)}
        text = "".join(parts)
        for name, value in names.items():
            text = text.replace("{" + name + "}", value)
        who = "export GIT_CONFIG_GLOBAL=/dev/null\n"
        path.write_text(f"{who}{text}")
        return f"sh {path}"

    def traps(self) -> str:
        """Every trap of the repository's configuration, hooks and attributes."""
        hooks, included = self.bench.folder / "hooks", self.bench.folder / "included"
        hooks.mkdir(exist_ok=True)
        for name in ("pre-commit", "post-commit", "post-checkout", "post-merge", "pre-push",
                     "reference-transaction", "post-index-change", "update", "pre-receive"):
            (hooks / name).write_text(self.program.read_text())
            (hooks / name).chmod(0o755)
        included.write_text(f"[core]\n\tfsmonitor = {self.program}\n")
        lines = "\n".join(trap.config for trap in TRAPS if "gpgsign" not in trap.config)
        config = (lines.replace("PROGRAM", str(self.program)).replace("HOOKS", str(hooks))
                  .replace("INCLUDED", str(included)))
        planted = self.bench.folder / "planted"
        planted.write_text(f"{config}\n[core]\n\tpager = {self.program}\n"
                           f"\taskPass = {self.program}\n\tworktree = {self.private}\n"
                           f"[uploadpack]\n\tpackObjectsHook = {self.program}\n")
        return (f"cat {planted} >> .git/config\nmkdir -p .git/hooks\ncp {hooks}/* .git/hooks/\n"
                "printf '* filter=x diff=x merge=x\\n' > .git/info/attributes\n"
                "echo left over > left.txt\n")

    def sprung(self, where: str) -> bool:
        return self.marks.is_file() and where in self.marks.read_text().splitlines()


def test_traps_spring_in_the_sandbox_and_never_on_the_bots_side(tmp_path: Path) -> None:
    play = Play(tmp_path)
    bench = play.bench
    work = play.script(BARE, SUBMODULE, NESTED, COMMIT, play.traps())
    bench.up("/worktree new --agent shell --title beside", f'/add "Trap" --run "{work}"',
             "/show 1", "/diff 1", "/show 1 artifacts", "/worktrees", "/task 1", "/logs 1")
    session = bench.value("SELECT id FROM sessions")
    assert bench.states() == {1: "review"}
    assert play.sprung("sandbox"), "no trap is live, so this would prove nothing"
    bench.commit({"other.txt": "meanwhile\n"})
    bench.up(f"/worktree {session}", f"/worktree remove {session}", "/reject 1 once more",
             "/diff 1", f"/worktree remove {session} --force", "/approve 1", "/status",
             f"/worktree remove {session} --force --delete-branch", "/worktrees")
    assert bench.states() == {1: "done"}
    assert not play.sprung("bot"), play.marks.read_text()
    assert (bench.repo / "inner" / "config").exists(), "what was committed is merged, as files"
    assert (bench.repo / "left.txt").read_text() == "left over\n"
    assert "own" not in bench.git("ls-tree", "--name-only", "main").split()


@pytest.mark.parametrize("forgery", FORGED)
def test_a_git_folder_that_is_something_else_costs_only_its_agent(
    tmp_path: Path, forgery: str
) -> None:
    play = Play(tmp_path)
    bench = play.bench
    work = play.script(COMMIT, play.traps(), FORGED[forgery])
    bench.up(f'/add "Forge" --run "{work}"', "/show 1", "/worktrees", status=1)
    session = bench.value("SELECT id FROM sessions")
    assert bench.states() == {1: "failed"}
    failure = bench.value("SELECT failure FROM tasks")
    assert "\n" not in failure and "secret" not in failure
    ran = bench.up(f"/worktree {session}", f"/worktree remove {session}", "/retry 1", "/cancel 1",
                   f"/worktree remove {session} --force", "/worktrees", status=0)
    ran.said("is kept: ", "is removed")
    assert not play.sprung("bot"), play.marks.read_text()
    assert (play.private / "secret.txt").read_text() == "secret\n"
    assert bench.git("status", "--porcelain", repo=play.private) == ""


def test_traps_in_a_worktree_made_by_hand(tmp_path: Path) -> None:
    play = Play(tmp_path)
    bench = play.bench
    bench.up("/worktree new --agent shell --title trap")
    folder = bench.data / "worktrees" / "shell-trap"
    bench.git("-C", str(folder), "-c", "alias.x=!" + play.script(play.traps()), "x")
    ran = bench.up("/worktrees", "/worktree shell-trap", "/worktree remove shell-trap",
                   "/worktree remove shell-trap --force", "/worktrees")
    ran.said("is kept: ", "is removed", "1 worktree")
    assert play.sprung("sandbox"), "no trap is live, so this would prove nothing"
    assert not play.sprung("bot"), play.marks.read_text()

"""The carrier in a place of its own: code there and back, once, and nothing lost on the way."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import Broken
from core.model import Mount
from core.ports import Order
from core.sandboxes import output
from core.sandboxes.afar import Afar
from core.sandboxes.attempt import Attempt
from core.sandboxes.carried import MOST_FILE, content
from core.worktrees import folder as workspaces
from tests.fakes.agents_api import AgentsApi
from tests.fakes.elsewhere import Elsewhere
from tests.needs import need
from tests.sandbox_bench import ENV, PATIENCE, texts, until

BRANCH = "bullpen/T-0001"


class Bench:
    def __init__(self, base: Path, api: AgentsApi) -> None:
        self.base, self.api = base, api
        self.session = base / "sessions/coding-7f3a91c2"
        self.place = Elsewhere(base, base.with_name("elsewhere.log"))

    async def order(self, script: str, **changes: object) -> Order:
        workspace = self.base / "worktrees/coding-7f3a91c2"
        await self._workspace(workspace)
        home, artifacts = self.session / "home", self.session / "artifacts"
        for folder in (home, artifacts):
            folder.mkdir(parents=True, exist_ok=True)
        order = Order("coding-7f3a91c2", 1, self.session / "attempts/01", workspace,
                      ("sh", "-ec", script), {**ENV, "HOME": str(home)}, grace=PATIENCE,
                      writable=(home, artifacts))
        order = replace(order, **changes)  # type: ignore[arg-type]
        return replace(order, door=self.api.door(order))

    async def _workspace(self, folder: Path) -> None:
        """As the bot makes one: a clone that borrows from a bare repository."""
        source, bare = self.base / "source", self.base / "repos/shop.git"
        if bare.exists():
            return
        git("init", "--quiet", "--initial-branch=main", str(source))
        (source / "README.md").write_text("# Shop\n")
        (source / "gone.txt").write_text("to be removed\n")
        git("-C", str(source), "add", "-A")
        git("-C", str(source), "commit", "--quiet", "-m", "The beginning")
        git("clone", "--quiet", "--bare", str(source), str(bare))
        head = git("-C", str(bare), "rev-parse", "main")
        folder.parent.mkdir(parents=True)
        await workspaces.make(workspaces.Blueprint(bare, BRANCH, head, "main", head,
                                                   exclude=("AGENTS.md",)), folder)

    async def lines(self, order: Order) -> list[str]:
        return texts(list(await output.reading(Attempt(order.folder).output, 0, 1 << 20)))


def git(*words: str) -> str:
    names = {f"GIT_{who}_{what}": "una@localhost" for who in ("AUTHOR", "COMMITTER")
             for what in ("NAME", "EMAIL")}
    done = subprocess.run(["git", *words], env=os.environ | names | {
        "GIT_CONFIG_GLOBAL": "/dev/null"}, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    able = subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], check=False)
    need("namespaces", able.returncode == 0, "run the tests as root")
    api = await AgentsApi().open()
    bench = Bench(tmp_path / "data", api)
    yield bench
    await bench.place.clean()
    await api.close()


async def test_code_goes_there_and_comes_back(bench: Bench) -> None:
    order = await bench.order(
        "cat README.md; git log --format=%s; git rev-parse --abbrev-ref HEAD;"
        "git rev-parse --verify -q origin/main >/dev/null && echo knows main;"
        "echo new > new.txt; git add new.txt; git commit -qm 'Its own commit';"
        "rm gone.txt; echo left > left.txt; echo words > AGENTS.md")
    end = await bench.place.play(order)
    assert (end.status, end.reason, end.error) == (0, None, None)
    assert await bench.lines(order) == [
        "# Shop", "The beginning", BRANCH, "knows main"]
    here = order.workspace
    assert sorted(path.name for path in here.iterdir()) == [
        ".git", "README.md", "left.txt", "new.txt"]
    assert git("-C", str(here), "log", "--format=%s|%an").splitlines() == [
        "What was left uncommitted|Bullpen agent", "Its own commit|Bullpen agent",
        "The beginning|una@localhost"]
    assert git("-C", str(here), "status", "--porcelain") == ""
    assert git("-C", str(here), "rev-parse", "--abbrev-ref", "HEAD") == BRANCH
    assert not (order.folder / "exchange.git").exists()
    assert not (order.folder / "freight").exists()


async def test_what_lies_ready_is_carried_along_and_what_is_new_comes_back(bench: Bench) -> None:
    credentials = bench.base.with_name("auth.json")
    credentials.write_text('{"key": "dummy"}')
    memory = bench.base / "agents/una/memory"
    order = await bench.order(
        "cat ~/.auth.json ~/notes/settings; cat ../../sessions/*/prompt-01.md;"
        "cat $HOME/../artifacts/plan.md; cat $MEMORY/MEMORY.md;"
        "cd $HOME/../artifacts; echo done > report.md; ln -s /etc/passwd link.md;"
        "echo '{\"outcome\": \"ok\"}' > outcome.json; echo more >> $MEMORY/MEMORY.md")
    order = replace(order, mounts=(Mount(credentials, "~/.auth.json"),),
                    env={**order.env, "MEMORY": str(memory)}, writable=(*order.writable, memory))
    (bench.session / "home/notes").mkdir()
    (bench.session / "home/notes/settings").write_text("of its home\n")
    (bench.session / "prompt-01.md").write_text("Do it.\n")
    (bench.session / "artifacts/plan.md").write_text("The plan.\n")
    attempt = next(iter(bench.api.attempts.values()))
    attempt.memory = b"It was cold.\n"
    end = await bench.place.play(order)
    assert (end.status, end.error) == (0, None)
    assert await bench.lines(order) == [
        '{"key": "dummy"}of its home', "Do it.", "The plan.", "It was cold."]
    assert attempt.artifacts == {"report.md": b"done\n", "outcome.json": b'{"outcome": "ok"}\n'}
    assert attempt.memory == b"It was cold.\nmore\n"
    marks = texts(list(await output.reading(Attempt(order.folder).output, 0, 1 << 20)), "mark")
    assert [mark for mark in marks if "link.md" in mark]
    assert not (bench.session / "artifacts/report.md").exists()  # it comes by the API alone


async def test_of_two_places_for_one_attempt_one_works(bench: Bench) -> None:
    order = await bench.order("echo worked >> trace; read x", input_open=True)
    first = await bench.place.begin(order, "first")
    attempt = next(iter(bench.api.attempts.values()))
    await until(lambda: attempt.holder == "first", "the first has the lease")
    second = await bench.place.begin(order, "second")
    assert await second.wait() == 75
    assert first.returncode is None
    Attempt(order.folder).send(1, b"go on\n", True)
    assert await first.wait() == 0
    assert (await bench.place.home(order)).status == 0
    assert (order.workspace / "trace").read_text() == "worked\n"


async def test_a_dead_token_starts_nothing(bench: Bench) -> None:
    order = await bench.order("echo worked")
    bench.api.attempts.clear()
    process = await bench.place.begin(order)
    assert await process.wait() == 75
    assert await bench.lines(order) == []


async def test_it_goes_on_while_bullpen_is_away_and_comes_home_later(bench: Bench) -> None:
    flag = bench.base.with_name("go")
    order = await bench.order(
        f"echo begun; while [ ! -e {flag} ]; do sleep 0.05; done; echo x > x; echo over")
    process = await bench.place.begin(order)
    await until(lambda: b"begun" in bench.place.log.read_bytes(), "it has begun")
    await bench.api.close()
    flag.touch()
    await until(lambda: b"over" in bench.place.log.read_bytes(), "it has ended by itself")
    done, _ = await asyncio.wait({asyncio.ensure_future(process.wait())}, timeout=0.5)
    assert not done
    await bench.api.open()
    assert await process.wait() == 0
    assert (await bench.place.home(order)).status == 0
    assert (order.workspace / "x").exists()


async def test_told_to_end_it_brings_home_what_there_is(bench: Bench) -> None:
    order = await bench.order(
        "trap 'echo goodbye; exit 7' TERM; echo half > half.txt; echo ready;"
        "while :; do sleep 0.05; done")
    process = await bench.place.begin(order)
    await until(lambda: b"ready" in bench.place.log.read_bytes(), "it works")
    bench.place.tell(signal.SIGTERM)
    assert await process.wait() == 0
    end = await bench.place.home(order)
    assert (end.status, end.reason) == (7, "stopped")
    assert "goodbye" in await bench.lines(order)
    assert (order.workspace / "half.txt").read_text() == "half\n"


async def test_killed_it_is_gone_and_the_workspace_stands_as_before(bench: Bench) -> None:
    order = await bench.order("echo x > x; git add x; git commit -qm x; echo ready; sleep 1000")
    process = await bench.place.begin(order)
    await until(lambda: b"ready" in bench.place.log.read_bytes(), "it works")
    bench.place.tell(signal.SIGKILL)
    await process.wait()
    end = await bench.place.home(order)
    assert end.reason == "gone"
    assert not (order.workspace / "x").exists()
    assert await bench.lines(order) == ["ready"]


async def test_a_repository_taken_away_is_told(bench: Bench) -> None:
    order = await bench.order("rm -rf .git; ln -s /etc .git; echo x > x")
    end = await bench.place.play(order)
    assert end.reason == "gone"
    assert end.error == "its work could not be brought back: its .git is gone"


async def test_an_errand_changes_nothing_at_home(bench: Bench) -> None:
    order = await bench.order("echo x > x; git commit -q --allow-empty -m x; exit 3", number=0)
    end = await bench.place.play(order)
    assert end.status == 3
    assert sorted(path.name for path in order.workspace.iterdir()) == [
        ".git", "README.md", "gone.txt"]


async def test_hooks_and_filters_of_the_agent_run_nothing_on_our_side(bench: Bench) -> None:
    trace = bench.base.with_name("trace")
    order = await bench.order(
        f"mkdir -p .git/hooks; for n in post-checkout post-merge reference-transaction; do "
        f"printf '#!/bin/sh\\necho $$ $0 >> {trace}\\n' > .git/hooks/$n; chmod +x .git/hooks/$n;"
        f"cp .git/hooks/$n $n; done; echo '* filter=evil' > .gitattributes;"
        f"git config filter.evil.smudge 'sh -c \"echo >> {trace}; cat\"';"
        f"printf '[filter \"evil\"]\\n\\tsmudge = touch {trace}\\n' > .gitconfig;"
        "printf '[submodule \"x\"]\\n\\tpath = x\\n\\turl = /etc\\n' > .gitmodules")
    end = await bench.place.play(order)
    assert (end.status, end.error) == (0, None)
    assert (order.workspace / ".gitattributes").exists()
    trace.unlink(missing_ok=True)  # in there they may run
    await Afar(order.folder).settle(end)
    assert not trace.exists()
    assert not (order.workspace / ".git/hooks").exists()


async def test_what_an_agent_has_left_in_the_workspace_s_git_runs_nothing(bench: Bench) -> None:
    """None should have been there; if one was, this is what it would have left."""
    trace = bench.base.with_name("trace")
    order = await bench.order("echo new > new.txt; rm gone.txt; git add -A; git commit -qm Done")
    inner = order.workspace / ".git"
    runs = f"touch {trace}; cat"
    with open(inner / "config", "a") as config:
        config.write(f'[filter "x"]\n\tsmudge = "{runs}"\n\tclean = "{runs}"\n\tprocess = '
                     f'"{runs}"\n[core]\n\tfsmonitor = "{runs}"\n\tsshCommand = "{runs}"\n'
                     f'[uploadpack]\n\tpackObjectsHook = "{runs}"\n')
    (inner / "info/attributes").write_text("* filter=x\n")
    end = await bench.place.play(order)
    assert (end.status, end.error) == (0, None)
    assert not trace.exists()
    assert sorted(path.name for path in order.workspace.iterdir()) == [
        ".git", "README.md", "new.txt"]
    assert (inner / "HEAD").read_text() == f"ref: refs/heads/{BRANCH}\n"
    shutil.copyfile(bench.base / "repos/shop.git/config", inner / "config")
    git("-C", str(order.workspace), "config", "core.bare", "false")
    (inner / "info/attributes").unlink()
    assert git("-C", str(order.workspace), "status", "--porcelain") == ""
    assert not [path for path in order.folder.iterdir() if path.name.startswith(".ours")]


async def test_the_token_of_one_opens_no_other_repository(bench: Bench) -> None:
    order = await bench.order("true")
    await Afar(order.folder).load(order)
    facts = (order.folder / "exchange.git/config").read_text()
    assert "alternateRefsCommand = true" in facts
    refs = git("--git-dir", str(order.folder / "exchange.git"), "for-each-ref",
               "--format=%(refname)").splitlines()
    assert refs == ["refs/heads/bullpen/T-0001", "refs/heads/main"]


@pytest.mark.parametrize("deep", [False, True])
async def test_no_link_leads_what_is_carried_along_out_of_its_folder(
    bench: Bench, deep: bool
) -> None:
    """Also one that was put there between the look and the reading."""
    order = await bench.order("true")
    secret = bench.base / "secret/keys.md"
    secret.parent.mkdir()
    secret.write_text("of-somebody")
    planted = order.writable[0] / "notes" if deep else bench.session / "notes.md"
    planted.symlink_to(secret.parent if deep else secret)
    if deep:
        with pytest.raises(Broken, match=r"keys\.md can't be read"):
            content(planted / "keys.md", [order.writable[0]])
    else:
        with pytest.raises(Broken, match=r"notes\.md can't be read"):
            await Afar(order.folder).load(order)
        planted.unlink()
    await Afar(order.folder).load(order)
    freight = json.loads(gzip.decompress(Afar(order.folder).freight()))
    carried = [base64.b64decode(file["data"]) for file in freight["files"]]
    assert b"of-somebody" not in carried


async def test_only_files_are_carried_along_and_a_user_s_own_link_leads_to_one(
    bench: Bench,
) -> None:
    order = await bench.order("true")
    (bench.base / "kept").write_text("the user's")
    (bench.base / "login").symlink_to(bench.base / "kept")
    os.mkfifo(bench.base / "pipe")
    for source in (bench.base / "pipe", Path("/dev/zero")):
        with pytest.raises(Broken, match=f"{source} can't be read: it is no file"):
            await Afar(order.folder).load(replace(order, mounts=(Mount(source, "~/x"),)))
    with open(bench.base / "large", "wb") as file:
        file.truncate(MOST_FILE + 1)
    with pytest.raises(Broken, match="larger than 1 MB"):
        await Afar(order.folder).load(
            replace(order, mounts=(Mount(bench.base / "large", "~/x"),)))
    await Afar(order.folder).load(replace(order, mounts=(Mount(bench.base / "login", "~/x"),)))
    freight = json.loads(gzip.decompress(Afar(order.folder).freight()))
    assert {Path(file["path"]).name: base64.b64decode(file["data"])
            for file in freight["files"]}["x"] == b"the user's"


PLANTED = {
    "deep": "python3 -c 'print(\"[\" * 8000 + \"]\" * 8000)' > $E",
    "large": "python3 -c 'print(\"{\\\"a\\\":[\" + \"[],\" * 99999 + \"[]]}\")' > $E",
    "a list": "echo '[\"status\", \"at\"]' > $E",
    "a fifo": "mkfifo $E",
    "a folder": "mkdir $E",
    "a link": "ln -s /dev/zero $E",
}


@pytest.mark.parametrize("kind", PLANTED)
async def test_what_an_agent_leaves_for_its_end_keeps_no_work_from_home(
    bench: Bench, kind: str
) -> None:
    """Where the launcher can't put its own in place of it: here it was killed."""
    order = await bench.order(
        f"echo x > x; E=$HOME/../attempts/01/exit.json; {PLANTED[kind]}; echo ready;"
        "sleep 0.3; kill -KILL $PPID")
    async with asyncio.timeout(PATIENCE):
        end = await bench.place.play(order)
    assert (end.reason, end.error) == ("gone", "its launcher is gone")
    assert (order.workspace / "x").exists()
    assert await bench.lines(order) == ["ready"]


async def test_of_an_end_in_an_agent_s_words_no_more_is_told_than_an_end_has(
    bench: Bench
) -> None:
    made_up = {"status": 3, "signal": [[]], "reason": "stopped", "error": "x" * 5000,
               "at": 10**30, "left": [1], "x": {"y": []}}  # fmt: skip
    order = await bench.order(
        f"echo '{json.dumps(made_up)}' > $HOME/../attempts/01/exit.json; kill -KILL $PPID")
    end = await bench.place.play(order)
    assert (end.status, end.signal, end.reason, end.error) == (3, None, "stopped", "x" * 500)
    told = [line for line in bench.place.log.read_bytes().split(b"\n") if line[:2] == b"= "]
    assert [json.loads(line[2:])["exit"] for line in told] == [
        {"status": 3, "signal": None, "reason": "stopped", "error": "x" * 500, "at": None}]


@pytest.mark.parametrize("put", ["mkfifo", "mkdir", "ln -s /dev/zero"])
async def test_an_output_that_was_replaced_is_not_waited_for(bench: Bench, put: str) -> None:
    order = await bench.order(
        f"echo x > x; cd $HOME/../attempts/01; rm output;"
        f"{put} output; exit 3")
    async with asyncio.timeout(PATIENCE):
        end = await bench.place.play(order)
    assert (end.status, end.error) == (3, None)
    assert (order.workspace / "x").exists()


async def test_a_record_without_an_end_takes_no_more_than_its_share_of_memory(
    bench: Bench
) -> None:
    order = await bench.order(
        "truncate -s 512M $HOME/../attempts/01/output; echo over; sleep 1;"
        "sed -n 's/VmHWM: *//p' /proc/1/status > high")
    async with asyncio.timeout(PATIENCE):
        end = await bench.place.play(order)
    assert end.status == 0
    assert int((order.workspace / "high").read_text().split()[0]) < 64 << 10


async def test_what_is_no_artifact_keeps_the_others_from_nothing(bench: Bench) -> None:
    order = await bench.order(
        "cd $HOME/../artifacts; mkdir a-folder; mkfifo a-fifo; : > $(printf 'a\\377');"
        "ln -s nowhere a-link; echo done > report.md")
    end = await bench.place.play(order)
    assert (end.status, end.error) == (0, None)
    attempt = next(iter(bench.api.attempts.values()))
    assert attempt.artifacts["report.md"] == b"done\n"
    said = texts(list(await output.reading(Attempt(order.folder).output, 0, 1 << 20)), "mark")
    assert sorted(word.split()[0] for word in said) == ["'a-fifo'", "'a-folder'", "'a-link'"]


async def test_a_git_folder_nested_without_end_is_told(bench: Bench) -> None:
    order = await bench.order("cd .git; python3 -c \"import os\nfor _ in range(3000):\n"
                              " os.mkdir('d'); os.chdir('d')\"; exit 3")
    end = await bench.place.play(order)
    assert end.reason == "gone"
    assert end.error is not None and end.error.startswith("its work could not be brought back: ")


async def test_much_output_arrives_whole(bench: Bench) -> None:
    order = await bench.order("seq 200000; printf '%0500000d\\n' 7; printf unfinished")
    began = time.monotonic()
    end = await bench.place.play(order)
    assert end.status == 0
    path, position, found = Attempt(order.folder).output, 0, []
    while lines := await output.reading(path, position, 1 << 20):
        found += texts(list(lines))
        position = lines[-1].end
    assert found[:200_000] == [str(n) for n in range(1, 200_001)]
    assert len(found[200_000]) == 500_000
    assert found[200_001] == "unfinished"
    assert time.monotonic() - began < PATIENCE


async def test_a_repository_of_its_own_comes_along_apart_from_the_work(bench: Bench) -> None:
    """Git would carry its commit's bare name alone, and it would be gone with its container."""
    made = "git init -q; git config user.email a@b; git config user.name n; echo hours > a.py;"
    order = await bench.order(
        f"mkdir 'my app' big; cd 'my app'; {made} git add -A; git commit -qm first; cd ..;"
        f"git add -A; git commit -qm all; git init -q tools/in; echo x > tools/in/x.py;"
        "mkfifo $HOME/../artifacts/repository-my_app.tar.gz;"
        f"cd big; {made} head -c 300000000 /dev/zero > zeros; cd ..; echo more > more.txt")
    end = await bench.place.play(order)
    assert (end.status, end.reason, end.error) == (0, None, None)
    assert git("-C", str(order.workspace), "ls-tree", "-r", "--name-only", "HEAD").split() == [
        "README.md", "gone.txt", "more.txt"]
    found = next(iter(bench.api.attempts.values())).artifacts
    assert sorted(found) == ["repository-big.txt", "repository-my_app.tar.gz",
                             "repository-tools_in.tar.gz"]
    assert b"too large" in found["repository-big.txt"]
    with tarfile.open(fileobj=io.BytesIO(found["repository-my_app.tar.gz"])) as packed:
        assert {"my app/a.py", "my app/.git/HEAD"} <= set(packed.getnames())
    marks = texts(list(await output.reading(Attempt(order.folder).output, 0, 1 << 20)), "mark")
    assert [mark for mark in marks if "'my app' is a repository of its own" in mark]


async def test_a_submodule_that_gitmodules_names_stays(bench: Bench) -> None:
    order = await bench.order(
        "printf '[submodule \"lib\"]\\n\\tpath = lib\\n\\turl = ./lib\\n' > .gitmodules; mkdir lib;"
        "git add .gitmodules; git commit -qm sub;"
        "git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),lib; git commit -qm sub")
    await bench.place.play(order)
    assert "160000 commit" in git("-C", str(order.workspace), "ls-tree", "HEAD", "lib")

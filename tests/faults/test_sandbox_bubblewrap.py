"""bubblewrap: what an agent needs to start is shown, and nothing beside it; what can't be built
is told in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.errors import Broken
from core.model import Mount
from core.sandboxes import programs
from core.sandboxes.bubblewrap import BubblewrapSandbox
from tests.needs import need
from tests.sandbox_bench import ENV, Bench, others_with, some_seconds, texts

PLAIN = "#!/bin/sh\necho started\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A person's home, with what must stay theirs."""
    home = tmp_path / "people/me"
    for name in (".ssh/id", ".aws/credentials", ".config/x", ".claude/.credentials.json", ".netrc",
                 ".local/share/keyrings/k", "notes.txt"):  # fmt: skip
        program(home / name, "secret")
    return home


@pytest.fixture
async def bench(tmp_path: Path, home: Path) -> AsyncIterator[Bench]:
    sandbox = BubblewrapSandbox(hidden=(tmp_path / "data",), home=home)
    problem = sandbox.missing({})
    need("bubblewrap", problem is None, problem or "")
    bench = Bench(sandbox, tmp_path)
    yield bench
    await bench.clean()


def walled(base: Path, *private: Path) -> Bench:
    return Bench(BubblewrapSandbox(private=lambda: private, home=base / "people"), base)


def program(path: Path, text: str = PLAIN) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def on_path(*folders: Path) -> dict[str, str]:
    return {**ENV, "PATH": ":".join([*map(str, folders), ENV["PATH"]])}


async def started(bench: Bench, name: str, env: dict[str, str]) -> None:
    end, lines = await bench.play(bench.order(name, env=env))
    assert (end.status, end.error, texts(lines)) == (0, None, ["started"]), texts(lines, "err")


# -- What is needed to start --------------------------------------------------------------


async def test_a_version_of_node_in_the_home_starts(bench: Bench, home: Path) -> None:
    """As nvm installs it: the program is a link into a tree of modules, run by a node beside."""
    version = home / ".nvm/versions/node/v20"
    beside = '"$(dirname "$(readlink -f "$1")")"'
    program(version / "bin/node", f"#!/bin/sh\n. {beside}/../deep/part.sh\n")
    program(version / "lib/node_modules/deep/part.sh", "echo started\n")
    program(version / "lib/node_modules/agent/cli.js", "#!/usr/bin/env node\n")
    (version / "bin/agent").symlink_to("../lib/node_modules/agent/cli.js")
    await started(bench, "agent", on_path(version / "bin"))


async def test_a_shim_that_leads_to_a_version_starts(bench: Bench, home: Path) -> None:
    program(home / ".pyenv/shims/agent", f'#!/bin/sh\nexec "{home}/.pyenv/libexec/go" "$@"\n')
    program(home / ".pyenv/libexec/go", '#!/bin/sh\nexec "$(dirname $0)/../versions/3/bin/agent"\n')
    program(home / ".pyenv/versions/3/bin/agent")
    await started(bench, "agent", on_path(home / ".pyenv/shims"))


async def test_a_link_from_the_local_programs_into_a_private_place_starts(
    bench: Bench, home: Path
) -> None:
    version = program(home / ".local/share/agent/versions/1.0")
    (home / ".local/bin").mkdir(parents=True)
    (home / ".local/bin/agent").symlink_to(version)
    await started(bench, "agent", on_path(home / ".local/bin"))
    await started(bench, str(home / ".local/bin/agent"), ENV)


async def test_a_virtual_environment_starts_with_the_python_behind_it(bench: Bench) -> None:
    script = "import json, sys; print('started' if json and sys.prefix else '')"
    end, lines = await bench.play(bench.order(sys.executable, "-c", script))
    assert (end.status, texts(lines)) == (0, ["started"]), texts(lines, "err")


async def test_only_the_installation_is_seen_and_the_home_is_not(bench: Bench, home: Path) -> None:
    program(home / ".local/bin/agent", f"#!/bin/sh\ncd {home}; find . -type f | sort\n")
    program(home / ".local/share/other/secret")
    program(home / ".cargo/bin/tool")
    program(home / ".cargo/credentials.toml", "secret")
    program(home / "bin/mine")
    env = on_path(home / ".local/bin", home / ".cargo/bin", home / "bin", home, home / ".ssh")
    _, lines = await bench.play(bench.order("agent", env=env))
    assert texts(lines) == ["./.cargo/bin/tool", "./.local/bin/agent", "./bin/mine"]


async def test_a_library_of_the_agent_s_is_not_loaded_outside(bench: Bench) -> None:
    """Its environment may name files that it wrote itself; bubblewrap still stands outside."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    need("a C compiler", compiler is not None, "apt install gcc")
    source = bench.base / "trap.c"
    source.write_text(
        '#include <stdio.h>\n#include <unistd.h>\n__attribute__((constructor)) void f(void)'
        '{ FILE *file = fopen("loaded", "a"); fprintf(file, "%d\\n", getpid()); fclose(file); }'
    )
    order = bench.order("sh", "-c", "true")
    library = order.workspace / "trap.so"
    os.spawnv(os.P_WAIT, str(compiler), ["cc", "-shared", "-fPIC", "-o", str(library), str(source)])
    order = bench.order("sh", "-c", "exit 0", env={**ENV, "LD_PRELOAD": str(library)})
    end, _ = await bench.play(order)
    assert end.status == 0
    assert (order.workspace / "loaded").read_text().split() == ["2"]


async def test_no_secret_stands_on_a_command_line(bench: Bench) -> None:
    secret = f"secret-{some_seconds()}"
    order = bench.order("sh", "-c", "echo $TOKEN; sleep 1000", env={**ENV, "TOKEN": secret})
    await bench.start(order)
    await bench.said(order, secret)
    assert not others_with(secret)


# -- What stays private in there ----------------------------------------------------------


async def test_what_is_private_is_hidden_in_the_system_s_own_folders(tmp_path: Path) -> None:
    folder = next(path for path in sorted(Path("/usr/share").iterdir())
                  if path.is_dir() and not path.is_symlink() and any(path.iterdir()))
    file = Path("/usr/bin/env").resolve()
    bench = walled(tmp_path, folder, file, Path("/usr"), Path("/usr/local"), tmp_path / "none")
    text = f"ls -A {folder}; ls /usr/bin/sort; cat {file} >/dev/null || echo hidden"
    end, lines = await bench.play(bench.order("sh", "-c", text))
    assert (end.status, texts(lines)) == (0, ["/usr/bin/sort", "hidden"])


async def test_of_a_private_folder_only_what_programs_need_is_seen(tmp_path: Path) -> None:
    tool, other = tmp_path / "tool", tmp_path / "other"
    for name in ("key", "lib/part", "shop/code", "shop/.venv/lib/inner", "house/key"):
        program(tool / name, "secret")
    program(other / "lib/part", "secret")
    program(tool / "bin/agent", f"#!/bin/sh\ncd {tmp_path}; find tool other link -type f | sort"
                                " | while read x; do cat $x >/dev/null && echo $x; done\n")
    program(tool / "shop/.venv/bin/helper")
    program(other / "bin/helper")
    (tmp_path / "link").symlink_to(tool)
    bench = walled(tmp_path, tool / "key", tool / "shop", tool / "house", other)
    path = on_path(tmp_path / "link/bin", tool / "shop/.venv/bin", other / "bin")
    end, lines = await bench.play(bench.order("agent", env=path))
    assert end.status == 0, texts(lines, "err")
    assert texts(lines) == [
        "link/bin/agent", "link/lib/part", "other/bin/helper", "tool/bin/agent", "tool/lib/part",
        "tool/shop/.venv/bin/helper", "tool/shop/.venv/lib/inner"]
    order = bench.order("agent", env=on_path(tool / "bin"), readable=(tool / "house/key",))
    assert texts((await bench.play(order))[1]) == [
        "tool/bin/agent", "tool/house/key", "tool/lib/part"]


# -- Mounts -------------------------------------------------------------------------------


async def test_credentials_are_seen_at_their_place_and_kept(bench: Bench, home: Path) -> None:
    own = bench.base / "data/sessions/mine/home"
    own.mkdir(parents=True)
    text = (
        "cat ~/.claude/.credentials.json ~/deep/er/x /srv/aws/credentials; echo;"
        " echo new > ~/.claude/.credentials.json; echo new >> ~/deep/er/x; ls -A ~/.claude ~/.ssh"
    )
    order = bench.order(
        "sh", "-c", text,
        env={**ENV, "HOME": str(own)},
        writable=(own,),
        mounts=(
            Mount(home / ".claude/.credentials.json", "~/.claude/.credentials.json"),
            Mount(home / ".config/x", "~/deep/er/x", writable=True),
            Mount(home / ".aws", "/srv/aws"),
        ),
    )  # fmt: skip
    _, lines = await bench.play(order)
    assert texts(lines) == ["secretsecretsecret", f"{own}/.claude:", ".credentials.json"]
    assert (home / ".claude/.credentials.json").read_text() == "secret"
    assert (home / ".config/x").read_text() == "secretnew\n"
    assert (own / ".claude/.credentials.json").read_text() == ""


@pytest.mark.parametrize("planted", [".codex", ".codex/auth.json"])
async def test_a_link_in_the_way_of_a_mount_is_not_followed(
    bench: Bench, home: Path, planted: str
) -> None:
    own, outside = bench.base / "own", bench.base / "outside"
    outside.mkdir()
    (own / planted).parent.mkdir(parents=True, exist_ok=True)
    (own / planted).symlink_to(outside / ("" if planted == ".codex" else "new"))
    order = bench.order("true", env={**ENV, "HOME": str(own)}, writable=(own,),
                        mounts=(Mount(home / ".netrc", "~/.codex/auth.json"),))  # fmt: skip
    with pytest.raises(Broken, match="can't be shown to the agent"):
        await bench.start(order)
    assert list(outside.iterdir()) == []


async def test_what_is_to_be_shown_and_missing_is_named(bench: Bench, home: Path) -> None:
    order = bench.order("true", mounts=(Mount(home / "nowhere", "/srv/x"),))
    with pytest.raises(Broken, match="nowhere, which the agent is to see, is missing"):
        await bench.start(order)


# -- What can't be built ------------------------------------------------------------------


async def test_a_network_of_another_name_is_refused(bench: Bench) -> None:
    with pytest.raises(Broken, match="`on` and `off`, not `agents`"):
        await bench.start(bench.order("true", network="agents"))


async def test_what_is_hidden_inside_is_told_as_not_started(bench: Bench, home: Path) -> None:
    agent = program(bench.base / "data/bin/agent", "#!/bin/sh\necho never\n")
    end, lines = await bench.play(bench.order(str(agent)))
    assert (end.reason, end.status, texts(lines)) == ("not_started", None, [])
    reason = "can't be run inside its sandbox"
    assert end.error == f"`{agent}` {reason}: {agent}: No such file or directory"


async def test_a_folder_that_is_to_be_written_and_missing_is_told(bench: Bench) -> None:
    end, _ = await bench.play(bench.order("true", writable=(bench.base / "nowhere",)))
    assert end.reason == "not_started"
    assert end.error is not None
    assert end.error.startswith("the sandbox can't be built: Can't find source path")
    assert "\n" not in end.error


async def test_an_agent_that_ends_like_a_failed_sandbox_has_started(bench: Bench) -> None:
    text = "echo 'bwrap: execvp x: No such file or directory' >&2; exit 1"
    end, lines = await bench.play(bench.order("sh", "-c", text))
    assert (end.status, end.reason, len(texts(lines, "err"))) == (1, None, 1)


def test_what_is_missing_says_what_to_install_or_to_allow(tmp_path: Path) -> None:
    told = BubblewrapSandbox(program="no-such-bwrap").missing({})
    assert told == "no-such-bwrap is missing: install it (Debian: apt install bubblewrap)"
    refused = program(tmp_path / "bwrap", "#!/bin/sh\necho 'bwrap: no permissions' >&2\nexit 1\n")
    told = BubblewrapSandbox(program=str(refused)).missing({})
    assert told is not None
    assert told.startswith("bubblewrap can't isolate here (bwrap: no permissions): allow user")


# -- Files that it makes in memory --------------------------------------------------------


async def test_files_in_its_own_tmp_count_as_memory(bench: Bench) -> None:
    text = "head -c 80000000 /dev/zero > /tmp/big; sleep 1000"
    end, _ = await bench.play(bench.order("sh", "-c", text, memory=40 << 20))
    assert end.reason == "memory"
    assert not Path("/tmp/big").exists()


async def test_no_place_in_memory_can_be_made_where_nobody_looks(bench: Bench) -> None:
    """A user namespace of its own would let it mount one, and hide it from who counts."""
    ask = ["bwrap", "--unshare-user", "--disable-userns", "--ro-bind", "/", "/", "true"]
    able = subprocess.run(ask, capture_output=True, check=False, timeout=60).returncode == 0
    need("bubblewrap's --disable-userns", able, "bubblewrap is older than 0.8, or can't do it here")
    hides = "mount -t tmpfs none /tmp && echo mounted"
    text = f"unshare --user --keep-caps --mount sh -c '{hides}'; echo it ends"
    end, lines = await bench.play(bench.order("sh", "-c", text))
    assert (end.status, texts(lines)) == (0, ["it ends"])
    assert "unshare failed" in texts(lines, "err")[0]


def test_where_such_namespaces_can_t_be_switched_off_it_goes_on_without(tmp_path: Path) -> None:
    """An older bubblewrap doesn't know how, and in some containers it can't."""
    old = program(tmp_path / "bwrap", """#!/bin/sh
for word in "$@"; do
  if [ "$word" = --disable-userns ]; then
    echo "bwrap: Unknown option --disable-userns" >&2
    exit 1
  fi
done
""")
    assert BubblewrapSandbox(program=str(old)).missing({}) is None
    old.write_text(old.read_text() + "echo 'bwrap: no permissions' >&2; exit 1\n")
    told = BubblewrapSandbox(program=str(old)).missing({})
    assert told is not None and told.startswith("bubblewrap can't isolate here (bwrap: no permis")


# -- Which folders those are --------------------------------------------------------------


def test_an_installation_is_found_around_a_program(home: Path, tmp_path: Path) -> None:
    program(home / "go/bin/agent")
    (home / "go/lib").mkdir()
    program(tmp_path / "tool/agent")
    program(home / "at-home")
    path = f"{home}/go/bin:relative::/usr/bin:/no/such/folder"
    found = programs.needed(("agent",), path, tmp_path / "work", home)
    assert found == [home / "go"]
    found = programs.needed((str(tmp_path / "tool/agent"),), path, tmp_path / "work", home)
    assert found == [home / "go", tmp_path / "tool"]
    found = programs.needed((str(home / "at-home"),), "", tmp_path / "work", home)
    assert found == [home / "at-home"]
    assert programs.needed(("no-such-agent",), "/usr/bin", tmp_path / "work", home) == []

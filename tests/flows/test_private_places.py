"""Bullpen's own and the user's are hidden from an agent, also inside of what it is shown."""

from __future__ import annotations

from tests.flows.bench import Bench
from tests.flows.real_bench import need_sandbox

CREW = """
[agents.look]
driver = "command"
sandbox = "bubblewrap"
mounts = [{{ source = "{tool}/keys/given", target = "~/given" }}]

[agents.other]
driver = "command"
sandbox = "bubblewrap"
environment = {{ API_KEY = "file:{tool}/keys/other" }}
"""


def test_where_its_programs_are_installed_an_agent_sees_nothing_else_of_ours(bench: Bench) -> None:
    """Bullpen's configuration, another's key and the user's checkout lie in the same tree."""
    need_sandbox("bubblewrap")
    tool = bench.folder / "tool"
    bench.configure(CREW.format(tool=tool), "tool/house/agents.toml")
    bench.configure('[site]\ntitle = "precious-title"\n', "tool/house/bullpen.toml")
    for name, text in {"keys/other": "precious-key\n", "keys/given": "its-own-key\n",
                       "lib/part": "a-part-of-it\n", "bin/look": "#!/bin/sh\ncat $@\n"}.items():
        (tool / name).parent.mkdir(exist_ok=True)
        (tool / name).write_text(text)
    (tool / "bin/look").chmod(0o755)
    bench.repo = bench.repo.rename(tool / "shop")
    places = [tool / name for name in ("house/agents.toml", "house/bullpen.toml", "keys/other",
                                       "keys/given", "shop/README.md", "shop/.git/config")]
    seen = " ".join(str(path) for path in (tool / "lib/part", "$HOME/given", *places))
    ran = bench.up(f'/add "Look" --agent look --run "sh -c \'look {seen}; exit 1\'"', status=1,
                   BULLPEN_CONFIG=str(tool / "house/bullpen.toml"), BULLPEN_RETRY__FAILED="0",
                   PATH=f"{tool}/bin:{bench.environment['PATH']}")
    said = bench.output()
    assert [word for word in ("a-part-of-it", "its-own-key") if word not in said] == [], str(ran)
    assert said.count("its-own-key") == 1, "where it is given to it, and nowhere else"
    assert said.count("cat: ") == len(places), said

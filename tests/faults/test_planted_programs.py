"""What an agent puts where its own command lies opens no file of the user's to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.sandboxes import programs


@pytest.mark.parametrize("way", ["link", "first line", "environment"])
def test_nothing_is_shown_that_an_agent_names(tmp_path: Path, way: str) -> None:
    home, workspace = tmp_path / "home", tmp_path / "workspace"
    secret, tool = home / ".ssh" / "id", workspace / "bin" / "tool"
    for path in (secret, tool):
        path.parent.mkdir(parents=True)
    secret.write_text("secret")
    tool.write_text(f"#!{secret}\n" if way == "first line" else "#!/bin/sh\n")
    tool.chmod(0o755)
    if way == "link":
        tool.unlink()
        tool.symlink_to(secret)
    if way == "environment":
        (workspace / "pyvenv.cfg").write_text(f"home = {workspace}\n")
        (workspace / "python3").symlink_to(secret)
    for argv, path in ((["bin/tool"], "/usr/bin"), (["tool"], f"{workspace}/bin:/usr/bin")):
        shown = programs.needed(argv, path, workspace, home)
        assert not any(place == secret or place in secret.parents for place in shown), shown
    shown = programs.needed(["tool"], f"{workspace}/bin", tmp_path / "other", home, (workspace,))
    assert not any(place == secret or place in secret.parents for place in shown), shown

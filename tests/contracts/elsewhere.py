"""The sandbox suite for places that share no folder: what can't be said of them is left out by
name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.contracts import test_sandbox_contract as suite

LEFT_OUT = {
    "test_it_can_work_here": "it needs an image and an address: see test_it_says_what_it_lacks",
    "test_a_missing_workspace_is_named": "over there the workspace is made anew",
    "test_a_folder_starts_one_process_however_often_it_is_asked":
        "it looks into the workspace: see test_however_often_it_is_asked_… of the faults",
    "test_what_cannot_start_says_why_in_one_line": "its programs lie in a folder of this machine",
    "test_a_terminal_is_its_input_and_output": "the size of a terminal does not get there",
}
"""Tests of the suite that look at what is not shared, and why they are not run."""


def promised() -> dict[str, Callable[..., Any]]:
    """The tests that are run, for a module's globals. Those left out are there to be left out."""
    tests = {name: test for name, test in vars(suite).items() if name.startswith("test_")}
    assert LEFT_OUT.keys() <= tests.keys()
    return {name: test for name, test in tests.items() if name not in LEFT_OUT}

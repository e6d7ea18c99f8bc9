"""A command of the user's runs for each event; what fails is counted, and nothing of an event is executed."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from kwsctl.errors import InputError
from kwsctl.streaming.hooks import CommandHook

EVENT = {"time_s": 1.5, "keyword": "hey; touch owned", "score": 0.9, "user": None, "model": "abc"}


def script(code: str) -> str:
    return shlex.join([sys.executable, "-S", "-c", code])


def test_the_event_is_on_stdin_and_in_the_environment_and_order_is_kept(tmp_path: Path) -> None:
    place = tmp_path / "told.jsonl"
    code = (
        "import sys, os, json; event = json.load(sys.stdin); "
        f"open({str(place)!r}, 'a').write(json.dumps([event, os.environ['KWSCTL_KEYWORD'],"
        " os.environ['KWSCTL_USER']]) + '\\n')"
    )
    with CommandHook(script(code)) as hook:
        for number in range(3):
            hook({**EVENT, "time_s": number})
    told = [json.loads(line) for line in place.read_text().splitlines()]
    assert told == [[{**EVENT, "time_s": number}, EVENT["keyword"], ""] for number in range(3)]
    assert (hook.ran, dict(hook.failures)) == (3, {})


def test_failures_are_counted_by_reason() -> None:
    with CommandHook(script("raise SystemExit(3)")) as hook:
        hook(EVENT)
        hook(EVENT)
    assert (hook.ran, dict(hook.failures)) == (0, {"it ended with 3": 2})
    with CommandHook("/nowhere/at/all") as hook:
        hook(EVENT)
    assert list(hook.failures) == ["it cannot be run (No such file or directory)"]
    with CommandHook(script("import time; time.sleep(60)"), timeout_s=0.1) as hook:
        hook(EVENT)
    assert list(hook.failures) == ["it took longer than 0.1 s"]


def test_a_shell_reads_the_command_only_if_asked_to(tmp_path: Path) -> None:
    place = tmp_path / "counted"
    command = f"cat | wc -l > {shlex.quote(str(place))}"
    with CommandHook(command) as hook:
        hook(EVENT)
    assert not place.exists()
    with CommandHook(command, shell=True) as hook:  # noqa: S604  # what is tested
        hook(EVENT)
    assert int(place.read_text()) == 1


@pytest.mark.parametrize(("command", "told"), [("", "empty"), ("say 'hi", "No closing quotation")])
def test_what_is_no_command_is_told_before_anything_is_heard(command: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        CommandHook(command)

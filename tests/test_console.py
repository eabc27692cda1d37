"""Every file name can be printed, on every console."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from manyfill.cli import console

SAY = """
import os, sys
from manyfill.cli import console
console.prepare()
name = os.fsdecode(b"caf\\xe9") + " \\u4e2d \\U0001f600"
console.out(name)
console.say(name)
console.out_json({"file": name})
"""


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
def test_names_that_the_console_does_not_have_are_printed_all_the_same(encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAY], capture_output=True, timeout=180, env={**os.environ, "PYTHONIOENCODING": encoding}
    )
    assert done.returncode == 0, done.stderr
    name, line = done.stdout.splitlines()
    if encoding == "utf-8":
        assert name == b"caf\xe9 " + "\u4e2d \U0001f600".encode()
    else:
        assert name == b"caf\xe9 \\u4e2d \\U0001f600"
    assert done.stderr.splitlines() == [name]
    assert json.loads(line) == {"file": "caf\udce9 \u4e2d \U0001f600"}


def test_a_name_commands_no_terminal_and_turns_no_letters_around(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("failed: \x1b[31mred\u202egnp.exe\x9b.png: no\tsuch\nphoto")
    assert capsys.readouterr().err == "failed: \\x1b[31mred\\u202egnp.exe\\x9b.png: no\tsuch\nphoto\n"
    console.out("x\x1b.png")  # for another program: the file's own name
    assert capsys.readouterr().out == "x\x1b.png\n"

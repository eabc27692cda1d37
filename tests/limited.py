"""A process that loads once what tests need, and for each question forks one whose CPU time and memory are limited."""

from __future__ import annotations

import json
import subprocess
import sys
from types import TracebackType
from typing import Any

SECONDS = 300  # one that waits for ever spends no CPU time
PARENT = """
import json, os, resource, signal, sys, traceback
{code}

def ask(question, out):
    os.dup2(out, 1), os.dup2(out, 2)
    signal.alarm({wait})
    held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + {memory},) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, ({seconds},) * 2)
    answer(*question)

for line in sys.stdin:
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            ask(json.loads(line), theirs)
            code = 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)
    os.close(theirs)
    with open(ours) as said:
        words = said.read()
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), words]), flush=True)
"""


class Limited:
    """`code` defines `answer(...)`, which prints; `seconds` of CPU time, `memory` bytes beyond what is loaded."""

    def __init__(self, code: str, *, seconds: int, memory: int) -> None:
        program = PARENT.format(code=code, seconds=seconds, memory=memory, wait=SECONDS)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, *question: Any) -> str:
        """What a fork prints; AssertionError where it died, or raised."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        code, said = json.loads(self.process.stdout.readline())
        assert code == 0, f"it ended with {code} (below 0: by that signal): {said[-500:]}"
        return str(said).strip()

    def __enter__(self) -> Limited:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.communicate()  # the end of its input is its end

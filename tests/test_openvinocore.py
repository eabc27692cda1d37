"""OpenVINO, started once for the process."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from manyfill.openvinocore import core

pytest.importorskip("openvino")

SIGNALLED = """
import gc, os, signal
import torch
from manyfill.engines import OpenVinoNet
from manyfill.nets.dfnet import DFNet, DFNetConfig

signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
config = DFNetConfig(size=32, width=4, max_width=8, kernels=(5, 3), fusion_levels=(0, 1))
first, second = [OpenVinoNet(DFNet(config).eval()) for _ in range(2)]
del first
gc.collect()
del second
gc.collect()
os.kill(os.getpid(), signal.SIGUSR1)
"""


def test_there_is_one_for_the_process() -> None:
    assert core() is core()


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signal on this system")
def test_a_signal_after_two_models_are_gone_is_handled() -> None:
    done = subprocess.run([sys.executable, "-c", SIGNALLED], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr

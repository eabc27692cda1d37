"""Compiled loops."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from manyfill.compiled import compiled


def test_a_loop_of_a_file_and_one_of_none_are_compiled() -> None:
    scope: dict[str, Any] = {}
    exec("def twice(x):\n    return 2 * x", scope)  # no file to be kept beside
    assert compiled(scope["twice"])(21) == 42


def test_code_on_disk_is_loaded_without_what_only_compiling_needs(tmp_path: Path) -> None:
    loops = "\n\n".join(f"@compiled\ndef {name}(x):\n    return x * {by}" for name, by in (("twice", 2), ("thrice", 3)))
    (tmp_path / "loops.py").write_text(f"from manyfill.compiled import compiled\n\n{loops}\n")

    def answers(calls: str) -> str:
        code = f"import sys, loops; print({calls}, 'numba.np.arraymath' in sys.modules)"
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
        made = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return made.stdout.strip()

    assert answers("loops.twice(21)") == "42 True"  # compiled
    assert answers("loops.twice(21)") == "42 False"  # from disk
    assert answers("loops.twice(21), loops.thrice(5)") == "42 15 True"  # from disk, then compiled

"""What is run apart sees an empty ``/run``, and the machine's stays as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_a_program_that_writes_to_run_leaves_the_machine_alone(tmp_path: Path) -> None:
    name = Path(f"/run/aiconform-test-{os.getpid()}")
    script = f"ls /run > {tmp_path}/seen; mkdir {name}; ls /run > {tmp_path}/made"
    done = subprocess.run(
        [sys.executable, "-m", "aiconform.local.node.apart", "/bin/sh", "-c", script], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "seen").read_text() == ""
    assert (tmp_path / "made").read_text().split() == [name.name]
    assert not name.exists()

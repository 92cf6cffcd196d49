"""The demo: the whole checklist of release 1.35 on a local cluster.

Exit code 3 of the run (a MUST that is undecided, or that this version cannot run yet) is no failure here: what is
missing is said once more, and the demo ends well.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

RELEASE = "1.35"
UNDECIDED = 3


def main() -> int:
    """Run, and end well unless something really failed."""
    output = Path("runs") / time.strftime("demo-%Y%m%d-%H%M%S", time.gmtime())
    program = str(Path(sys.executable).with_name("aiconform"))
    command = [program, "run", "--local", "--name", "demo", "--release", RELEASE]
    code = run([*command, "--output", str(output), *sys.argv[1:]])
    verdicts = output / "bundle" / "verdicts.json"
    if code not in (0, UNDECIDED) or not verdicts.is_file():
        return code
    checks = json.loads(verdicts.read_bytes())["checks"]
    sys.stderr.flush()
    lines = [
        "",
        f"bundle  {output / 'bundle'}",
        f"report  {output / 'report.html'}  (open it in a browser)",
        *_missing(checks, "not run", "no verdict yet, for want of a check"),
        *_missing(checks, "undecided", "undecided in this run"),
        "The demo ended well." + (" Exit code 3 of the run means that not every MUST was decided." if code else ""),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def run(command: list[str]) -> int:
    """Run a command that cleans up after itself when it is interrupted: never end before it does, never kill it."""
    # Ctrl-C reaches both of us; a handler, unlike being ignored, is not inherited
    signal.signal(signal.SIGINT, lambda *_: None)
    with subprocess.Popen(command) as process:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _frame: process.send_signal(number))
        return process.wait()


def _missing(checks: list[dict[str, str]], outcome: str, words: str) -> list[str]:
    names = [check["requirement"] for check in checks if check["outcome"] == outcome]
    return [f"{words}: {', '.join(names)}"] if names else []


if __name__ == "__main__":
    sys.exit(main())

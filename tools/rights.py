"""Proves the least role on a local cluster: granted is used, by the API server's audit log.

Usage: rights.py [REQUIREMENT]...    all of release 1.35, if none is named

A ServiceAccount with exactly the role that ``aiconform doctor --rbac`` prints runs the requirements. Then each right is
taken away in turn: the doctor must name it, and nothing may be written. Exit code 1 if anything is otherwise.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP))

from tests.support.least import Least, least, now, unused  # noqa: E402

from aiconform import catalog  # noqa: E402
from aiconform.engine.rights import Right  # noqa: E402
from aiconform.evidence.reader import open_bundle  # noqa: E402
from aiconform.local import Cluster, down, up  # noqa: E402
from aiconform.local.addons import registry  # noqa: E402
from aiconform.local.images.table import IMAGES  # noqa: E402

RELEASE = "1.35"
ALLOWED = ("passed", "n/a")


def main(arguments: Sequence[str]) -> int:
    """Run, count, take away, print."""
    names = list(arguments) or [requirement.id for requirement in catalog.requirements(RELEASE)]
    cluster = up(f"rights-{os.getpid()}", owner_pid=os.getpid(), addons=registry.for_requirements(names))
    try:
        with tempfile.TemporaryDirectory() as scratch, least(cluster, Path(scratch), names) as user:
            wrong = [*_doctor(user), *_run(cluster, user, Path(scratch)), *_taken_away(user)]
    finally:
        down(cluster.name)
    for line in wrong:
        sys.stdout.write(f"WRONG: {line}\n")
    return 1 if wrong else 0


def _doctor(user: Least) -> list[str]:
    begun = time.monotonic()
    done = user.doctor()
    sys.stdout.write(done.stdout)
    _say("doctor", f"{time.monotonic() - begun:.1f} s, exit code {done.returncode}")
    return [] if done.returncode == 0 else [f"the doctor ends with {done.returncode}: {done.stderr}"]


def _run(cluster: Cluster, user: Least, scratch: Path) -> list[str]:
    since, begun = now(), time.monotonic()
    done = user.run(scratch / "run", "--image", f"probe={IMAGES['busybox'].reference}")
    if not (scratch / "run" / "bundle" / "manifest.json").is_file():
        return [f"the run sealed nothing: {done.stderr[-1000:]}"]
    verdicts = open_bundle(scratch / "run" / "bundle").verdicts
    used = user.used(since)
    idle, rare = unused(user.granted, used, user.requirements)
    _say(f"run of {len(verdicts.checks)} requirements", f"{time.monotonic() - begun:.0f} s, {used.requests} requests")
    for check in verdicts.checks:
        _say(f"  {check.requirement}", f"{check.outcome} {check.reason}".rstrip())
    _say("rights granted", str(len(user.granted)))
    _say("rules in the role", str(len(user.role["rules"])))
    _say("unused", str(len(idle)))
    _say("unused since what they are for did not happen", f"{len(rare)} {', '.join(map(str, rare))}".rstrip())
    _say("refused (missing)", str(len(used.refused)))
    _say("with *", str(sum("*" in (*r["verbs"], *r["resources"], *r["apiGroups"]) for r in user.role["rules"])))
    _say("Secrets read", str(sum(right.resource.startswith("secrets") for right in used.rights)))
    watches = {(r.group, r.resource) for r in used.rights if r.verb == "watch"}
    quick = sum(r.verb == "watch" and (r.group, r.resource) not in watches for r in user.granted)
    _say("watches granted beside a list that was enough this time", str(quick))
    left = cluster.kubectl("get", "namespaces", "-l", "aiconform.dev/run", "-o", "name").split()
    return [
        *(f"unused: {right}" for right in idle),
        *(f"missing: {right}" for right in sorted(used.refused)),
        *(f"{check.requirement} is {check.outcome}" for check in verdicts.checks if check.outcome not in ALLOWED),
        *(f"left behind: {name}" for name in left),
    ]


def _taken_away(user: Least) -> list[str]:
    since, begun = now(), time.monotonic()
    unnamed: list[Right] = []
    for right in user.granted:
        with user.without(right):
            if not user.named(right):
                unnamed.append(right)
    writes = user.used(since).writes
    number = len(user.granted)
    _say(
        "rights taken away in turn, and named",
        f"{number - len(unnamed)} of {number} ({time.monotonic() - begun:.0f} s)",
    )
    _say("writes meanwhile", str(len(writes)))
    return [*(f"taken away and not named: {right}" for right in unnamed), *(f"written: {what}" for what in writes)]


def _say(what: str, value: str) -> None:
    sys.stdout.write(f"{what:<60}{value}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

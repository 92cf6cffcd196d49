"""Has a Ray cluster square five numbers, on as many of its nodes as it must have.

Usage: squares.py ADDRESS NODES LIMIT_S END. Connects, waits until Ray itself counts that many nodes, and prints
``nodes=``, ``result=``, ``hosts=`` (where the tasks ran) or ``error=``, and END.
"""

from __future__ import annotations

import socket
import sys
import time

import ray  # type: ignore[import-not-found]


def say(line: str) -> None:
    """A line of the report."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def connect(address: str, until: float) -> None:
    """Connect, again and again until it works: a head that has just started is slow to make room for a client."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    while True:
        try:
            # Ray itself looks for the port once in 30 s only
            socket.create_connection((host, int(port)), timeout=2).close()
            ray.init(address, logging_level="ERROR")
        except Exception:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)
        else:
            return


def nodes() -> list[str]:
    """Host names of the nodes that Ray counts as alive."""
    return sorted(node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"])


@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")  # type: ignore[untyped-decorator]
def square(number: int) -> tuple[int, str]:
    """A square, and where it was computed; slow enough that one node alone is not through before others begin."""
    time.sleep(0.5)
    return number * number, socket.gethostname()


def work(address: str, wanted: int, limit_s: float) -> None:
    """Connect, wait for the nodes, compute."""
    until = time.monotonic() + limit_s
    connect(address, until)
    while len(found := nodes()) < wanted and time.monotonic() < until:
        time.sleep(0.5)
    say(f"nodes={','.join(found)}")
    begun = time.monotonic()
    done = ray.get([square.remote(number) for number in range(5)], timeout=60)
    say(f"seconds={time.monotonic() - begun:.1f}")
    say(f"result={[value for value, _ in done]}")
    say(f"hosts={','.join(sorted({host for _, host in done}))}")


if __name__ == "__main__":
    try:
        work(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
    except Exception as problem:  # noqa: BLE001 - whatever it is, the report says so
        say(f"error={type(problem).__name__}: {' '.join(str(problem).split())[:300]}")
    say(sys.argv[4])

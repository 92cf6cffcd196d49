"""What a person may tell of a cluster that cannot be found out, and which of several things to use.

An option changes what a check asks, so it is part of the plan: it is recorded before the first request, and a replay
reads it there. An option is never a secret. A new one is an entry here: it is then on the command line of ``run``, in
the plan, on the page, and read by checks and needs with ``ctx.option(name)`` and ``facts.option(name)``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aiconform.errors import UsageError

_CLASS_NAME = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
_PORT = "(?P<port>[1-9][0-9]{0,9})"
_HIGHEST_PORT = 65535


@dataclass(frozen=True)
class Option:
    """An option.

    Attributes:
        name: as on the command line, without the dashes.
        metavar: what its value is, for the help; where there are few values, the help lists them.
        help: one sentence.
        pattern: what a value looks like, whole; its group ``port``, if there is one, is the number of a port.
        example: a value, for a message.
        choices: the values there are, where they are few; ``pattern`` is then not looked at.
    """

    name: str
    metavar: str
    help: str
    example: str
    pattern: str = ".+"
    choices: tuple[str, ...] = ()

    def check(self, value: str) -> None:
        """Hold a value against what is allowed.

        Raises:
            UsageError: it is not.
        """
        if self.choices and value not in self.choices:
            raise UsageError(f"--{self.name} {value}: not one of {', '.join(self.choices)}")
        if not self.choices:
            self._match(value)

    def _match(self, value: str) -> None:
        found = re.fullmatch(self.pattern, value)
        port = found.groupdict().get("port") if found else None
        why = "" if found else f"not {self.metavar}"
        if port and int(port) > _HIGHEST_PORT:
            why = f"no port has a number above {_HIGHEST_PORT}"
        if why:
            raise UsageError(f"--{self.name} {value}: {why}", hint=f"for example --{self.name} {self.example}")


_ALL = (
    Option(
        "allocation",
        "WAY",
        "Ask for accelerators by claims (dra) or by extended resources; auto, for each vendor claims where it can.",
        "dra",
        choices=("auto", "dra", "device-plugin"),
    ),
    Option(
        "runtime-class",
        "NAME",
        "RuntimeClass that pods have to name to be given an accelerator; the cluster's default if absent.",
        "nvidia",
        _CLASS_NAME,
    ),
    Option(
        "gateway-class",
        "NAME",
        "GatewayClass that the two checks of inference gateways use; the first accepted one if absent.",
        "envoy",
        _CLASS_NAME,
    ),
    Option(
        "gateway-port",
        "PORT",
        "Port that its Gateway listens on; the first that the class takes of 80, 8080 and 8000 if absent.",
        "80",
        _PORT,
    ),
    Option(
        "gateway-address",
        "WHICH",
        "Where its requests go: to the address that the Gateway tells, or to its Service in the cluster.",
        "in-cluster",
        choices=("told", "in-cluster"),
    ),
    Option(
        "pool-label",
        "KEY=VALUE",
        "Label of the nodes of the pool that cluster_autoscaling looks at, where nothing else tells.",
        "example.com/pool=gpus",
        "[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?=[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?",
    ),
    Option(
        "prometheus",
        "SERVICE",
        "Prometheus to ask, or what answers like one: a Service in the cluster, NAMESPACE/NAME[:PORT][/PREFIX].",
        "monitoring/vmselect:8481/select/0/prometheus",
        f"[a-z0-9][-a-z0-9]*/[a-z0-9][-a-z0-9]*(:{_PORT})?(/[-A-Za-z0-9_./]*)?",
    ),
    Option(
        "prometheus-url",
        "URL",
        "Prometheus to ask by its URL, from a pod of ours; without credentials.",
        "http://metrics.example.com:9090",
        rf"https?://[-A-Za-z0-9_.]+(:{_PORT})?(/[-A-Za-z0-9_./]*)?",
    ),
    Option(
        "scrape-by",
        "WAY",
        "How a workload is made known to it; ServiceMonitor where that is served, else annotations, if absent.",
        "annotations",
        choices=("servicemonitor", "podmonitor", "annotations"),
    ),
    Option(
        "coscheduling-scheduler",
        "NAME",
        "Name of the scheduler that has the coscheduling plugin; scheduler-plugins-scheduler if absent.",
        "default-scheduler",
        _CLASS_NAME,
    ),
    Option(
        "operator",
        "NAME",
        "Operator that robust_controller tries; the first that is found if absent.",
        "kueue",
        choices=("kuberay", "kubeflow-trainer", "jobset", "kueue", "volcano"),
    ),
    Option(
        "gang-scheduler",
        "NAME",
        "System that gang_scheduling tries; all that are found if absent.",
        "kueue",
        choices=("volcano", "kueue", "kai", "coscheduling"),
    ),
)

OPTIONS: Mapping[str, Option] = {option.name: option for option in _ALL}
"""Options by name."""


def checked(given: Mapping[str, str]) -> dict[str, str]:
    """The options given, sorted by name, without those that are empty.

    Raises:
        UsageError: one is not known, or its value is not allowed.
    """
    for name, value in given.items():
        if name not in OPTIONS:
            raise UsageError(f"unknown option {name!r}", hint=f"known options: {', '.join(OPTIONS)}")
        if value:
            OPTIONS[name].check(value)
    return {name: given[name] for name in sorted(given) if given[name]}

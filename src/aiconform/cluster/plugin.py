"""Credential plugins of a kubeconfig (``users[].user.exec``): programs that give a token, a certificate, or both.

https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins; what is not said
there is as in client-go's plugin/pkg/client/auth/exec.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from aiconform.cluster.kubeconfig_format import EXEC_EXTENSION, EXEC_VERSIONS, Cluster, Exec
from aiconform.cluster.plugin_answer import CredentialError, Given, given
from aiconform.cluster.plugin_process import Aside, Ended, output_of, printable

_WORDS = 5
"""Lines of a plugin that failed which are shown."""


class Plugin:
    """One program of a kubeconfig.

    Args:
        run: what stands in the kubeconfig.
        cluster: the cluster that it is for.
        ca: that cluster's CAs, PEM.
        aside: how it talks to a person.

    Raises:
        CredentialError: the kubeconfig says something about it that is not to be understood.
    """

    def __init__(self, run: Exec, cluster: Cluster, ca: bytes, aside: Aside) -> None:
        self.name = Path(run.command).name or "without a name"
        self._run = run
        self._cluster = cluster
        self._ca = ca
        self._aside = aside
        self._check()

    async def ask(self, learn: Callable[[str | bytes], None]) -> Given:
        """Run it.

        Args:
            learn: hears of every credential before it is used.

        Raises:
            CredentialError: it gave none; the person has been told what it said.
        """
        interactive = self._interactive()
        program = shutil.which(self._run.command)
        if program is None:
            hint = printable(self._run.install_hint) or "install it, or put it into $PATH"
            raise self._error("there is no such program", hint)
        try:
            with self._aside.terminal(self.name) if interactive else nullcontext():
                ended = await output_of(
                    [program, *self._run.args],
                    self._environment(interactive=interactive),
                    interactive=interactive,
                    says=self._say,
                )
            return self._given(ended, learn)
        except CredentialError as problem:
            raise self._error(str(problem), "run it alone to see why, or log in with it first") from None

    def _given(self, ended: Ended, learn: Callable[[str | bytes], None]) -> Given:
        try:
            found = given(ended.output, ended.code, self._run.api_version)
        except CredentialError:
            for line in ended.words[-_WORDS:]:
                self._say(line)
            raise
        for secret in (found.token, *((found.pair.certificate, found.pair.key) if found.pair else ())):
            if secret:
                learn(secret)
        return found

    def _say(self, line: str) -> None:
        self._aside.says(f"credential plugin {self.name}: {line}")

    def _error(self, problem: str, hint: str) -> CredentialError:
        return CredentialError(f"credential plugin {self.name}: {problem}", hint)

    def _check(self) -> None:
        run = self._run
        problem = ""
        if not run.command:
            problem = "no command is named"
        elif run.api_version not in EXEC_VERSIONS:
            problem = f"apiVersion {run.api_version!r} is none of {', '.join(EXEC_VERSIONS)}"
        elif run.api_version == EXEC_VERSIONS[0] and not run.interactive_mode:
            problem = "interactiveMode is missing, which v1 asks for"
        elif any(not variable.name for variable in run.env):
            problem = "a variable of its environment has no name"
        if problem:
            raise self._error(problem, "look at users[].user.exec of the kubeconfig")

    def _interactive(self) -> bool:
        mode = self._run.interactive_mode or "IfAvailable"
        available = sys.stdin is not None and not sys.stdin.closed and os.isatty(0)
        if mode == "Always" and not available:
            raise self._error(
                "it has to ask a person, and standard input is no terminal",
                "start the run from a terminal, or log in with another user of the kubeconfig",
            )
        return mode != "Never" and available

    def _environment(self, *, interactive: bool) -> dict[str, str]:
        spec: dict[str, Any] = {"interactive": interactive}
        if self._run.provide_cluster_info:
            spec["cluster"] = self._told()
        info = {"kind": "ExecCredential", "apiVersion": self._run.api_version, "spec": spec}
        own = {variable.name: variable.value for variable in self._run.env}
        return {**os.environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(info, separators=(",", ":"))}

    def _told(self) -> dict[str, Any]:
        """The cluster, as a plugin that wants to know of it is told."""
        cluster = self._cluster
        known = next((found.extension for found in cluster.extensions if found.name == EXEC_EXTENSION), None)
        fields = {
            "tls-server-name": cluster.tls_server_name,
            "insecure-skip-tls-verify": cluster.insecure,
            "certificate-authority-data": base64.b64encode(self._ca).decode(),
            "proxy-url": cluster.proxy_url,
            "disable-compression": cluster.disable_compression,
        }
        return {"server": cluster.server, **{key: value for key, value in fields.items() if value}, "config": known}

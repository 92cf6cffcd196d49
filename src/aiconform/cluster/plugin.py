"""Credential plugins of a kubeconfig (``users[].user.exec``), run by lightkube."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING

import httpx2
from lightkube.config.client_adapter import user_auth
from lightkube.config.models import NameValue
from lightkube.core.exceptions import ConfigError

if TYPE_CHECKING:
    from lightkube.config.models import User

_V1 = "client.authentication.k8s.io/v1"
_UNDERSTOOD = "client.authentication.k8s.io/v1beta1"


class PluginError(httpx2.RequestError):
    """A credential plugin gave no token."""


class PluginAuth(httpx2.Auth):
    """A plugin's token, and whatever goes wrong with it as an error of the request that needed it."""

    def __init__(self, auth: httpx2.Auth, command: str, on_token: Callable[[str], None]) -> None:
        self._auth = auth
        self._command = command
        self._on_token = on_token

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """See :class:`httpx2.Auth`."""
        flow = self._auth.async_auth_flow(request)
        try:
            current = await anext(flow)
        except (ConfigError, OSError, ValueError, LookupError, TypeError) as problem:
            raise PluginError(f"credential plugin {self._command}: {type(problem).__name__}: {problem}") from problem
        while True:
            self._on_token(current.headers["Authorization"].removeprefix("Bearer "))
            response = yield current
            try:
                current = await flow.asend(response)
            except StopAsyncIteration:
                return
            except (ConfigError, OSError, ValueError, LookupError, TypeError) as problem:
                raise PluginError(f"credential plugin {self._command}: {problem}") from problem


def authentication(user: User | None, on_token: Callable[[str], None]) -> httpx2.Auth | None:
    """How a user of a kubeconfig authenticates, certificates aside; ``on_token`` hears of every token a plugin gives.

    Raises:
        ConfigError: in a way that is not supported.
    """
    if user is None or user.exec is None or user.token or user.token_file:
        return user_auth(user)
    if user.exec.apiVersion == _V1:
        # lightkube knows the versions before v1, which asks the same and is answered alike; the plugin is told which
        told = {"apiVersion": _V1, "kind": "ExecCredential", "spec": {"interactive": False}}
        user.exec.env = [*(user.exec.env or []), NameValue(name="KUBERNETES_EXEC_INFO", value=json.dumps(told))]
        user.exec.apiVersion = _UNDERSTOOD
    auth = user_auth(user)
    return PluginAuth(auth, user.exec.command, on_token) if auth else None

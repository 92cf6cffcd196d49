"""What stands in a kubeconfig, as far as a client needs it (client-go's clientcmd/api/v1; unknown fields are ignored).

Values that are credentials are left out of what these objects show of themselves, and a value that does not fit is
named by its place alone.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
EXEC_EXTENSION = "client.authentication.k8s.io/exec"
"""The extension of a cluster that is handed to a credential plugin as it stands."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)


class Extension(_Part):
    """Something that others have added under a name."""

    name: str
    extension: Any = None


class Cluster(_Part):
    """Where an API server is and how it is known to be the right one."""

    server: str = ""
    tls_server_name: str = Field(default="", alias="tls-server-name")
    insecure: bool = Field(default=False, alias="insecure-skip-tls-verify")
    ca_file: str = Field(default="", alias="certificate-authority")
    ca_data: str = Field(default="", alias="certificate-authority-data")
    proxy_url: str = Field(default="", alias="proxy-url", repr=False)
    disable_compression: bool = Field(default=False, alias="disable-compression")
    extensions: list[Extension] = Field(default=[], repr=False)


class Variable(_Part):
    """A variable of a plugin's environment."""

    name: str
    value: str = Field(default="", repr=False)


class Exec(_Part):
    """A program that gives credentials."""

    api_version: str = Field(default="", alias="apiVersion")
    command: str = ""
    args: list[str] = Field(default=[], repr=False)
    env: list[Variable] = []
    install_hint: str = Field(default="", alias="installHint")
    provide_cluster_info: bool = Field(default=False, alias="provideClusterInfo")
    interactive_mode: Literal["", "Never", "IfAvailable", "Always"] = Field(default="", alias="interactiveMode")


class AuthProvider(_Part):
    """A way to log in that kubectl once had built in."""

    name: str = ""


class User(_Part):
    """Who one is."""

    certificate_file: str = Field(default="", alias="client-certificate")
    certificate_data: str = Field(default="", alias="client-certificate-data", repr=False)
    key_file: str = Field(default="", alias="client-key")
    key_data: str = Field(default="", alias="client-key-data", repr=False)
    token: str = Field(default="", repr=False)
    token_file: str = Field(default="", alias="tokenFile")
    act_as: str = Field(default="", alias="as")
    act_as_uid: str = Field(default="", alias="as-uid")
    act_as_groups: list[str] = Field(default=[], alias="as-groups")
    act_as_extra: dict[str, list[str]] = Field(default={}, alias="as-user-extra")
    username: str = Field(default="", repr=False)
    password: str = Field(default="", repr=False)
    auth_provider: AuthProvider | None = Field(default=None, alias="auth-provider")
    plugin: Exec | None = Field(default=None, alias="exec")

    @property
    def has_certificate(self) -> bool:
        """Whether it names a client certificate."""
        return bool(self.certificate_file or self.certificate_data)

    @property
    def has_own(self) -> bool:
        """Whether it holds or names credentials, which then go before any plugin."""
        return bool(self.token or self.token_file or self.username or self.password or self.has_certificate)


class Context(_Part):
    """Which user goes to which cluster."""

    cluster: str = ""
    user: str = ""


class NamedCluster(_Part):
    """A cluster and its name."""

    name: str
    cluster: Cluster = Cluster()


class NamedUser(_Part):
    """A user and its name."""

    name: str
    user: User = User()


class NamedContext(_Part):
    """A context and its name."""

    name: str
    context: Context = Context()


class KubeconfigFile(_Part):
    """One file."""

    clusters: list[NamedCluster] = []
    users: list[NamedUser] = []
    contexts: list[NamedContext] = []
    current_context: str = Field(default="", alias="current-context")

"""What a credential plugin writes to its standard output: an ``ExecCredential`` of client.authentication.k8s.io."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from aiconform.cluster.tls import KeyPair


class CredentialError(Exception):
    """There are no credentials to send.

    Attributes:
        hint: the next step.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Given:
    """What a plugin gave.

    Attributes:
        token: empty if none.
        pair: a client certificate and its key.
        expires: when to ask anew; None where it does not say.
    """

    token: str = field(repr=False)
    pair: KeyPair | None = field(repr=False)
    expires: datetime | None


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class _Status(_Part):
    token: str | None = Field(default=None, repr=False)
    certificate: str | None = Field(default=None, alias="clientCertificateData", repr=False)
    key: str | None = Field(default=None, alias="clientKeyData", repr=False)
    expires: AwareDatetime | None = Field(default=None, alias="expirationTimestamp")


class _Answer(_Part):
    kind: str
    api_version: str = Field(alias="apiVersion")
    status: _Status


def given(output: bytes, code: int, api_version: str) -> Given:
    """What an answer holds; ``code`` is the exit code that came with it.

    Raises:
        CredentialError: it is not what was asked for; the words repeat nothing of it.
    """
    if code:
        raise CredentialError(f"it failed with exit code {code}")
    try:
        answer = _Answer.model_validate_json(output)
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_context=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        what = f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}" if place else "it is no JSON object"
        raise CredentialError(f"its answer cannot be used: {what}") from None
    status = answer.status
    if answer.kind != "ExecCredential" or answer.api_version != api_version:
        raise CredentialError(f"its answer is no ExecCredential of {api_version}, which the kubeconfig asks for")
    if not status.token and not status.certificate and not status.key:
        raise CredentialError("its answer holds neither a token nor a certificate")
    if bool(status.certificate) != bool(status.key):
        raise CredentialError("its answer holds a certificate or a key, not both")
    pair = KeyPair(status.certificate.encode(), status.key.encode()) if status.certificate and status.key else None
    return Given(status.token or "", pair, status.expires)

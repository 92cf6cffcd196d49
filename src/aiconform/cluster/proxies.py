"""Which proxy stands between us and an API server: the kubeconfig's, else that of the environment, as for kubectl.

The rules for the environment are Go's (golang.org/x/net/http/httpproxy), which httpx2 does not follow: it knows no
address ranges in ``NO_PROXY`` and would send what goes to this machine itself through the proxy.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

_SCHEMES = ("http", "https", "socks5", "socks5h")
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


@dataclass(frozen=True)
class Proxy:
    """A proxy.

    Attributes:
        url: without credentials.
        source: what names it: ``proxy-url``, ``HTTPS_PROXY``.
        user: name and password, if it asks for them.
    """

    url: str
    source: str
    user: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def scheme(self) -> str:
        """``http``, ``https``, ``socks5``."""
        return urlsplit(self.url).scheme


def proxy_for(server: str, proxy_url: str, environment: Mapping[str, str] = os.environ) -> Proxy | None:
    """The proxy for requests to a server; None where they go straight.

    Raises:
        ValueError: the proxy's address is not usable; its words name what is wrong, never the address.
    """
    if proxy_url:
        return _proxy(proxy_url, "proxy-url")
    source = "HTTPS_PROXY" if urlsplit(server).scheme == "https" else "HTTP_PROXY"
    named = environment.get(source) or environment.get(source.lower()) or ""
    no_proxy = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    if not named or not goes_through(server, no_proxy):
        return None
    return _proxy(named if "://" in named else f"http://{named}", source)


def goes_through(server: str, no_proxy: str) -> bool:
    """Whether a proxy of the environment is meant for a server: never for this machine, nor for what is excepted."""
    parts = urlsplit(server)
    host, port = (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme, 0)
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return False
    entries = [entry.strip().lower() for entry in no_proxy.split(",") if entry.strip()]
    return not any(_excepted(entry, host, port, address) for entry in entries)


def _excepted(entry: str, host: str, port: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    name, of_port = _split(entry)
    if of_port and of_port != str(port):
        return False
    known = _address(name)
    if known is not None or address is not None:
        return known == address
    name = name[1:] if name.startswith("*.") else name
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def _split(entry: str) -> tuple[str, str]:
    """Host and port; an IPv6 address has its port after brackets."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, rest.removeprefix(":")
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, port
    return entry, ""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _proxy(url: str, source: str) -> Proxy:
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"{source} is none of http, https, socks5")
    try:
        host, port = parts.hostname, parts.port or _PORTS[parts.scheme]
    except ValueError:
        host, port = None, 0
    if not host:
        raise ValueError(f"{source} has no usable host and port")
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    user = (unquote(parts.username or ""), unquote(parts.password or "")) if parts.username else None
    return Proxy(f"{parts.scheme}://{place}", source, user)

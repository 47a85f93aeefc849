"""The forms of origins, networks and prefixes, in settings and in requests.

The site's settings, the system checks, the sockets and the pages read them here. So a value that is
accepted at the start is also matched later. Each reader raises ValueError for an invalid value.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import NamedTuple

NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?", re.ASCII | re.IGNORECASE)
ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[^]]*\]|[^:]*)(:(?P<port>[0-9]{1,5}))?",
    re.ASCII | re.IGNORECASE,
)
PREFIX = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*")
DEFAULT_PORTS = {"http": 80, "https": 443}
ANY_SUBDOMAIN = "://*."

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Origin(NamedTuple):
    """An origin as browsers compare it: two texts mean the same if their Origins are equal."""

    scheme: str
    host: str  # in small letters, without a last dot
    port: int | None  # None: the scheme has no default, and none is given

    @classmethod
    def read(cls, given: str) -> Origin:
        """Read an origin as browsers do; raise ValueError for anything else."""
        found = ORIGIN.fullmatch(given)
        if found is None or not 0 < int(found["port"] or 1) <= 65_535:
            raise ValueError(f"{given!r} is not an origin")
        scheme = found["scheme"].lower()
        port = int(found["port"]) if found["port"] else DEFAULT_PORTS.get(scheme)
        return cls(scheme, host(found["host"]), port)

    def __str__(self) -> str:
        """Return the origin as browsers write it: without the default port."""
        usual = self.port == DEFAULT_PORTS.get(self.scheme)
        return f"{self.scheme}://{self.host}" + ("" if usual else f":{self.port}")


def origin(given: object, *, wildcard: bool = False) -> Origin:
    """Read an origin of a setting; raise ValueError unless it is in small letters.

    With `wildcard`, https://*.partner.example means every subdomain.
    """
    if not isinstance(given, str) or given != given.lower():
        raise ValueError(f"{given!r} is not an origin in small letters")
    if not (wildcard and ANY_SUBDOMAIN in given):
        return Origin.read(given)
    parent = Origin.read(given.replace(ANY_SUBDOMAIN, "://", 1))
    return parent._replace(host=f"*.{parent.host}")


def host(given: str) -> str:
    """Read a host name or an address, without a port; raise ValueError for anything else.

    Return it in small letters, without its last dot, an IPv6 address in its short form.
    """
    if given.startswith("[") and "%" not in given:
        return f"[{ipaddress.IPv6Address(given.strip('[]'))}]"
    if not NAME.fullmatch(given):
        raise ValueError(f"{given!r} is not a host")
    return given.lower().removesuffix(".")


def network(given: object) -> Network:
    """Read an IP address or a network; raise ValueError for anything else.

    An IPv4 address that is written as IPv6 (::ffff:10.0.0.1) is the IPv4 address.
    """
    if not isinstance(given, str) or "%" in given:  # a zone: fe80::1%eth0
        raise ValueError(f"{given!r} is not an address or a network")
    found = ipaddress.ip_network(given, strict=False)
    if isinstance(found, ipaddress.IPv6Network) and found.prefixlen >= 96:
        mapped = found.network_address.ipv4_mapped
        return ipaddress.IPv4Network((mapped, found.prefixlen - 96)) if mapped else found
    return found


def is_within(address: str, networks: Iterable[str]) -> bool:
    """Return whether a client's address is in one of these networks."""
    try:
        client = network(address.partition("%")[0]).network_address
    except ValueError:
        return False
    return any(client in network(each) for each in networks)


def prefix(given: object) -> str:
    """Return the prefix of a site's addresses, such as /market; raise ValueError for another form.

    It may be empty. It does not end with a slash.
    """
    if not isinstance(given, str) or not PREFIX.fullmatch(given):
        raise ValueError(f"{given!r} is not a prefix")
    return given

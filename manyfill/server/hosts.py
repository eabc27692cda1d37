"""Names that the server answers to: a web site whose name points here comes by that name, and gets nothing."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

ANY = "*"  # among a server's names: it answers to all


def answers_to(header: str, hosts: Sequence[str], *, by_address: bool) -> bool:
    """Whether a Host header is one of ours; `by_address`: any numeric address is."""
    name = name_of(header)
    return ANY in hosts or name in hosts or (by_address and _is_address(name))


def name_of(header: str) -> str:
    """The name in a Host header, without port and brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


def network_of(host: str) -> str:
    """Whose address it is counted as: itself, and of IPv6 the network that one customer has."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else host


def is_among(host: str, addresses: str | None) -> bool:
    """Whether an address is one of these, as `--trust-proxy` takes them: addresses and networks by commas, or `*`."""
    for each in (addresses or "").split(","):
        if each.strip() in ("*", host):
            return True
        try:
            if ipaddress.ip_address(host) in ipaddress.ip_network(each.strip()):
                return True
        except ValueError:
            continue
    return False


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

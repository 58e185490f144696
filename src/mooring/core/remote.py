"""Which addresses a declared URL may lead to.

A name is resolved, and every address that it has is looked at here before one is connected
to. Link-local addresses hold the metadata endpoints of clouds, which hand out credentials to
whoever asks; they are never reached, nor are those that name no single host.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

METADATA = tuple(
    map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"))
)
"""Metadata endpoints that are not link-local: Alibaba, Azure, Oracle, and AWS over IPv6."""
NAT64 = ip_network("64:ff9b::/96")


def refusal(address: str) -> str | None:
    """Why this IP address is never connected to for a remote server; None where it may be.

    Private and loopback addresses may be. IPv6 forms that carry an IPv4 address (mapped, 6to4,
    Teredo, NAT64) are judged by what they carry as well.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return f"{address!r} is not an IP address"
    for inner in (found, *_carried(found)):
        if why := _refusal(inner):
            return f"{address} is {why}"
    return None


def _refusal(address: IPv4Address | IPv6Address) -> str | None:
    if address.is_link_local:
        return "a link-local address, where clouds keep credentials"
    if address in METADATA:
        return "a metadata endpoint, where clouds keep credentials"
    if address.is_unspecified or address in ip_network("0.0.0.0/8"):
        return "an unspecified address"
    if address.is_multicast or address == ip_address("255.255.255.255"):
        return "a multicast or broadcast address"
    return None


def _carried(address: IPv4Address | IPv6Address) -> tuple[IPv4Address, ...]:
    """IPv4 addresses inside an IPv6 one."""
    if isinstance(address, IPv4Address):
        return ()
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in NAT64:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return tuple(inner for inner in found if inner is not None)

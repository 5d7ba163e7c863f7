"""Which addresses nobody may connect to, whatever the policy."""

import ipaddress
from collections.abc import Iterable

type Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Private, loopback, link-local with the metadata address, shared (CGNAT), special (192.0.0.0/24), relays of 6to4, benchmarks (where the networks of
# the sandboxes are), multicast, reserved and broadcast. Networks for documentation stay: nobody is there, or a test.
_IPV4 = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/3",
]
# The part of IPv6 that is in use. What is outside is refused: ::1, fc00::/7, fe80::/10, ff00::/8, and 64:ff9b::/96, which leads to IPv4 addresses.
_GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")
# Special within it: Teredo and others, documentation, 6to4, documentation again.
_SPECIAL_IPV6 = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"]
# squid holds an IPv4 address as this one of IPv6, however it was spelled, so the rules for IPv4 apply to it. Were this refused, all of IPv4 would be.
_MAPPED_IPV4 = ipaddress.IPv6Network("::ffff:0:0/96")


def refused_networks(more: Iterable[Network]) -> list[Network]:
    """All that are refused, none within another: squid keeps only one of two that overlap."""
    wanted = list(more)
    ipv4 = [ipaddress.IPv4Network(text) for text in _IPV4]
    ipv4 += [network for network in wanted if isinstance(network, ipaddress.IPv4Network)]
    ipv6 = [ipaddress.IPv6Network(text) for text in _SPECIAL_IPV6] + _outside_ipv6()
    for network in wanted:
        if isinstance(network, ipaddress.IPv6Network):
            if network.overlaps(_MAPPED_IPV4):
                raise ValueError("a network of IPv4 must be written as such")
            ipv6.append(network)
    return [*ipaddress.collapse_addresses(ipv4), *ipaddress.collapse_addresses(ipv6)]


def _outside_ipv6() -> list[ipaddress.IPv6Network]:
    everything = ipaddress.IPv6Network("::/0")
    return [
        part
        for network in everything.address_exclude(_GLOBAL_IPV6)
        for part in (network.address_exclude(_MAPPED_IPV4) if _MAPPED_IPV4.subnet_of(network) else [network])
    ]

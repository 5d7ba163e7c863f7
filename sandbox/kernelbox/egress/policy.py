"""What a sandbox may reach, as the server says it."""

import ipaddress
import json
from dataclasses import dataclass
from typing import Any, Literal

from .. import limits
from .host_names import host_rule
from .refused_networks import Network, refused_networks


class PolicyError(ValueError):
    """No policy, and why."""


@dataclass(frozen=True)
class Policy:
    mode: Literal["allowlist", "open"]
    # Names, and *. and a name for all below it.
    hosts: tuple[str, ...]
    # Networks that are refused, none within another.
    refused: tuple[Network, ...]
    address: ipaddress.IPv4Address
    port: int

    @property
    def listen(self) -> str:
        return f"{self.address}:{self.port}"


def parse_policy(line: bytes) -> Policy:
    """The server has checked it; it is checked again, since each word of it becomes a word of squid's configuration."""
    try:
        value = json.loads(line)
        if not isinstance(value, dict) or set(value) != {"mode", "hosts", "denied", "listen"}:
            raise ValueError("a policy has mode, hosts, denied and listen")
        mode = value["mode"]
        if mode not in ("allowlist", "open"):
            raise ValueError("the mode must be allowlist or open")
        hosts = tuple(sorted({host_rule(text) for text in _list(value["hosts"])}))
        denied = [_network(text) for text in _list(value["denied"])]
        return Policy(mode, hosts, tuple(refused_networks(denied)), *_listen(value["listen"]))
    except (ValueError, RecursionError) as error:
        raise PolicyError(str(error)) from None


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > limits.EGRESS_ENTRIES:
        raise ValueError(f"hosts and denied are lists of at most {limits.EGRESS_ENTRIES}")
    return value


def _network(text: Any) -> Network:
    # Also not a number, which ipaddress takes for an address.
    if not isinstance(text, str):
        raise ValueError("what is denied must be an address or a network")
    network = ipaddress.ip_network(text)
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.scope_id is not None:
        raise ValueError("an address has no zone")
    return network


def _listen(text: Any) -> tuple[ipaddress.IPv4Address, int]:
    address, colon, port = text.partition(":") if isinstance(text, str) else ("", "", "")
    if not (colon and port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65_536):
        raise ValueError("listen must be an IPv4 address and a port")
    return ipaddress.IPv4Address(address), int(port)

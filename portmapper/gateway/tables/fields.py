"""What the columns of all route tables have in common. Each raises ValueError for text that makes no sense."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal, TypeAlias

from portmapper.gateway.tables.route import Address, Network

Version: TypeAlias = Literal[4, 6]

_NAME = 15  # bytes of an interface's name: IFNAMSIZ is 16 on Linux, macOS and the BSDs
_SEPARATOR = frozenset("/ ")
_METRICS = 2**32
_EVERYTHING: dict[Version, Network] = {4: IPv4Network("0.0.0.0/0"), 6: IPv6Network("::/0")}


def interface_name(text: str) -> str:
    """Return the name of an interface, which has to be one that a system can have."""
    # Linux prints "*" for routes that lead nowhere, net-tools "-": no interface has these names.
    if text in {"", "*", "-"} or len(text.encode()) > _NAME or not text.isprintable() or _SEPARATOR & {*text}:
        raise ValueError("no name of an interface")
    return text


def metric(text: str, base: int = 10) -> int:
    """Return a metric; some programs print those above 2**31 as negative numbers."""
    return int(text, base) % _METRICS


def next_hop(address: Address, interface: str) -> Address | None:
    """Return the address with its zone, or None if it names nobody."""
    number = int(address)
    if not number:
        return None  # 0.0.0.0 and ::, as Windows with some strategies (bitcoin's netif.cpp knows them)
    if not address.is_link_local or isinstance(address, IPv4Address):
        return address
    if not number % 2**64:
        return None  # fe80::%utun0, the default route of macOS's idle tunnels: the address of the network, of no host
    return zoned(address, interface)


def zoned(address: Address, interface: str) -> Address:
    """Return a link-local IPv6 address with its zone: its own, or the interface; any other address as it is."""
    if isinstance(address, IPv4Address) or not address.is_link_local:
        return address
    zone = interface_name(_longer(address.scope_id or "", interface))
    return IPv6Address(f"{IPv6Address(int(address))}%{zone}")


def prefix_length(mask: int) -> int:
    """Return the length of an IPv4 netmask; its ones have to come first."""
    zeros = mask ^ 0xFFFFFFFF
    if zeros & (zeros + 1):
        raise ValueError("no netmask")
    return 32 - zeros.bit_length()


def network_of(text: str, version: Version) -> Network:
    """Return the network that a destination names, with or without zone; "default" is all of `version`."""
    if text == "default":
        return everything(version)
    address, slash, length = text.replace("[", "").replace("]", "").partition("/")
    found = ip_address(address.partition("%")[0])  # the BSDs print fe80::%em0/64
    prefixlen = int(length) if slash else found.max_prefixlen
    if isinstance(found, IPv4Address):
        return IPv4Network((int(found), prefixlen))
    return IPv6Network((int(found), prefixlen))


def everything(version: Version) -> Network:
    """Return the network of the default route."""
    return _EVERYTHING[version]


def _longer(zone: str, interface: str) -> str:
    # One of the two may have been cut off to fit its column.
    return interface if interface.startswith(zone) else zone

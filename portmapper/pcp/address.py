"""Addresses as PCP writes them: always 16 bytes (RFC 6887 section 5). No I/O."""

from ipaddress import IPv4Address, IPv6Address

from portmapper.model import IPAddress

_MAPPED_PREFIX = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96


def encode_address(address: IPAddress) -> bytes:
    """Return the 16 bytes of an address; IPv4 as ::ffff:a.b.c.d."""
    return _MAPPED_PREFIX + address.packed if isinstance(address, IPv4Address) else address.packed


def decode_address(data: bytes) -> IPAddress:
    """Return the address in 16 bytes; all first 96 bits decide about IPv4."""
    return IPv4Address(data[12:]) if data[:12] == _MAPPED_PREFIX else IPv6Address(data)


def unspecified_like(address: IPAddress) -> IPAddress:
    """Return the all-zeros address of the same family: "no preference" (section 11.1)."""
    return IPv4Address(0) if isinstance(address, IPv4Address) else IPv6Address(0)

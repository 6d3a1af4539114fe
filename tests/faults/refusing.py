"""The datagram that refuses a request for a mapping."""

from portmapper.pcp import wire as pcp


def asks_to_map(data: bytes) -> bool:
    """Whether `data` asks for a mapping or its renewal, rather than for its end or for something else."""
    lifetime = data[4:8] if data[0] == pcp.VERSION else data[8:12]
    return data[1] != 0 and any(lifetime)


def refusal_of(data: bytes, result: int, *, lifetime: int, epoch: int) -> bytes:
    """Return the answer with `result`; by PCP it holds for `lifetime`, by NAT-PMP the rest is that of the request."""
    opcode, uptime = 0x80 | data[1], epoch.to_bytes(4, "big")
    if data[0] != pcp.VERSION:
        return bytes([data[0], opcode]) + result.to_bytes(2, "big") + uptime + data[4:]
    return bytes([data[0], opcode, 0, result]) + lifetime.to_bytes(4, "big") + uptime + bytes(12) + data[24:]

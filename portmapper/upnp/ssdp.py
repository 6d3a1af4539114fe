"""Search for a device: M-SEARCH and its answers (UPnP Device Architecture 2.0, clause 1). No I/O."""

from dataclasses import dataclass

from portmapper import limits
from portmapper.errors import ProtocolError

# Best first; a device answers for each of its types, a version 2 device also for version 1.
TARGETS = (
    "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
)
_ROOT_DEVICE = "upnp:rootdevice"
_MAX_HEADERS = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """Where a device keeps its description, and what it says it is."""

    location: str
    target: str
    usn: str
    server: str


def encode_search(target: str, *, host: str, max_wait: int | None) -> bytes:
    """Return an M-SEARCH. A multicast one has `max_wait` (MX, seconds), a unicast one has none (clause 1.3.2)."""
    lines = ["M-SEARCH * HTTP/1.1", f"HOST: {host}", 'MAN: "ssdp:discover"']
    if max_wait is not None:
        lines.append(f"MX: {max_wait}")
    lines.append(f"ST: {target}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def decode_search(data: bytes) -> str:
    """Return the target of an M-SEARCH. Raises ProtocolError, and nothing else, whatever `data` holds."""
    start, headers = _decode_head(data)
    if not start.startswith("M-SEARCH ") or headers.get("man") != '"ssdp:discover"' or not headers.get("st"):
        raise ProtocolError("not an M-SEARCH")
    return headers["st"]


def encode_answer(answer: Answer) -> bytes:
    """Return the answer to an M-SEARCH (clause 1.3.3)."""
    lines = [
        "HTTP/1.1 200 OK",
        "CACHE-CONTROL: max-age=1800",
        "EXT:",
        f"LOCATION: {answer.location}",
        f"SERVER: {answer.server}",
        f"ST: {answer.target}",
        f"USN: {answer.usn}",
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def decode_answer(data: bytes) -> Answer:
    """Return the answer in `data`. Raises ProtocolError, and nothing else, whatever `data` holds."""
    start, headers = _decode_head(data)
    words = start.split()
    if len(words) < 2 or not words[0].startswith("HTTP/") or words[1] != "200":  # noqa: PLR2004
        raise ProtocolError("not an answer to a search")
    if not headers.get("location") or not headers.get("st"):
        raise ProtocolError("an answer without LOCATION or ST")
    return Answer(headers["location"], headers["st"], headers.get("usn", ""), headers.get("server", ""))


def is_gateway(target: str) -> bool:
    """Whether a search target belongs to an Internet gateway, of whatever version."""
    kinds = (known.rpartition(":")[0] for known in TARGETS)
    return target == _ROOT_DEVICE or target.rpartition(":")[0] in set(kinds)


def _decode_head(data: bytes) -> tuple[str, dict[str, str]]:
    if len(data) > limits.SSDP_DATAGRAM:
        raise ProtocolError("longer than any SSDP message")
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ProtocolError("not text") from error
    if not lines or len(lines) > _MAX_HEADERS:
        raise ProtocolError("not an SSDP message")
    return lines[0], _decode_headers(lines[1:])


def _decode_headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        if not line:
            break  # a body may be ignored (clause 1.1)
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    return headers

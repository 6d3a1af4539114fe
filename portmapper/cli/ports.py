"""PORT[:EXTERNAL][/tcp|/udp] on the command line."""

from portmapper.errors import InvalidRequest
from portmapper.model import MappingRequest, Protocol
from portmapper.text import safe_text

_DIGITS = 5


def parse_port(text: str, *, lifetime: int, exact: bool = False) -> MappingRequest:
    """Return the request that `text` stands for. Raises InvalidRequest."""
    ports, slash, protocol = text.partition("/")
    internal, colon, external = ports.partition(":")
    return MappingRequest(
        protocol=Protocol.parse(protocol) if slash else Protocol.TCP,
        internal_port=_number(internal, text),
        external_port=_number(external, text) if colon else 0,
        lifetime=lifetime,
        exact=exact,
    )


def _number(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS):
        raise InvalidRequest(f"{safe_text(text)!r} is not PORT[:EXTERNAL][/tcp|/udp]")
    return int(digits)

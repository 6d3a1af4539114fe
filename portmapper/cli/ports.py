"""PORT[:EXTERNAL][/PROTOCOL] on the command line."""

from typing import Any

from portmapper.errors import InvalidRequest
from portmapper.model import MappingRequest, Protocol
from portmapper.text import safe_text

_ALL = "all"
_DIGITS = 5


def parse_port(text: str, **options: Any) -> MappingRequest:
    """Return the request that `text` and the other fields of a request stand for. Raises InvalidRequest."""
    ports, slash, name = text.partition("/")
    internal, colon, external = ports.partition(":")
    protocol = Protocol.parse(name) if slash else Protocol.TCP
    return MappingRequest(
        protocol=protocol,
        internal_port=0 if internal == _ALL else _number(internal, text),
        external_port=_number(external, text) if colon else 0,
        all_ports=internal == _ALL and protocol.has_ports,
        **options,
    )


def _number(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS):
        raise InvalidRequest(f"{safe_text(text)!r} is not PORT[:EXTERNAL][/PROTOCOL]")
    return int(digits)

"""One SOAP request as an action of the simulated device sees it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from portmapper import limits
from portmapper.model import IPAddress

INVALID_ACTION, INVALID_ARGS, OUT_OF_RANGE, NOT_IMPLEMENTED = 401, 402, 601, 602
_TRUTH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}  # UP-59


class Refused(Exception):
    """The device says no, with an error code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of a request, who sends it and when. A missing or malformed argument is refused with 402."""

    arguments: Mapping[str, str]
    sender: IPAddress
    now: float

    def text(self, name: str) -> str:
        """Return an argument as it is."""
        if name not in self.arguments:
            raise Refused(INVALID_ARGS)
        return self.arguments[name]

    def number(self, name: str, most: int = limits.LAST_PORT) -> int:
        """Return a number from 0 to `most`."""
        digits = self.text(name)
        if not (digits.isascii() and digits.isdigit() and int(digits) <= most):
            raise Refused(INVALID_ARGS)
        return int(digits)

    def flag(self, name: str) -> bool:
        """Return a boolean in any of its five spellings."""
        word = self.text(name)
        if word not in _TRUTH:
            raise Refused(INVALID_ARGS)
        return _TRUTH[word]

    def ipv4(self, name: str) -> IPv4Address:
        """Return an IPv4 address."""
        address = _address(self.text(name))
        if not isinstance(address, IPv4Address):
            raise Refused(INVALID_ARGS)
        return address

    def ipv6(self, name: str) -> IPv6Address:
        """Return an IPv6 address."""
        address = _address(self.text(name))
        if not isinstance(address, IPv6Address):
            raise Refused(INVALID_ARGS)
        return address


Handler = Callable[[Call], dict[str, str]]
"""Carries an action out and returns its OUT arguments, or raises Refused."""


def first_code(*rules: tuple[bool, int | None]) -> int | None:
    """Return the code of the first rule that applies and has one."""
    return next((code for applies, code in rules if applies and code is not None), None)


def _address(text: str) -> IPAddress:
    try:
        return ip_address(text)
    except ValueError:
        raise Refused(INVALID_ARGS) from None

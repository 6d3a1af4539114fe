"""Which options a request may carry (RFC 6887 sections 7.3 and 13, RFC 7753 section 4.1, RFC 7843). No I/O.

Each function raises InvalidRequest.
"""

from collections import Counter
from collections.abc import Iterable

from portmapper.errors import InvalidRequest
from portmapper.pcp.options import Description, Filter, Option, PortSet, PreferFailure, ThirdParty

_THIRD_PARTY_ID = 13
_REPEATABLE = {Filter.code}
_NAMES = {
    ThirdParty.code: "THIRD_PARTY",
    PreferFailure.code: "PREFER_FAILURE",
    Filter.code: "FILTER",
    _THIRD_PARTY_ID: "THIRD_PARTY_ID",
    Description.code: "DESCRIPTION",
    PortSet.code: "PORT_SET",
}
_NOT_IN_ANNOUNCE = frozenset(_NAMES)
_NOT_IN_PEER = frozenset({PreferFailure.code, Filter.code, PortSet.code})
_NOT_IN_DELETE = frozenset({PreferFailure.code, Filter.code})


def check_announce_options(options: Iterable[Option]) -> None:
    """Refuse what does not go with ANNOUNCE."""
    _check(options, _NOT_IN_ANNOUNCE, "ANNOUNCE")


def check_peer_options(options: Iterable[Option]) -> None:
    """Refuse what does not go with PEER."""
    _check(options, _NOT_IN_PEER, "PEER")


def check_map_options(options: Iterable[Option], *, internal_port: int, external_port: int, lifetime: int) -> None:
    """Refuse what does not go with a MAP request of these ports and this lifetime."""
    options = tuple(options)
    codes = _check(options, frozenset() if lifetime else _NOT_IN_DELETE, "a delete")
    if PreferFailure.code in codes and not external_port:
        raise InvalidRequest("PREFER_FAILURE needs the external port to prefer")
    for option in options:
        if isinstance(option, PortSet):
            _check_port_set(option, internal_port, codes)


def _check_port_set(option: PortSet, internal_port: int, codes: Counter[int]) -> None:
    if option.first_port != internal_port:
        raise InvalidRequest(f"PORT_SET from {option.first_port} on does not begin at internal port {internal_port}")
    if PreferFailure.code in codes:
        raise InvalidRequest("PORT_SET does not go with PREFER_FAILURE")


def _check(options: Iterable[Option], forbidden: frozenset[int], what: str) -> Counter[int]:
    codes = Counter(option.code for option in options)
    for code, times in codes.items():
        name = _NAMES.get(code)
        if code in forbidden:
            raise InvalidRequest(f"{name} does not go with {what}")
        if times > 1 and name is not None and code not in _REPEATABLE:
            raise InvalidRequest(f"{name} goes with a request only once")
    if _THIRD_PARTY_ID in codes and ThirdParty.code not in codes:
        raise InvalidRequest("THIRD_PARTY_ID goes only with THIRD_PARTY")
    return codes

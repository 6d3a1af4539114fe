"""What a PCP request may carry: the others cannot even be made."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from portmapper.errors import InvalidRequest
from portmapper.pcp.options import Description, Filter, Option, PortSet, PreferFailure, ThirdParty, UnknownOption
from portmapper.pcp.wire import AnnounceRequest, MapRequest, PeerRequest, Request

CLIENT = IPv4Address("192.168.1.10")
MAPPING: dict[str, Any] = {
    "client": CLIENT,
    "lifetime": 3600,
    "nonce": bytes(12),
    "protocol": 6,
    "internal_port": 8080,
    "external_port": 8080,
    "external_address": IPv4Address(0),
}
REMOTE: dict[str, Any] = {"remote_port": 443, "remote_address": IPv4Address("198.51.100.20")}

THIRD_PARTY = ThirdParty(IPv4Address("192.168.1.20"))
FILTER = Filter.of(IPv4Network("198.51.100.0/24"))
THIRD_PARTY_ID = UnknownOption(13, b"subscriber")


def a_map(*options: Option, **changes: Any) -> MapRequest:
    return MapRequest(**{**MAPPING, **changes}, options=options)


def a_delete(*options: Option) -> MapRequest:
    return a_map(*options, lifetime=0)


def a_peer(*options: Option, **changes: Any) -> PeerRequest:
    return PeerRequest(**{**MAPPING, **REMOTE, **changes}, options=options)


def an_announce(*options: Option) -> AnnounceRequest:
    return AnnounceRequest(client=CLIENT, options=options)


Make = Callable[..., Request]


@pytest.mark.conforms("PC-33")
@pytest.mark.parametrize(
    ("make", "options"),
    [(a_map, [THIRD_PARTY, PreferFailure(), FILTER, Description("x"), PortSet(2, 8080)]),
     pytest.param(a_delete, [THIRD_PARTY, Description("x"), PortSet(2, 8080)], marks=pytest.mark.conforms("PC-97")),
     (a_peer, [THIRD_PARTY, Description("x")]), (an_announce, [])],
)  # fmt: skip
def test_each_opcode_carries_its_own_options_and_no_others(make: Make, options: list[Option]) -> None:
    """Of those that are known here."""
    every: list[Option] = [THIRD_PARTY, PreferFailure(), FILTER, Description("x"), PortSet(2, 8080)]
    for option in every:
        if option in options:
            assert make(option).options == (option,)
        else:
            with pytest.raises(InvalidRequest):
                make(option)
            with pytest.raises(InvalidRequest):
                make(UnknownOption(option.code, option.data))


@pytest.mark.conforms("PC-125")
def test_peer_never_prefers_failure() -> None:
    with pytest.raises(InvalidRequest, match="PREFER_FAILURE does not go with PEER"):
        a_peer(PreferFailure())


@pytest.mark.conforms("PC-113")
def test_filters_go_with_map_alone_and_there_may_be_several() -> None:
    assert len(a_map(FILTER, FILTER, FILTER).options) == 3
    with pytest.raises(InvalidRequest, match="FILTER does not go with PEER"):
        a_peer(FILTER)


@pytest.mark.conforms("PC-129")
def test_a_port_set_goes_with_map_alone() -> None:
    with pytest.raises(InvalidRequest, match="PORT_SET does not go with PEER"):
        a_peer(PortSet(2, 8080))


@pytest.mark.conforms("PC-34")
@pytest.mark.parametrize(
    "options",
    [[THIRD_PARTY, THIRD_PARTY], [THIRD_PARTY, ThirdParty(IPv4Address("192.168.1.21"))],
     [PreferFailure(), PreferFailure()], [Description("x"), Description("y")],
     pytest.param([PortSet(2, 8080), PortSet(2, 8080)], marks=pytest.mark.conforms("PC-129")),
     [THIRD_PARTY, THIRD_PARTY_ID, THIRD_PARTY_ID]],
)  # fmt: skip
def test_what_goes_once_is_not_repeated(options: list[Option]) -> None:
    with pytest.raises(InvalidRequest, match="only once"):
        a_map(*options)
    with pytest.raises(InvalidRequest):
        a_peer(*options)


@pytest.mark.conforms("PC-122")
def test_prefer_failure_needs_a_port_to_prefer() -> None:
    assert a_map(PreferFailure(), external_port=1).options == (PreferFailure(),)
    with pytest.raises(InvalidRequest, match="needs the external port"):
        a_map(PreferFailure(), external_port=0)


@pytest.mark.conforms("PC-130")
def test_a_port_set_has_1_to_65535_ports_and_begins_at_the_internal_port() -> None:
    for size in (1, 65535):
        assert a_map(PortSet(size, 8080)).options == (PortSet(size, 8080),)
    for size in (0, 65536):
        with pytest.raises(InvalidRequest):
            PortSet(size, 8080)
    for first in (8079, 8081, 0):
        with pytest.raises(InvalidRequest, match="does not begin at internal port"):
            a_map(PortSet(2, first))


@pytest.mark.conforms("PC-131")
@pytest.mark.parametrize("turned", [False, True])
def test_a_port_set_does_not_go_with_prefer_failure(turned: bool) -> None:
    options: list[Option] = [PortSet(2, 8080), PreferFailure()]
    with pytest.raises(InvalidRequest, match="PORT_SET does not go with PREFER_FAILURE"):
        a_map(*(options[::-1] if turned else options))


@pytest.mark.conforms("PC-131")
def test_parity_is_the_last_bit_of_a_port_set() -> None:
    assert [PortSet(2, 8080, parity).data[4] for parity in (False, True)] == [0, 1]


@pytest.mark.conforms("PC-134")
@pytest.mark.parametrize("make", [a_map, a_delete, a_peer, an_announce])
def test_the_id_of_a_third_party_does_not_go_alone(make: Make) -> None:
    with pytest.raises(InvalidRequest):
        make(THIRD_PARTY_ID)


@pytest.mark.conforms("PC-134")
@pytest.mark.parametrize("make", [a_map, a_delete, a_peer])
def test_the_id_of_a_third_party_goes_with_it(make: Make) -> None:
    assert make(THIRD_PARTY_ID, THIRD_PARTY).options == (THIRD_PARTY_ID, THIRD_PARTY)


@pytest.mark.conforms("PC-134")
def test_the_id_of_a_third_party_has_at_most_1016_bytes() -> None:
    """Together with it that makes the longest message there is."""
    assert len(a_map(THIRD_PARTY, UnknownOption(13, bytes(1016))).encode()) == 1100
    with pytest.raises(InvalidRequest):
        a_map(THIRD_PARTY, UnknownOption(13, bytes(1017))).encode()


@pytest.mark.conforms("PC-135")
@pytest.mark.parametrize("field", ["protocol", "internal_port", "remote_port"])
def test_peer_is_for_one_protocol_and_two_ports(field: str) -> None:
    with pytest.raises(InvalidRequest):
        a_peer(**{field: 0})


@pytest.mark.conforms("PC-141")
@pytest.mark.parametrize(("protocol", "port"), [(0, 0), (6, 0), (47, 0), (6, 8080), (255, 65535)])
def test_all_ports_of_one_protocol_or_of_all_can_be_mapped(protocol: int, port: int) -> None:
    assert a_map(protocol=protocol, internal_port=port).encode()[36:42] == bytes(
        [protocol, 0, 0, 0, port >> 8, port & 255]
    )


@pytest.mark.conforms("PC-141")
@pytest.mark.parametrize("lifetime", [3600, 0])
def test_one_port_of_all_protocols_is_none(lifetime: int) -> None:
    with pytest.raises(InvalidRequest, match="all protocols go only with all ports"):
        a_map(protocol=0, lifetime=lifetime)


# --- Values that no field has


@pytest.mark.conforms("PC-97")
@pytest.mark.parametrize("option", [PreferFailure(), FILTER, Filter(IPv4Address(0), 0)])
def test_a_delete_with_a_filter_or_prefer_failure_cannot_be_made(option: Option) -> None:
    with pytest.raises(InvalidRequest, match="does not go with a delete"):
        a_delete(option)


@pytest.mark.parametrize("make", [a_map, a_peer])
@pytest.mark.parametrize(
    "changes",
    [{"lifetime": -1}, {"lifetime": 2**32}, {"protocol": -1}, {"protocol": 256}, {"internal_port": -1},
     {"internal_port": 65536}, {"external_port": -1}, {"external_port": 65536}, {"nonce": bytes(11)},
     {"nonce": bytes(13)}],
)  # fmt: skip
def test_a_request_with_values_out_of_range_cannot_be_made(make: Make, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        make(**changes)


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_a_remote_port_out_of_range_is_refused(port: int) -> None:
    with pytest.raises(InvalidRequest):
        a_peer(remote_port=port)

"""PCP's messages, byte for byte (RFC 6887), and what is refused."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper.errors import InvalidRequest, ProtocolError
from portmapper.model import IPAddress
from portmapper.pcp.address import decode_address, encode_address, unspecified_like
from portmapper.pcp.options import (
    Description,
    Filter,
    Option,
    PortSet,
    PreferFailure,
    ThirdParty,
    UnknownOption,
    is_mandatory,
)
from portmapper.pcp.results import Result, refusal
from portmapper.pcp.wire import (
    AnnounceRequest,
    AnnounceResponse,
    MapRequest,
    MapResponse,
    PeerRequest,
    PeerResponse,
    Request,
    Response,
    UnsupportedVersionResponse,
    decode_request,
    decode_response,
)
from tests.fuzz import examples
from tests.wire import vectors as tv

TCP, UDP = 6, 17
NONCE = bytes(range(1, 13))
NONCE_6 = bytes.fromhex("112233445566778899aabbcc")
CLIENT = IPv4Address("192.168.1.10")
CLIENT_6 = IPv6Address("2001:db8::10")
EXTERNAL = IPv4Address("203.0.113.7")
NO_IPV4 = IPv4Address(0)
NO_IPV6 = IPv6Address(0)

THIRD_PARTY = ThirdParty(IPv4Address("192.168.1.20"))
PREFER_FAILURE = PreferFailure()
FILTERS = (
    Filter(NO_IPV4, prefix=0),
    Filter.of(IPv4Network("198.51.100.0/24")),
    Filter.of(IPv4Network("198.51.101.5/32"), 443),
)


def map_request(
    protocol: int, port: int, lifetime: int, external: int = 0, address: IPAddress = NO_IPV4, *options: Option
) -> MapRequest:
    return MapRequest(
        client=CLIENT,
        lifetime=lifetime,
        nonce=NONCE,
        protocol=protocol,
        internal_port=port,
        external_port=external,
        external_address=address,
        options=options,
    )


def map_response(
    request: MapRequest, epoch: int, *, external: int, address: IPAddress, result: int = 0, lifetime: int | None = None
) -> MapResponse:
    return MapResponse(
        result=result,
        lifetime=request.lifetime if lifetime is None else lifetime,
        epoch=epoch,
        nonce=request.nonce,
        protocol=request.protocol,
        internal_port=request.internal_port,
        external_port=external,
        external_address=address,
        options=request.options,
    )


def refused(request: MapRequest, epoch: int, result: Result, lifetime: int) -> MapResponse:
    external, address = request.external_port, request.external_address
    return map_response(request, epoch, external=external, address=address, result=result, lifetime=lifetime)


PLAIN = map_request(TCP, 8080, 3600)
DELETE = map_request(TCP, 8080, 0)
FIREWALL = MapRequest(
    client=CLIENT_6,
    lifetime=3600,
    nonce=NONCE_6,
    protocol=UDP,
    internal_port=51820,
    external_port=0,
    external_address=NO_IPV6,
)
FOR_ANOTHER = map_request(UDP, 5060, 600, 0, NO_IPV4, THIRD_PARTY)
THIS_OR_NOTHING = map_request(TCP, 8080, 3600, 8080, EXTERNAL, PREFER_FAILURE)
FILTERED = map_request(TCP, 8443, 3600, 0, NO_IPV4, *FILTERS)
DESCRIBED = map_request(TCP, 22, 3600, 0, NO_IPV4, Description("SSH box"))
PORT_SET = map_request(UDP, 50000, 3600, 0, NO_IPV4, PortSet(100, 50000))

OUTBOUND = PeerRequest(
    client=CLIENT,
    lifetime=600,
    nonce=NONCE,
    protocol=TCP,
    internal_port=54321,
    external_port=0,
    external_address=NO_IPV4,
    remote_port=443,
    remote_address=IPv4Address("198.51.100.20"),
)

REQUESTS: dict[str, tuple[bytes, Request]] = {
    "TV-06": (tv.TV06_REQ, AnnounceRequest(client=CLIENT)),
    "TV-09": (tv.TV09_REQ, AnnounceRequest(client=CLIENT)),
    "TV-10": (tv.TV10_REQ, PLAIN),
    "TV-11 renew": (tv.TV11_RENEW, replace(PLAIN, external_port=40000, external_address=EXTERNAL)),
    "TV-11 delete": (tv.TV11_DELETE, DELETE),
    "TV-12": (tv.TV12_REQ, FIREWALL),
    "TV-13": (tv.TV13_REQ, FOR_ANOTHER),
    "TV-14": (tv.TV14_REQ, THIS_OR_NOTHING),
    "TV-15": (tv.TV15_REQ, FILTERED),
    "TV-16": (tv.TV16_REQ, DESCRIBED),
    "TV-17": (tv.TV17_REQ, PORT_SET),
    "TV-18": (tv.TV18_REQ, OUTBOUND),
}

GRANTED = map_response(PLAIN, 86400, external=40000, address=EXTERNAL)
OUTBOUND_GRANTED = PeerResponse(
    result=0,
    lifetime=600,
    epoch=86417,
    nonce=NONCE,
    protocol=TCP,
    internal_port=54321,
    external_port=54321,
    external_address=EXTERNAL,
    remote_port=443,
    remote_address=IPv4Address("198.51.100.20"),
)
RESPONSES: dict[str, tuple[bytes, AnnounceResponse | MapResponse | PeerResponse]] = {
    "TV-09": (tv.TV09_RESP, AnnounceResponse(result=0, lifetime=0, epoch=86400)),
    "TV-09 restart": (tv.TV09_RESTART, AnnounceResponse(result=0, lifetime=0, epoch=2)),
    "TV-10": (tv.TV10_RESP, GRANTED),
    "TV-11 delete": (tv.TV11_DELETE_RESP, map_response(DELETE, 86406, external=0, address=NO_IPV4)),
    "TV-12": (tv.TV12_RESP, map_response(FIREWALL, 3600, external=51820, address=CLIENT_6)),
    "TV-13": (tv.TV13_RESP, map_response(FOR_ANOTHER, 86416, external=61000, address=EXTERNAL)),
    "TV-13 unsupported option": (
        tv.TV13_RESP_UNSUPP_OPTION,
        refused(FOR_ANOTHER, 86416, Result.UNSUPP_OPTION, 1800),
    ),
    "TV-14": (tv.TV14_RESP, refused(THIS_OR_NOTHING, 86416, Result.CANNOT_PROVIDE_EXTERNAL, 30)),
    "TV-15": (tv.TV15_RESP, refused(FILTERED, 86417, Result.EXCESSIVE_REMOTE_PEERS, 1800)),
    "TV-16": (
        tv.TV16_RESP,
        replace(
            map_response(DESCRIBED, 86417, external=30022, address=EXTERNAL),
            options=(Description("SSH"),),
        ),
    ),
    "TV-17": (
        tv.TV17_RESP,
        replace(
            map_response(PORT_SET, 86417, external=37056, address=IPv4Address("192.0.2.3")),
            options=(PortSet(32, 50000),),
        ),
    ),
    "TV-18": (tv.TV18_RESP, OUTBOUND_GRANTED),
    "TV-19": (tv.TV19_MISMATCH, refused(PLAIN, 86418, Result.ADDRESS_MISMATCH, 1800)),
}

PACKETS = [data for data, _ in [*REQUESTS.values(), *RESPONSES.values()]]
PACKETS += [tv.TV06_RESP, tv.TV06_RESP_FIELD_VARIANT, tv.TV19_PCP_ONLY]


@pytest.mark.conforms("PC-03", "PC-04", "PC-06", "PC-07", "PC-08", "PC-10", "PC-11", "PC-12", "PC-13", "PC-25")
@pytest.mark.conforms("PC-27", "PC-79", "PC-113", "PC-115", "PC-122", "PC-126", "PC-129", "PC-148")
@pytest.mark.parametrize(("data", "request_"), REQUESTS.values(), ids=REQUESTS)
def test_request_vectors_both_ways(data: bytes, request_: Request) -> None:
    assert request_.encode() == data
    assert decode_request(data) == request_


@pytest.mark.conforms("PC-03", "PC-05", "PC-10", "PC-11", "PC-12", "PC-30")
@pytest.mark.parametrize(("data", "response"), RESPONSES.values(), ids=RESPONSES)
def test_response_vectors_both_ways(data: bytes, response: Response) -> None:
    assert response.encode() == data
    assert decode_response(data) == response


def option_ends(message: Request | AnnounceResponse | MapResponse | PeerResponse) -> dict[int, int]:
    """Return how many options are whole at each size at which the message may end."""
    sizes = {AnnounceRequest: 24, AnnounceResponse: 24, PeerRequest: 80, PeerResponse: 80}
    size = sizes.get(type(message), 60)
    ends = {size: 0}
    for count, option in enumerate(message.options, 1):
        size += 4 + len(option.data) + -len(option.data) % 4
        ends[size] = count
    return ends


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_cut_short_are_refused_unless_cut_between_options(name: str) -> None:
    data, whole = REQUESTS[name]
    ends = option_ends(whole)
    assert max(ends) == len(data)
    for size in range(len(data)):
        if size in ends:
            assert decode_request(data[:size]) == replace(whole, options=whole.options[: ends[size]])
        else:
            with pytest.raises(ProtocolError):
                decode_request(data[:size])


@pytest.mark.conforms("PC-32", "PC-36", "PC-39")
@pytest.mark.parametrize("name", RESPONSES)
def test_responses_cut_short_are_refused_unless_cut_between_options(name: str) -> None:
    data, whole = RESPONSES[name]
    ends = option_ends(whole)
    assert max(ends) == len(data)
    for size in range(len(data)):
        if size in ends:
            assert decode_response(data[:size]) == replace(whole, options=whole.options[: ends[size]])
        else:
            with pytest.raises(ProtocolError):
                decode_response(data[:size])


def overwritten(data: bytes, *ranges: tuple[int, int]) -> bytes:
    for start, end in ranges:
        data = data[:start] + b"\xff" * (end - start) + data[end:]
    return data


@pytest.mark.conforms("PC-06")
def test_reserved_bytes_of_a_response_are_ignored() -> None:
    """In the head, after the protocol and in an option."""
    data = overwritten(tv.TV13_RESP, (2, 3), (12, 24), (37, 40), (61, 62))
    assert decode_response(data) == RESPONSES["TV-13"][1]


@pytest.mark.conforms("PC-06")
def test_reserved_bytes_of_a_request_are_ignored() -> None:
    data = overwritten(tv.TV13_REQ, (2, 4), (37, 40), (61, 62))
    assert decode_request(data) == FOR_ANOTHER


@pytest.mark.conforms("PC-25")
def test_padding_of_an_option_is_ignored() -> None:
    """The length does not count it, its content means nothing."""
    assert decode_request(overwritten(tv.TV16_REQ, (71, 72))) == DESCRIBED


# --- Versions


@pytest.mark.conforms("PC-37", "PC-38")
@pytest.mark.parametrize("data", [tv.TV06_RESP, tv.TV06_RESP_FIELD_VARIANT], ids=["opcode 0", "opcode 128"])
def test_a_natpmp_server_is_recognised_though_its_answer_is_no_pcp_message(data: bytes) -> None:
    """TV-06: 8 bytes, R bit clear."""
    assert decode_response(data) == UnsupportedVersionResponse(version=0)


@pytest.mark.conforms("PC-37")
@pytest.mark.parametrize("opcode", [1, 2, 127])
def test_version_0_with_a_request_opcode_is_dropped(opcode: int) -> None:
    with pytest.raises(ProtocolError):
        decode_response(bytes([0, opcode]) + tv.TV06_RESP[2:])


@pytest.mark.conforms("PC-37")
@pytest.mark.parametrize("result", [0, 2, 3])
def test_version_0_with_another_result_is_dropped(result: int) -> None:
    with pytest.raises(ProtocolError):
        decode_response(bytes([0, 0, 0, result]) + bytes(20))


@pytest.mark.conforms("PC-37")
def test_without_the_r_bit_it_is_dropped_even_with_unsupported_version() -> None:
    """`02 01 ...` is a request."""
    with pytest.raises(ProtocolError):
        decode_response(b"\x02\x01\x00\x01" + bytes(20))
    with pytest.raises(ProtocolError):
        decode_response(b"\x02\x01" + tv.TV10_RESP[2:])


@pytest.mark.conforms("PC-38")
@pytest.mark.parametrize("version", [1, 2, 3, 255])
def test_unsupported_version_is_looked_at_before_the_size(version: int) -> None:
    answers = {decode_response(bytes([version, 129, 0, 1]).ljust(size, b"\x00")) for size in (4, 8, 22, 24, 60, 1104)}
    assert answers == {UnsupportedVersionResponse(version=version)}


def test_a_pcp_server_asked_in_natpmp_answers_with_its_version() -> None:
    """TV-19."""
    assert decode_response(tv.TV19_PCP_ONLY) == UnsupportedVersionResponse(version=2)


def test_unsupported_version_is_encoded_as_the_version_it_names_would() -> None:
    assert UnsupportedVersionResponse(version=0).encode() == bytes.fromhex("0000000100000000")
    assert UnsupportedVersionResponse(version=3).encode() == bytes.fromhex("03800001") + bytes(20)


@pytest.mark.conforms("PC-14")
@pytest.mark.parametrize("version", [0, 1, 3, 255])
def test_other_versions_are_refused(version: int) -> None:
    with pytest.raises(ProtocolError, match="version"):
        decode_response(bytes([version]) + tv.TV10_RESP[1:])
    with pytest.raises(ProtocolError, match="version"):
        decode_request(bytes([version]) + tv.TV10_REQ[1:])


# --- Sizes


def of_size(size: int) -> MapRequest:
    """Return a request with an option that makes it `size` bytes long."""
    return replace(PLAIN, options=(UnknownOption(200, b"x" * (size - 64)),))


@pytest.mark.conforms("PC-36", "PC-39")
@pytest.mark.parametrize("size", [0, 1, 3, 20, 23, 25, 62, 1104])
def test_sizes_that_no_message_has_are_refused(size: int) -> None:
    response = (tv.TV10_RESP + b"\xc8\x00" + (1036).to_bytes(2, "big")).ljust(1104, b"\x00")[:size]
    request = (tv.TV10_REQ + b"\xc8\x00" + (1036).to_bytes(2, "big")).ljust(1104, b"\x00")[:size]
    with pytest.raises(ProtocolError):
        decode_response(response)
    with pytest.raises(ProtocolError):
        decode_request(request)


@pytest.mark.conforms("PC-39")
def test_a_map_message_of_62_bytes_is_refused_for_its_size() -> None:
    with pytest.raises(ProtocolError, match="62 bytes"):
        decode_response(tv.TV10_RESP + bytes(2))


@pytest.mark.conforms("PC-02", "PC-28")
def test_1100_bytes_are_the_most() -> None:
    whole = of_size(1100)
    assert len(whole.encode()) == 1100
    assert decode_request(whole.encode()) == whole
    with pytest.raises(InvalidRequest, match="1104"):
        of_size(1101).encode()
    with pytest.raises(InvalidRequest, match="1104"):
        replace(GRANTED, options=of_size(1104).options).encode()
    with pytest.raises(InvalidRequest, match="1104"):
        AnnounceRequest(client=CLIENT, options=(UnknownOption(200, bytes(1076)),)).encode()


def test_a_map_message_without_its_body_is_refused() -> None:
    with pytest.raises(ProtocolError):
        decode_response(tv.TV10_RESP[:24])
    with pytest.raises(ProtocolError):
        decode_request(tv.TV10_REQ[:56])


@pytest.mark.conforms("PC-40")
@pytest.mark.parametrize("opcode", [3, 127])
def test_opcodes_that_are_not_used_here_are_refused(opcode: int) -> None:
    with pytest.raises(ProtocolError, match="opcode"):
        decode_response(bytes([2, 128 + opcode]) + tv.TV10_RESP[2:])
    with pytest.raises(ProtocolError, match="opcode"):
        decode_request(bytes([2, opcode]) + tv.TV10_REQ[2:])


@pytest.mark.conforms("PC-46")
def test_every_result_code_is_kept_with_its_lifetime() -> None:
    """Known or not."""
    for code in {*range(256)} - {Result.UNSUPP_VERSION}:
        response = decode_response(tv.TV10_RESP[:3] + bytes([code]) + tv.TV10_RESP[4:])
        assert response == replace(GRANTED, result=code)


@pytest.mark.conforms("PC-22")
def test_a_zero_nonce_is_legal() -> None:
    response = decode_response(tv.TV10_RESP[:24] + bytes(12) + tv.TV10_RESP[36:])
    assert isinstance(response, MapResponse)
    assert response.nonce == bytes(12)


# --- Addresses


@pytest.mark.conforms("PC-07", "PC-08")
@pytest.mark.parametrize(
    ("address", "wire"),
    [
        ("192.168.1.10", "00000000 00000000 0000ffff c0a8010a"),
        ("0.0.0.0", "00000000 00000000 0000ffff 00000000"),
        ("::", "00000000 00000000 00000000 00000000"),
        ("2001:db8::10", "20010db8 00000000 00000000 00000010"),
    ],
)
def test_addresses_both_ways(address: str, wire: str) -> None:
    """The all-zeros address of IPv4 is not that of IPv6."""
    assert encode_address(ip_address(address)) == bytes.fromhex(wire)
    assert decode_address(bytes.fromhex(wire)) == ip_address(address)


@pytest.mark.conforms("PC-09")
@pytest.mark.parametrize("address", ["1::ffff:102:304", "0:0:0:0:1:ffff:102:304", "::fffe:102:304", "::102:304"])
def test_all_96_bits_decide_about_ipv4(address: str) -> None:
    assert decode_address(IPv6Address(address).packed) == IPv6Address(address)


def test_an_ipv4_mapped_address_is_ipv4() -> None:
    assert decode_address(IPv6Address("::ffff:1.2.3.4").packed) == IPv4Address("1.2.3.4")


@pytest.mark.conforms("PC-146")
def test_no_preference_keeps_the_family() -> None:
    assert unspecified_like(CLIENT) == NO_IPV4
    assert unspecified_like(CLIENT_6) == NO_IPV6


# --- Options


@pytest.mark.conforms("PC-29")
@pytest.mark.parametrize("code", [99, 200])
def test_unknown_options_are_kept_and_harmless(code: int) -> None:
    """In the mandatory range too."""
    response = decode_response(tv.TV10_RESP + bytes([code, 0, 0, 1, 7, 0, 0, 0]))
    assert response == replace(GRANTED, options=(UnknownOption(code, b"\x07"),))


@pytest.mark.conforms("PC-13")
def test_options_after_announce_are_read() -> None:
    options = (UnknownOption(99, b"abcde"), UnknownOption(200, b""))
    response = AnnounceResponse(result=0, lifetime=0, epoch=1, options=options)
    assert response.encode()[24:] == bytes.fromhex("63000005 61626364 65000000 c8000000")
    assert decode_response(response.encode()) == response


@pytest.mark.conforms("PC-25", "PC-128")
def test_options_are_padded_to_four_bytes() -> None:
    """The padding is not part of the length."""
    for length, padded in enumerate((0, 4, 4, 4, 4, 8, 8, 8, 8)):
        request = replace(PLAIN, external_port=8080, options=(Description("x" * length), PREFER_FAILURE))
        data = request.encode()
        assert data[60:] == bytes([128, 0, 0, length]) + (b"x" * length).ljust(padded, b"\0") + bytes([2, 0, 0, 0])
        assert decode_request(data) == request


@pytest.mark.conforms("PC-32")
@pytest.mark.parametrize(
    "options",
    ["80000001", "80000005 61616161", "8000ffff 61616161", "80000004 61616161 80000001", "02000004"],
)
def test_an_option_past_the_end_is_refused(options: str) -> None:
    with pytest.raises(ProtocolError, match="past the end"):
        decode_response(tv.TV10_RESP + bytes.fromhex(options))
    with pytest.raises(ProtocolError, match="past the end"):
        decode_request(tv.TV10_REQ + bytes.fromhex(options))


@pytest.mark.conforms("PC-114")
@pytest.mark.parametrize(
    ("network", "prefix"), [("198.51.100.0/24", 120), ("0.0.0.0/0", 96), ("2001:db8::/32", 32), ("::/0", 0)]
)
def test_a_filter_counts_ipv4_prefixes_from_96(network: str, prefix: int) -> None:
    kind = IPv6Network if ":" in network else IPv4Network
    assert Filter.of(kind(network)).prefix == prefix


@pytest.mark.conforms("PC-32")
@pytest.mark.parametrize(
    "option",
    ["01000004 c0a80114", "02000001 00000000", "03000004 00000000", "82000004 00640001", "82000005 00000001 00000000",
     "03000014 00810000 00000000 00000000 0000ffff 00000000"],
)  # fmt: skip
def test_a_known_option_that_is_malformed_makes_the_message_invalid(option: str) -> None:
    """Wrong length, a port set of none, a filter of 129 bits."""
    with pytest.raises(ProtocolError):
        decode_response(tv.TV10_RESP + bytes.fromhex(option))


@pytest.mark.conforms("PC-127")
def test_a_description_may_be_cut_inside_a_character() -> None:
    """What came is kept byte for byte."""
    response = decode_response(tv.TV10_RESP + bytes.fromhex("80000002 61c30000"))
    assert isinstance(response, MapResponse)
    assert response.options[0].data == b"a\xc3"
    assert decode_response(response.encode()) == response


@pytest.mark.conforms("PC-126", "PC-130")
@pytest.mark.parametrize(
    "make",
    [lambda: Description("x" * 1017), lambda: Description("\ud800"), lambda: PortSet(0, 1), lambda: PortSet(65536, 1),
     lambda: PortSet(1, 65536), lambda: Filter.of(IPv4Network("0.0.0.0/0"), 65536),
     lambda: replace(PLAIN, nonce=bytes(11))],
)  # fmt: skip
def test_what_cannot_be_sent_is_an_invalid_request(make: Callable[[], object]) -> None:
    """Ours to refuse, so no ProtocolError."""
    with pytest.raises(InvalidRequest):
        make()


@pytest.mark.conforms("PC-126")
def test_the_longest_description_fits() -> None:
    assert len(Description("x" * 1016).data) == 1016


@pytest.mark.conforms("PC-26")
def test_the_top_bit_makes_an_option_optional() -> None:
    assert [is_mandatory(code) for code in (1, 127, 128, 255)] == [True, True, False, False]


RESULTS_IN_ORDER = [
    "UNSUPP_VERSION", "NOT_AUTHORIZED", "MALFORMED_REQUEST", "UNSUPP_OPCODE", "UNSUPP_OPTION", "MALFORMED_OPTION",
    "NETWORK_FAILURE", "NO_RESOURCES", "UNSUPP_PROTOCOL", "USER_EX_QUOTA", "CANNOT_PROVIDE_EXTERNAL",
    "ADDRESS_MISMATCH", "EXCESSIVE_REMOTE_PEERS", "INITIATION", "AUTHENTICATION_REQUIRED", "AUTHENTICATION_FAILED",
    "AUTHENTICATION_SUCCEEDED", "AUTHORIZATION_FAILED", "SESSION_TERMINATED", "UNKNOWN_SESSION_ID",
    "DOWNGRADE_ATTACK_DETECTED", "AUTHENTICATION_REQUEST", "AUTHENTICATION_REPLY", "THIRD_PARTY_ID_UNKNOWN",
    "THIRD_PARTY_MISSING_OPTION", "UNSUPP_THIRD_PARTY_ID_LENGTH",
]  # fmt: skip


@pytest.mark.conforms("PC-46", "PC-51", "PC-52", "PC-53", "PC-54", "PC-57", "PC-58", "PC-59", "PC-61", "PC-62", "PC-63")
@pytest.mark.parametrize(("code", "name"), list(enumerate(RESULTS_IN_ORDER, 1)))
def test_every_registered_result_has_a_name_and_a_meaning(code: int, name: str) -> None:
    error = refusal(code, 30)
    assert (error.code, error.name, error.retry_after) == (code, name, 30)
    assert "the gateway refused" not in str(error)


@pytest.mark.conforms("PC-62", "PC-160")
def test_a_gateway_that_wants_authentication_is_said_to() -> None:
    assert "wants authentication" in str(refusal(15, 30))


@pytest.mark.conforms("PC-47", "PC-64", "PC-159")
def test_an_unknown_result_is_kept_and_a_long_lifetime_is_cut() -> None:
    """S22."""
    assert (refusal(200, 2**32 - 1).name, refusal(200, 2**32 - 1).retry_after) == ("RESULT_200", 86400)
    assert refusal(12, 0).retry_after is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: UnknownOption(256, b""),
        lambda: UnknownOption(200, bytes(65536)),
        lambda: Filter(NO_IPV4, prefix=129),
        lambda: Filter(NO_IPV4, prefix=96, port=65536),
        lambda: UnsupportedVersionResponse(version=256),
        lambda: AnnounceResponse(result=256, lifetime=0, epoch=0),
        lambda: AnnounceResponse(result=0, lifetime=0, epoch=-1),
        lambda: AnnounceResponse(result=0, lifetime=2**32, epoch=0),
        lambda: map_request(TCP, 8080, 1.5),  # type: ignore[arg-type]
    ],
)
def test_no_field_beyond_its_bits_can_be_made(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidRequest):
        make()


@pytest.mark.parametrize("response", [GRANTED, OUTBOUND_GRANTED], ids=["MAP", "PEER"])
@pytest.mark.parametrize(
    "changes",
    [{"result": -1}, {"result": 256}, {"lifetime": -1}, {"lifetime": 2**32}, {"epoch": -1}, {"epoch": 2**32},
     {"nonce": bytes(11)}, {"nonce": bytes(13)}, {"protocol": -1}, {"protocol": 256}, {"internal_port": -1},
     {"internal_port": 65536}, {"external_port": -1}, {"external_port": 65536}],
)  # fmt: skip
def test_no_answer_about_a_mapping_has_a_field_beyond_its_bits(
    response: MapResponse | PeerResponse, changes: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest):
        replace(response, **changes)


@pytest.mark.parametrize("port", [-1, 65536])
def test_no_answer_has_a_remote_port_beyond_its_bits(port: int) -> None:
    with pytest.raises(InvalidRequest, match="remote port"):
        replace(OUTBOUND_GRANTED, remote_port=port)


def test_what_no_request_may_say_is_understood_in_an_answer() -> None:
    """One port of all protocols with PREFER_FAILURE for none and twice, and PEER without ports."""
    strange = replace(GRANTED, protocol=0, external_port=0, options=(PREFER_FAILURE, PREFER_FAILURE))
    outbound = replace(OUTBOUND_GRANTED, protocol=0, internal_port=0, remote_port=0)
    for answer in (strange, outbound):
        assert decode_response(answer.encode()) == answer


# --- Any message, any bytes

BYTE = st.integers(0, 255)
PORTS = st.integers(0, 2**16 - 1)
LONGS = st.integers(0, 2**32 - 1)
RESULTS = BYTE.filter(lambda code: code != Result.UNSUPP_VERSION)  # has a form of its own
IPV4 = st.integers(0, 2**32 - 1).map(IPv4Address)
IPV6 = st.integers(2**48, 2**128 - 1).map(IPv6Address) | st.integers(0, 2**32 - 1).map(IPv6Address)  # none is mapped
ADDRESSES: st.SearchStrategy[IPAddress] = IPV4 | IPV6
NONCES = st.binary(min_size=12, max_size=12)
KNOWN = {ThirdParty.code, PreferFailure.code, Filter.code, Description.code, PortSet.code}
OPTION: st.SearchStrategy[Option] = st.one_of(
    st.builds(UnknownOption, BYTE.filter(lambda code: code not in KNOWN), st.binary(max_size=40)),
    st.builds(ThirdParty, ADDRESSES),
    st.just(PreferFailure()),
    st.builds(Filter, ADDRESSES, st.integers(0, 128), PORTS),
    st.builds(Description, st.text(max_size=10)),
    st.builds(PortSet, PORTS.filter(bool), PORTS, st.booleans()),
)
OPTIONS = st.lists(OPTION, max_size=5).map(tuple)
THIRD_PARTY_ID = 13
UNKNOWN = st.builds(
    UnknownOption, BYTE.filter(lambda code: code not in KNOWN | {THIRD_PARTY_ID}), st.binary(max_size=40)
)


@st.composite
def map_requests(draw: st.DrawFn) -> MapRequest:
    """Draw a request whose options go with it."""
    lifetime, protocol, external = draw(LONGS), draw(BYTE), draw(PORTS)
    internal = draw(PORTS) if protocol else 0
    may: list[st.SearchStrategy[Option]] = [
        st.builds(ThirdParty, ADDRESSES),
        st.builds(Description, st.text(max_size=10)),
        UNKNOWN,
        UNKNOWN,
    ]
    if lifetime:
        may += [st.builds(Filter, ADDRESSES, st.integers(0, 128), PORTS)] * 3
    if lifetime and external and draw(st.booleans()):
        may.append(st.just(PREFER_FAILURE))
    else:
        may.append(st.builds(PortSet, PORTS.filter(bool), st.just(internal), st.booleans()))
    chosen = draw(st.permutations(may))[: draw(st.integers(0, 5))]
    return MapRequest(
        client=draw(ADDRESSES),
        lifetime=lifetime,
        nonce=draw(NONCES),
        protocol=protocol,
        internal_port=internal,
        external_port=external,
        external_address=draw(ADDRESSES),
        options=tuple(draw(option) for option in chosen),
    )


ANY_REQUEST: st.SearchStrategy[Request] = st.one_of(
    st.builds(AnnounceRequest, client=ADDRESSES, options=st.lists(UNKNOWN, max_size=5).map(tuple)),
    map_requests(),
    st.builds(
        PeerRequest,
        client=ADDRESSES,
        lifetime=LONGS,
        nonce=NONCES,
        protocol=BYTE.filter(bool),
        internal_port=PORTS.filter(bool),
        external_port=PORTS,
        external_address=ADDRESSES,
        remote_port=PORTS.filter(bool),
        remote_address=ADDRESSES,
        options=st.lists(UNKNOWN, max_size=5).map(tuple),
    ),
)
ANY_RESPONSE: st.SearchStrategy[Response] = st.one_of(
    st.builds(AnnounceResponse, result=RESULTS, lifetime=LONGS, epoch=LONGS, options=OPTIONS),
    st.builds(
        MapResponse,
        result=RESULTS,
        lifetime=LONGS,
        epoch=LONGS,
        nonce=NONCES,
        protocol=BYTE,
        internal_port=PORTS,
        external_port=PORTS,
        external_address=ADDRESSES,
        options=OPTIONS,
    ),
    st.builds(
        PeerResponse,
        result=RESULTS,
        lifetime=LONGS,
        epoch=LONGS,
        nonce=NONCES,
        protocol=BYTE,
        internal_port=PORTS,
        external_port=PORTS,
        external_address=ADDRESSES,
        remote_port=PORTS,
        remote_address=ADDRESSES,
        options=OPTIONS,
    ),
    st.builds(UnsupportedVersionResponse, version=BYTE),
)


@pytest.mark.conforms("PC-02")
@given(ANY_REQUEST)
@examples(150)
def test_any_request_survives_the_wire(request: Request) -> None:
    data = request.encode()
    assert len(data) % 4 == 0
    assert decode_request(data) == request


@given(ANY_RESPONSE)
@examples(150)
def test_any_response_survives_the_wire(response: Response) -> None:
    data = response.encode()
    assert len(data) % 4 == 0
    assert decode_response(data) == response


@pytest.mark.conforms("PC-32")
@given(st.binary(max_size=1200) | tv.bytes_near(PACKETS))
@examples(500)
def test_any_bytes_are_a_message_or_a_protocol_error(data: bytes) -> None:
    """And what was understood says the same when it is sent on."""
    request: Request | None = None
    with suppress(ProtocolError):
        request = decode_request(data)
    assert request is None or decode_request(request.encode()) == request
    response: Response | None = None
    with suppress(ProtocolError):
        response = decode_response(data)
    assert response is None or decode_response(response.encode()) == response


@given(st.binary(min_size=16, max_size=16))
@examples(50)
def test_any_16_bytes_are_an_address(data: bytes) -> None:
    assert encode_address(decode_address(data)) == data

"""NAT-PMP's messages, byte for byte (RFC 6886 section 3), and what is refused."""

from contextlib import suppress
from dataclasses import fields
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper.errors import ProtocolError
from portmapper.model import Protocol
from portmapper.natpmp.epoch import EpochWatch
from portmapper.natpmp.wire import (
    AddressRequest,
    AddressResponse,
    ErrorResponse,
    MapRequest,
    MapResponse,
    Request,
    Response,
    Result,
    UnsupportedVersionResponse,
    decode_request,
    decode_response,
    opcode_of,
)
from tests.fuzz import examples
from tests.wire import vectors as tv

UDP, TCP = Protocol.UDP, Protocol.TCP


def map_request(protocol: Protocol, internal: int, external: int, lifetime: int) -> MapRequest:
    return MapRequest(protocol=protocol, internal_port=internal, external_port=external, lifetime=lifetime)


def map_response(
    protocol: Protocol, epoch: int, internal: int, external: int, lifetime: int, *, result: int = 0
) -> MapResponse:
    return MapResponse(
        protocol=protocol,
        result=result,
        epoch=epoch,
        internal_port=internal,
        external_port=external,
        lifetime=lifetime,
    )


REQUESTS: dict[str, tuple[bytes, Request]] = {
    "TV-01": (tv.TV01_REQ, AddressRequest()),
    "TV-02": (tv.TV02_REQ, map_request(UDP, 4001, 4001, 7200)),
    "TV-02 renew": (tv.TV02_RENEW, map_request(UDP, 4001, 50000, 7200)),
    "TV-03": (tv.TV03_REQ, map_request(TCP, 8080, 0, 7200)),
    "TV-04": (tv.TV04_REQ, map_request(TCP, 8080, 0, 0)),
    "TV-05": (tv.TV05_REQ, map_request(UDP, 0, 0, 0)),
}

RESPONSES: dict[str, tuple[bytes, Response]] = {
    "TV-01": (tv.TV01_RESP, AddressResponse(result=0, epoch=86400, address=IPv4Address("203.0.113.7"))),
    "TV-01 network failure": (
        tv.TV01_RESP_NETWORK_FAILURE,
        AddressResponse(result=Result.NETWORK_FAILURE, epoch=16, address=IPv4Address(0)),
    ),
    "TV-02": (tv.TV02_RESP, map_response(UDP, 86401, 4001, 50000, 3600)),
    "TV-03": (tv.TV03_RESP, map_response(TCP, 86402, 8080, 0, 0, result=Result.OUT_OF_RESOURCES)),
    "TV-04": (tv.TV04_RESP, map_response(TCP, 86403, 8080, 0, 0)),
    "TV-05": (tv.TV05_RESP, map_response(UDP, 86404, 0, 0, 0)),
    "TV-06": (tv.TV06_RESP, UnsupportedVersionResponse(epoch=86405)),
    "TV-08 rebooted": (
        tv.TV08_REBOOTED,
        AddressResponse(result=0, epoch=3, address=IPv4Address("203.0.113.9")),
    ),
    "TV-08 boundary ok": (
        tv.TV08_BOUNDARY_OK,
        AddressResponse(result=0, epoch=86928, address=IPv4Address("203.0.113.7")),
    ),
    "TV-08 boundary lost": (
        tv.TV08_BOUNDARY_LOST,
        AddressResponse(result=0, epoch=86927, address=IPv4Address("203.0.113.7")),
    ),
}

PACKETS = [data for data, _ in [*REQUESTS.values(), *RESPONSES.values()]]
PACKETS += [tv.TV06_RESP_FIELD_VARIANT, tv.TV07_REQ, tv.TV07_RESP, tv.TV19_PCP_ONLY]


@pytest.mark.conforms("NP-03", "NP-04", "NP-05", "NP-07", "NP-08", "NP-09", "NP-32", "NP-41")
@pytest.mark.parametrize(("data", "request_"), REQUESTS.values(), ids=REQUESTS)
def test_request_vectors_both_ways(data: bytes, request_: Request) -> None:
    assert request_.encode() == data
    assert decode_request(data) == request_


@pytest.mark.conforms("NP-03", "NP-04", "NP-06", "NP-10", "NP-40", "NP-41", "NP-46")
@pytest.mark.parametrize(("data", "response"), RESPONSES.values(), ids=RESPONSES)
def test_response_vectors_both_ways(data: bytes, response: Response) -> None:
    assert response.encode() == data
    assert decode_response(data) == response


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_cut_short_are_refused(name: str) -> None:
    data, _ = REQUESTS[name]
    for size in range(len(data)):
        with pytest.raises(ProtocolError):
            decode_request(data[:size])


@pytest.mark.conforms("NP-15")
@pytest.mark.parametrize("name", RESPONSES)
def test_responses_cut_short_are_refused_or_the_bare_error(name: str) -> None:
    """A refusal may come as its head alone, anything else must be whole."""
    data, whole = RESPONSES[name]
    for size in range(len(data)):
        if size >= 8 and isinstance(whole, AddressResponse | MapResponse) and whole.result:
            assert decode_response(data[:size]) == ErrorResponse(opcode=data[1] - 128, result=whole.result)
        else:
            with pytest.raises(ProtocolError):
                decode_response(data[:size])


@pytest.mark.conforms("NP-15")
@pytest.mark.parametrize("name", RESPONSES)
def test_bytes_after_a_response_are_ignored(name: str) -> None:
    data, response = RESPONSES[name]
    assert decode_response(data + b"\xff\x00\x80\x01") == response


def test_requests_may_have_bytes_after_the_end() -> None:
    assert decode_request(tv.TV01_REQ + bytes(22)) == AddressRequest()
    assert decode_request(tv.TV02_REQ + b"\xff") == decode_request(tv.TV02_REQ)


@pytest.mark.conforms("NP-09")
def test_reserved_bytes_of_a_request_are_ignored() -> None:
    """Sent as zero, and not looked at."""
    assert tv.TV02_REQ[2:4] == bytes(2)
    assert decode_request(tv.TV02_REQ[:2] + b"\xff\xff" + tv.TV02_REQ[4:]) == decode_request(tv.TV02_REQ)


@pytest.mark.conforms("NP-46")
def test_unsupported_version_has_opcode_0_and_8_bytes() -> None:
    """TV-06."""
    assert len(tv.TV06_RESP) == 8
    assert tv.TV06_RESP[1] == 0
    assert decode_response(tv.TV06_RESP) == UnsupportedVersionResponse(epoch=86405, version=0)


@pytest.mark.conforms("NP-46")
@pytest.mark.parametrize("opcode", [128, 129, 130])
def test_unsupported_version_with_a_response_opcode_is_understood_too(opcode: int) -> None:
    """The variant of TV-06."""
    data = bytes([0, opcode]) + tv.TV06_RESP_FIELD_VARIANT[2:]
    assert decode_response(data) == UnsupportedVersionResponse(epoch=86405)
    assert decode_response(data + bytes(8)) == UnsupportedVersionResponse(epoch=86405)


@pytest.mark.conforms("NP-16")
@pytest.mark.parametrize("opcode", [1, 2, 9, 127])
def test_unsupported_version_with_another_request_opcode_is_none(opcode: int) -> None:
    with pytest.raises(ProtocolError):
        decode_response(bytes([0, opcode]) + tv.TV06_RESP[2:])


@pytest.mark.conforms("NP-17")
def test_a_pcp_server_names_its_version() -> None:
    """TV-19: the answer of a server that speaks PCP alone is an answer about versions, not an error."""
    response = decode_response(tv.TV19_PCP_ONLY)
    assert isinstance(response, UnsupportedVersionResponse)
    assert response.version == 2


@pytest.mark.conforms("NP-04", "NP-17")
@pytest.mark.parametrize("version", [1, 2, 255])
def test_other_versions_are_refused(version: int) -> None:
    with pytest.raises(ProtocolError, match="version"):
        decode_response(bytes([version]) + tv.TV02_RESP[1:])
    with pytest.raises(ProtocolError):
        decode_request(bytes([version]) + tv.TV02_REQ[1:])


@pytest.mark.conforms("NP-47")
def test_the_echo_of_an_unsupported_opcode_has_no_epoch() -> None:
    """TV-07: where the epoch would be are the ports of the request."""
    response = decode_response(tv.TV07_RESP)
    assert response == ErrorResponse(opcode=9, result=Result.UNSUPPORTED_OPCODE)
    assert "epoch" not in {field.name for field in fields(response)}


@pytest.mark.conforms("NP-47")
@pytest.mark.parametrize(("opcode", "request_"), [(0, tv.TV01_REQ), (1, tv.TV02_REQ), (2, tv.TV03_REQ)])
def test_the_echo_of_a_known_opcode_has_no_epoch_either(opcode: int, request_: bytes) -> None:
    echo = bytes([0, 128 + opcode, 0, 5]) + request_[4:].ljust(12, b"\x7f")
    assert decode_response(echo) == ErrorResponse(opcode=opcode, result=5)


def test_unknown_opcodes_are_refused() -> None:
    with pytest.raises(ProtocolError):
        decode_request(tv.TV07_REQ)
    with pytest.raises(ProtocolError):
        decode_response(bytes([0, 128 + 9, 0, 0]) + bytes(12))


@pytest.mark.conforms("NP-16")
def test_a_request_is_no_response() -> None:
    with pytest.raises(ProtocolError, match="request"):
        decode_response(b"\x00\x01" + tv.TV02_RESP[2:])


@pytest.mark.parametrize("code", [2, 3, 4, 6, 255, 65535])
def test_every_result_code_is_kept(code: int) -> None:
    """Known or not, with the epoch."""
    data = tv.TV02_RESP[:2] + code.to_bytes(2, "big") + tv.TV02_RESP[4:]
    assert decode_response(data) == map_response(UDP, 86401, 4001, 50000, 3600, result=code)
    assert decode_response(data[:8]) == ErrorResponse(opcode=1, result=code)


@pytest.mark.conforms("NP-15")
@pytest.mark.parametrize("size", [8, 11])
def test_a_short_address_response_is_refused(size: int) -> None:
    with pytest.raises(ProtocolError):
        decode_response(tv.TV01_RESP[:size])


@pytest.mark.conforms("NP-08")
def test_opcodes_of_requests() -> None:
    assert [opcode_of(decode_request(data)) for data in (tv.TV01_REQ, tv.TV02_REQ, tv.TV03_REQ)] == [0, 1, 2]


PORTS = st.integers(0, 2**16 - 1)
LONGS = st.integers(0, 2**32 - 1)
RESULTS = st.integers(0, 2**16 - 1).filter(lambda code: code not in {1, 5})  # those two have forms of their own
PROTOCOLS = st.sampled_from([Protocol.TCP, Protocol.UDP])
ANY_REQUEST: st.SearchStrategy[Request] = st.one_of(
    st.just(AddressRequest()),
    st.builds(MapRequest, protocol=PROTOCOLS, internal_port=PORTS, external_port=PORTS, lifetime=LONGS),
)
ANY_RESPONSE: st.SearchStrategy[Response] = st.one_of(
    st.builds(AddressResponse, result=RESULTS, epoch=LONGS, address=st.ip_addresses(v=4)),
    st.builds(
        MapResponse,
        protocol=PROTOCOLS,
        result=RESULTS,
        epoch=LONGS,
        internal_port=PORTS,
        external_port=PORTS,
        lifetime=LONGS,
    ),
    st.builds(UnsupportedVersionResponse, epoch=LONGS, version=st.integers(0, 255)),
    st.builds(ErrorResponse, opcode=st.integers(0, 127), result=RESULTS.filter(bool) | st.just(5)),
)


@given(ANY_REQUEST)
@examples(100)
def test_any_request_survives_the_wire(request: Request) -> None:
    assert decode_request(request.encode()) == request


@given(ANY_RESPONSE)
@examples(200)
def test_any_response_survives_the_wire(response: Response) -> None:
    assert decode_response(response.encode()) == response


@given(st.binary(max_size=40) | tv.bytes_near(PACKETS))
@examples(400)
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


@pytest.mark.conforms("NP-54", "NP-67")
@pytest.mark.parametrize(
    ("data", "lost"), [(tv.TV08_REBOOTED, True), (tv.TV08_BOUNDARY_OK, False), (tv.TV08_BOUNDARY_LOST, True)]
)
def test_what_an_announcement_says_of_a_reboot(data: bytes, lost: bool) -> None:
    """TV-08: 600 s after 86405 was heard."""
    watch = EpochWatch()
    watch.observe(86405, 0.0)
    response = decode_response(data)
    assert isinstance(response, AddressResponse)
    assert watch.observe(response.epoch, 600.0) is lost

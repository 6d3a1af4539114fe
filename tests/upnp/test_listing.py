"""The list of mappings inside an answer (WANIPConnection:2 section 2.3.25), and what of it is left out."""

from contextlib import suppress
from dataclasses import replace
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.model import ListedMapping, Protocol
from portmapper.upnp.listing import decode_listed, decode_listing, encode_listing
from portmapper.upnp.soap import Action, decode_result, encode_result
from tests.fuzz import examples
from tests.wire import vectors as tv

GET_LIST = Action("urn:schemas-upnp-org:service:WANIPConnection:2", "GetListOfPortMappings", {})
BODY = tv.TV24_RESP.partition(b"\r\n\r\n")[2]
LISTING = unescape(BODY.partition(b"<NewPortListing>")[2].partition(b"</NewPortListing>")[0].decode())

WEB = ListedMapping(
    remote_host="",
    external_port=40000,
    protocol=Protocol.TCP,
    internal_port=8080,
    internal_client="192.168.1.10",
    enabled=True,
    description="web & api <1>",
    lifetime=3599,
)
DISABLED = ListedMapping(
    remote_host="198.51.100.20",
    external_port=51820,
    protocol=Protocol.UDP,
    internal_port=51820,
    internal_client="192.168.1.10",
    enabled=False,
    description="",
    lifetime=0,
)
OTHER = encode_listing((WEB,)).partition(">")[2].replace("PortMappingEntry", "Vendor")


def changed(old: str, new: str) -> str:
    """Return the list of TV-24 with something else in its first entry."""
    assert old in LISTING
    return LISTING.replace(old, new, 1)


@pytest.mark.conforms("UP-91")
def test_the_list_byte_for_byte_both_ways() -> None:
    """TV-24: the XML inside."""
    assert encode_listing((WEB, DISABLED)) == LISTING
    assert decode_listing(LISTING) == (WEB, DISABLED)


@pytest.mark.conforms("UP-91")
def test_the_answer_around_it_byte_for_byte_both_ways() -> None:
    """TV-24: the list is escaped once more."""
    assert int(tv.TV24_RESP.partition(b"CONTENT-LENGTH: ")[2].partition(b"\r\n")[0]) == len(BODY)
    assert encode_result(GET_LIST, {"NewPortListing": LISTING}) == BODY
    assert decode_result(GET_LIST, 200, BODY) == {"newportlisting": LISTING}


@pytest.mark.conforms("UP-91")
def test_a_list_in_cdata_is_read_alike() -> None:
    """The form of miniupnpd."""
    escaped = BODY.partition(b"<NewPortListing>")[2].partition(b"</NewPortListing>")[0]
    body = BODY.replace(escaped, f"<![CDATA[{LISTING}]]>".encode())
    assert decode_listing(decode_result(GET_LIST, 200, body)["newportlisting"]) == (WEB, DISABLED)


@pytest.mark.parametrize(
    "text", ["<PortMappingList/>", encode_listing(()), '<PortMappingList xmlns="x"> </PortMappingList>']
)
def test_a_list_may_be_empty(text: str) -> None:
    assert decode_listing(text) == ()


@pytest.mark.conforms("UP-59", "UP-60", "UP-91")
@pytest.mark.parametrize(
    "text",
    [
        LISTING.replace("p:", ""),
        LISTING.replace("p:", "").replace("<PortMappingList ", '<PortMappingList xmlns="urn:x" '),
        LISTING.replace("p:New", "p:NEW").replace("p:PortMapping", "p:portmapping"),
        LISTING.replace(">1<", ">True<").replace(">0</p:NewEnabled>", ">FALSE</p:NewEnabled>"),
        LISTING.replace(">1<", ">yes<").replace(">0</p:NewEnabled>", ">no</p:NewEnabled>"),
        LISTING.replace("TCP", " tcp\n"),
        LISTING.replace("><", ">\n  <"),
        LISTING.replace("<p:NewRemote", '<p:Vendor x="1"><p:NewEnabled>7</p:NewEnabled></p:Vendor><p:NewRemote'),
        LISTING.replace("</p:PortMappingList>", f"<!-- x -->{OTHER}"),
        f"<?xml version='1.0' encoding='x-unknown'?>\n{LISTING}",
        LISTING.replace("<p:NewDescription></p:NewDescription>", "<p:NewDescription/>"),
        LISTING.replace("<p:NewDescription></p:NewDescription>", "").replace(
            "<p:NewRemoteHost></p:NewRemoteHost>", ""
        ),
        LISTING.replace(">40000<", ">0000040000<"),
        LISTING.replace(">40000<", ">+40000<").replace(">3599<", ">+003599<"),
    ],
    ids=["no prefix", "namespace", "case", "true", "yes", "protocol", "white space", "unknown field", "unknown entry",
         "declaration", "empty element", "no texts", "zeros", "plus"],
)  # fmt: skip
def test_a_list_in_another_dress(text: str) -> None:
    """Read by local names."""
    assert text != LISTING
    assert decode_listing(text) == (WEB, DISABLED)


@pytest.mark.conforms("UP-91")
def test_the_fields_may_be_attributes() -> None:
    """The prose says so, the example does not."""
    entry = (
        '<p:PortMappingEntry NewRemoteHost="" p:NewExternalPort="40000" NewProtocol="TCP" NewInternalPort="8080" '
        'newinternalclient="192.168.1.10" NewEnabled="1" NewDescription="web &amp; api &lt;1>" NewLeaseTime="3599"/>'
    )
    assert decode_listing(f'<PortMappingList xmlns:p="urn:x">{entry}</PortMappingList>') == (WEB,)


def test_the_charset_that_the_inner_declaration_names_is_past() -> None:
    """The text was decoded with the answer around it."""
    text = changed("web ", "Büro ")
    declared = f'<?xml version="1.0" encoding="ISO-8859-1"?>{text}'
    assert decode_listing(declared)[0].description == "Büro & api <1>"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (">40000<", "><"),
        (">40000<", ">65536<"),
        (">40000<", ">-1<"),
        (">40000<", ">4000O<"),
        (">40000<", f">{'9' * 5000}<"),
        (">40000<", ">+-40000<"),
        (">40000<", ">4_0000<"),
        (">40000<", ">\N{SUPERSCRIPT TWO}<"),
        (">40000<", ">\N{FULLWIDTH DIGIT ONE}<"),
        (">8080<", ">0<"),
        (">8080<", ">65536<"),
        (">3599<", ">4294967296<"),
        (">3599<", ">forever<"),
        (">TCP<", ">SCTP<"),
        (">TCP<", "><"),
        (">1<", ">2<"),
        ("NewExternalPort", "NewPort"),
        ("NewProtocol", "Protocol"),
        ("NewInternalPort", "NewPort"),
        ("NewInternalClient", "NewClient"),
        ("NewEnabled", "Enabled"),
        ("NewLeaseTime", "NewTime"),
    ],
)
def test_an_entry_that_makes_no_sense_hides_no_other(old: str, new: str) -> None:
    text = changed(old, new) if old.startswith(">") else LISTING.replace(f":{old}>", f":{new}>", 2)
    assert text != LISTING
    assert decode_listing(text) == (DISABLED,)


@pytest.mark.parametrize(
    ("old", "new", "mapping"),
    [
        (">40000<", ">0<", replace(WEB, external_port=0)),
        (">40000<", ">65535<", replace(WEB, external_port=65535)),
        (">8080<", ">65535<", replace(WEB, internal_port=65535)),
        (">3599<", ">4294967295<", replace(WEB, lifetime=2**32 - 1)),
        (">192.168.1.10<", ">nas.home<", replace(WEB, internal_client="nas.home")),
        ("web", "\x1b[2J", replace(WEB, description="\ufffd[2J & api <1>")),
    ],
)
def test_what_is_at_the_edge_still_makes_sense(old: str, new: str, mapping: ListedMapping) -> None:
    """External port 0 is all ports (section 2.3.18)."""
    assert decode_listing(changed(old, new)) == (mapping, DISABLED)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\ud800",
        "<a/>",
        "OK",
        LISTING[:-1],
        LISTING.replace("p:PortMappingList", "p:List"),
        f"<a>{LISTING}</a>",
        f"<!DOCTYPE a>{LISTING}",
        LISTING.replace(" xmlns:p", " xmlns:q"),
        LISTING.replace("web", "&e;"),
    ],
)
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        decode_listing(text)


def test_no_more_entries_are_read_than_the_limit() -> None:
    """Those that make no sense count too."""
    many = [replace(WEB, external_port=port) for port in range(1, limits.LISTED_MAPPINGS + 1)]
    assert decode_listing(encode_listing([*many, DISABLED])) == tuple(many)
    assert decode_listing(encode_listing([replace(WEB, internal_port=0), *many])) == tuple(many[:-1])


def test_the_limit_is_more_than_fits_into_an_answer() -> None:
    smallest = replace(WEB, external_port=1, internal_port=1, internal_client="10.0.0.1", description="", lifetime=0)
    text = encode_listing([smallest] * limits.LISTED_MAPPINGS).replace("p:", "")
    assert len(text) > limits.SOAP_BODY


# --- The same mapping as the answer to GetGenericPortMappingEntry, whose fields have other names

NUMBERED = {
    "NewRemoteHost": "",
    "NewExternalPort": "40000",
    "NewProtocol": "TCP",
    "NewInternalPort": "8080",
    "NewInternalClient": "192.168.1.10",
    "NewEnabled": "1",
    "NewPortMappingDescription": "web & api <1>",
    "NewLeaseDuration": "3599",
}


def numbered(**changes: str) -> ListedMapping | None:
    action = Action(GET_LIST.service_type, "GetGenericPortMappingEntry", {})
    return decode_listed(decode_result(action, 200, encode_result(action, {**NUMBERED, **changes})))


@pytest.mark.conforms("UP-90")
def test_an_entry_by_its_number() -> None:
    assert numbered() == WEB


@pytest.mark.conforms("UP-59", "UP-60", "UP-90")
def test_an_entry_by_its_number_in_another_dress() -> None:
    changes = {"NewExternalPort": "+40000", "NewProtocol": "tcp", "NewEnabled": "yes", "NewLeaseDuration": "003599"}
    assert numbered(**changes) == WEB


@pytest.mark.conforms("UP-90")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("NewExternalPort", "65536"),
        ("NewInternalPort", "0"),
        ("NewProtocol", "GRE"),
        ("NewEnabled", ""),
        ("NewLeaseDuration", "-1"),
    ],
)
def test_an_entry_by_its_number_that_makes_no_sense_is_none(field: str, value: str) -> None:
    assert numbered(**{field: value}) is None


@given(st.dictionaries(st.sampled_from([name.lower() for name in NUMBERED]), st.text(max_size=10)))
@examples(150)
def test_any_answer_is_a_mapping_or_none(results: dict[str, str]) -> None:
    mapping = decode_listed(results)
    assert mapping is None or 1 <= mapping.internal_port <= 65535


# --- Any mapping, any text

TEXTS = st.text(max_size=40).filter(lambda text: text.isprintable() and text == text.strip())
MAPPINGS = st.builds(
    ListedMapping,
    remote_host=TEXTS,
    external_port=st.integers(0, 65535),
    protocol=st.sampled_from([Protocol.TCP, Protocol.UDP]),
    internal_port=st.integers(1, 65535),
    internal_client=TEXTS,
    enabled=st.booleans(),
    description=TEXTS,
    lifetime=st.integers(0, 2**32 - 1),
)


@pytest.mark.conforms("UP-54", "UP-91")
@given(st.lists(MAPPINGS, max_size=4))
@examples(150)
def test_any_list_survives_the_wire(mappings: list[ListedMapping]) -> None:
    """Through the SOAP around it too."""
    text = encode_listing(mappings)
    assert decode_listing(text) == tuple(mappings)
    body = encode_result(GET_LIST, {"NewPortListing": text})
    assert decode_listing(decode_result(GET_LIST, 200, body)["newportlisting"]) == tuple(mappings)


ANYTHING = st.binary(max_size=100) | tv.bytes_near([LISTING.encode(), encode_listing([DISABLED]).encode()])


@given(ANYTHING.map(lambda data: data.decode("utf-8", "surrogateescape")) | st.text(max_size=100))
@examples(300)
def test_any_text_is_a_list_or_a_protocol_error(text: str) -> None:
    """And what was understood makes sense."""
    with suppress(ProtocolError):
        for mapping in decode_listing(text):
            assert 0 <= mapping.external_port <= 65535
            assert 1 <= mapping.internal_port <= 65535
            assert mapping.protocol in {Protocol.TCP, Protocol.UDP}


@given(tv.bytes_near([BODY]))
@examples(150)
def test_any_answer_near_the_vector_is_a_list_or_an_error_of_ours(body: bytes) -> None:
    with suppress(ProtocolError):
        text = decode_result(GET_LIST, 200, body).get("newportlisting", "")
        assert len(decode_listing(text)) <= 2

"""XML from a device: what is hostile is refused, what is broken in a well-meant way is read."""

import time
import tracemalloc
from contextlib import suppress
from xml.etree.ElementTree import Element, tostring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.upnp.xml import decode_xml, local_name, text_of
from tests.fuzz import examples
from tests.wire import vectors as tv

LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">'
    + b"".join(
        b'<!ENTITY lol%d "%s">' % (n, b"&lol%d;" % (n - 1) * 10 if n > 1 else b"&lol;" * 10) for n in range(1, 10)
    )
    + b"]><lolz>&lol9;</lolz>"
)


@pytest.mark.conforms("UP-41")
@pytest.mark.parametrize(
    "body",
    [
        LAUGHS,
        b'<!DOCTYPE a [<!ENTITY b "' + b"x" * 10_000 + b'">]><a>' + b"&b;" * 10_000 + b"</a>",
        b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        b'<!DOCTYPE a [<!ENTITY b SYSTEM "http://192.0.2.1/">]><a>&b;</a>',
        b'<!DOCTYPE a [<!ENTITY % b SYSTEM "http://192.0.2.1/"> %b;]><a/>',
        b'<!DOCTYPE a SYSTEM "http://192.0.2.1/a.dtd"><a/>',
        b"<!DOCTYPE html><html/>",
        b"<!DOCTYPE a []><a/>",
        b"<a>&undeclared;</a>",
    ],
    ids=["laughs", "blow-up", "file", "network", "parameter", "external", "html", "empty", "undeclared"],
)
def test_document_types_and_entities_are_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_xml(body)


def test_the_refusal_is_ours_and_names_no_entity() -> None:
    with pytest.raises(ProtocolError, match="not well-formed XML"):
        decode_xml(LAUGHS)


def nested(depth: int) -> bytes:
    return b"<a>" * depth + b"</a>" * depth


@pytest.mark.conforms("UP-41")
def test_64_elements_deep_and_no_deeper() -> None:
    assert len(list(decode_xml(nested(64)).iter())) == 64
    with pytest.raises(ProtocolError, match="too deep"):
        decode_xml(nested(65))


def test_the_depth_is_not_the_number_of_elements() -> None:
    assert len(decode_xml(b"<a>" + nested(63) * 60 + b"</a>")) == 60


@pytest.mark.conforms("UP-41")
def test_4096_elements_and_no_more() -> None:
    assert len(decode_xml(b"<a>" + b"<b/>" * (limits.XML_ELEMENTS - 1) + b"</a>")) == limits.XML_ELEMENTS - 1
    with pytest.raises(ProtocolError, match="too large"):
        decode_xml(b"<a>" + b"<b/>" * limits.XML_ELEMENTS + b"</a>")


BROKEN = [
    b"",
    b" \r\n",
    b"\0",
    b"<",
    b"<a>",
    b"<a></b>",
    b"<a/><b/>",
    b"text",
    b"<a>&</a>",
    b"<a b=1/>",
    b"<a b='1' b='2'/>",
    b"<x:a/>",
    b"<!-- only -->",
    b"<?only?>",
    b"<html><br></html>",
    b'{"json": true}',
    b"\xff\xfe\x00",
    b"\xff\xff\xff",
]


def refused(body: bytes) -> bool:
    with suppress(ProtocolError):
        decode_xml(body)
        return False
    return True


def test_what_is_not_well_formed_is_refused() -> None:
    assert [body for body in BROKEN if not refused(body)] == []


CONTROLS = [
    b"\x00",
    b"\x07",
    b"\x1b",
    b"\x1f",
    b"\xef\xbf\xbe",
    b"&#7;",
    b"&#x7;",
    b"&#x1B;",
    b"&#0;",
    b"&#27;",
    b"&#xD800;",
    b"&#xFFFE;",
    b"&#x110000;",
    b"&#9999999;",
    b"&#xFFFFFF;",
]


def test_control_characters_do_not_hide_the_rest() -> None:
    """One entry with a control character in its description must not hide all others."""
    texts = {inside: decode_xml(b"<a>x" + inside + b"y</a>").text for inside in CONTROLS}
    assert texts == dict.fromkeys(CONTROLS, "x\ufffdy")


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (b"&#65;&#x42;&#x43;", "ABC"),
        (b"&#9;&#10;", "\t\n"),
        (b"&#x10FFFD;", "\U0010fffd"),
        (b"&lt;&amp;&gt;&quot;&apos;", "<&>\"'"),
        (b"\t\n", "\t\n"),
        (b"\x7f", "\x7f"),
        ("ä日".encode(), "ä日"),
        (b"<![CDATA[<&#7;>]]>", "<\ufffd>"),
    ],
)
def test_legal_characters_and_references_are_kept(inside: bytes, text: str) -> None:
    assert decode_xml(b"<a>" + inside + b"</a>").text == text


@pytest.mark.conforms("UP-42")
@pytest.mark.parametrize(
    ("charset", "data", "text"),
    [
        ("utf-8", "ä日".encode(), "ä日"),
        ("UTF-8", "ä日".encode(), "ä日"),
        ("iso-8859-1", b"\xe4", "ä"),
        ("windows-1252", b"\x93x\x94", "\u201cx\u201d"),
        ("gb2312", "中文".encode("gb2312"), "中文"),
        ("GBK", "中文".encode("gbk"), "中文"),
        ("big5", "中文".encode("big5"), "中文"),
        ("us-ascii", b"x", "x"),
        ("utf-8", b"\xe4", "ä"),  # declared wrongly
        ("gb2312", b"\xff", "\ufffd"),
        ("utf-7", b"+ADw-x/+AD4-", "+ADw-x/+AD4-"),  # would smuggle in markup
        ("utf-16", b"x", "x"),  # declared, but plain
        ("utf-32", b"x", "x"),
        ("x-unknown", b"x", "x"),
        ("x-unknown", "ä".encode(), "ä"),
        ("idna", b"xn--a", "xn--a"),
        ("base64", b"eA==", "eA=="),
        ("unicode_escape", b"\\x3c", "\\x3c"),
        ("punycode", b"a-b", "a-b"),
    ],
)
def test_declared_encodings(charset: str, data: bytes, text: str) -> None:
    """Known ones are used, all others are read as UTF-8, and never raise."""
    declaration = f'<?xml version="1.0" encoding="{charset}"?>'.encode()
    assert decode_xml(declaration + b"<a>" + data + b"</a>").text == text


@pytest.mark.conforms("UP-42")
@pytest.mark.parametrize(
    "body",
    [
        '<?xml version="1.0" encoding="utf-8"?><a>ä</a>'.encode("utf-8-sig"),
        '<?xml version="1.0" encoding="gb2312"?><a>ä</a>'.encode("utf-8-sig"),
        b"\xff\xfe" + '<?xml version="1.0" encoding="utf-16"?><a>ä</a>'.encode("utf-16-le"),
        b"\xfe\xff" + '<?xml version="1.0" encoding="utf-16"?><a>ä</a>'.encode("utf-16-be"),
        b"\xff\xfe" + "<a>ä</a>".encode("utf-16-le"),
    ],
    ids=["UTF-8", "UTF-8, declared otherwise", "UTF-16-LE", "UTF-16-BE", "UTF-16 undeclared"],
)
def test_a_byte_order_mark_rules(body: bytes) -> None:
    assert decode_xml(body).text == "ä"


@pytest.mark.conforms("UP-42", "Q-34")
@pytest.mark.parametrize(
    "body",
    [
        b'\r\n\r\n<?xml version="1.0"?><a>x</a>',
        b'   \t<?xml version="1.0" encoding="utf-8"?>\n<a>x</a>',
        b"<?xml version='1.0' encoding='iso-8859-1' standalone='yes' ?><a>x</a>",
        b"<a>x</a>\0",
        b"<a>x</a>\0\0\0",
        b"<a>x</a>\r\n\r\n",
        b"<a>x</a>\r\n\0",
        b"\n<a>x</a><!-- end -->",
    ],
)
def test_what_surrounds_the_document_is_cut_off(body: bytes) -> None:
    assert decode_xml(body).text == "x"


SIZE = limits.DESCRIPTION_BODY
WORST = {
    "white space": b" " * SIZE,
    "line feeds": b"\n" * SIZE,
    "zeros": b"\0" * SIZE,
    "open tags": b"<a>" * (SIZE // 3),
    "less than": b"<" * SIZE,
    "declarations": b"<?xml " * (SIZE // 6),
    "a declaration without end": b"<?xml version='1.0'" + b" encoding" * (SIZE // 10),
    "white space before a declaration": b" " * (SIZE - 40) + b'<?xml version="1.0"?><a/>',
    "half references": b"<a>" + b"&#" * (SIZE // 2 - 10) + b"</a>",
    "references": b"<a>" + b"&#7;" * (SIZE // 4 - 10) + b"</a>",
    "attributes": b"<a" + b"".join(b' a%x=""' % n for n in range(SIZE // 9)) + b"/>",
    "attributes with equal ends": b"<a" + b"".join(b' %s="%d"' % (b"a" * (n % 400 + 1), n) for n in range(500)) + b"/>",
    "namespaces": b"<a" + b"".join(b' xmlns:a%x="u"' % n for n in range(SIZE // 17)) + b"/>",
    "one long name": b"<" + b"a" * (SIZE - 3) + b"/>",
    "one long attribute": b"<a b='" + b"x" * (SIZE - 10) + b"'/>",
    "one long comment": b"<a><!--" + b"-" * (SIZE - 20),
    "comments": b"<a>" + b"<!---->" * (SIZE // 7 - 2) + b"</a>",
    "instructions": b"<a>" + b"<?a?>" * (SIZE // 5 - 2) + b"</a>",
    "an instruction without end": b"<a><?" + b"a" * (SIZE - 5),
    "sections": b"<a>" + b"<![CDATA[]]>" * (SIZE // 12 - 2) + b"</a>",
    "a section without end": b"<a><![CDATA[" + b"]" * (SIZE - 20),
    "long namespaces, deep": b"".join(b"<a xmlns:b%d='%s'>" % (n, b"u" * 1000) for n in range(60)),
    "a long namespace for many names": (
        b"<r xmlns:x='" + b"u" * (SIZE // 2) + b"'>" + b'<b x:a="" x:b="" x:c=""/>' * (SIZE // 50 - 10) + b"</r>"
    ),
    "empty elements": b"<a>" + b"<b/>" * (SIZE // 4 - 2) + b"</a>",
    "laughs": LAUGHS.ljust(SIZE, b" "),
}


@pytest.mark.conforms("UP-41")
def test_4096_attributes_and_no_more() -> None:
    assert len(decode_xml(b"<a>" + b"<b c='' d = \"\"/>" * (limits.XML_ATTRIBUTES // 2) + b"</a>"))
    with pytest.raises(ProtocolError, match="too many or too long"):
        decode_xml(b"<a" + b"".join(b" a%x=''" % n for n in range(limits.XML_ATTRIBUTES + 1)) + b"/>")


@pytest.mark.conforms("UP-41")
@pytest.mark.parametrize("form", [b'<a b="%s"/>', b"<a xmlns = '%s'/>", b'<a xmlns:b=\n\t"%s"><b:a/></a>'])
def test_attributes_of_1024_characters_and_no_longer(form: bytes) -> None:
    assert decode_xml(form % (b"x" * limits.XML_VALUE)) is not None
    with pytest.raises(ProtocolError, match="too many or too long"):
        decode_xml(form % (b"x" * (limits.XML_VALUE + 1)))


def test_text_may_be_longer_than_an_attribute() -> None:
    text = "a = " + "x" * 2 * limits.XML_VALUE
    assert decode_xml(f"<a>{text}</a>".encode()).text == text


@pytest.mark.conforms("UP-41")
@pytest.mark.parametrize("body", WORST.values(), ids=WORST)
def test_the_worst_of_128_kib_takes_less_than_a_second_and_4_mib(body: bytes) -> None:
    """A tree of it is of no use, but must not cost much."""
    assert len(body) <= SIZE
    begin = time.process_time()
    with suppress(ProtocolError):
        decode_xml(body)
    assert time.process_time() - begin < 1.0
    tracemalloc.start()
    with suppress(ProtocolError):
        decode_xml(body)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * 1024 * 1024


@pytest.mark.conforms("UP-37", "UP-55")
@pytest.mark.parametrize(
    ("tag", "name"), [("a", "a"), ("NewReservedPort", "newreservedport"), ("{urn:x}URLBase", "urlbase"), ("{}A", "a")]
)
def test_local_names(tag: str, name: str) -> None:
    assert local_name(Element(tag)) == name


def test_text_of_a_child() -> None:
    parent = decode_xml(b"<a xmlns:p='urn:x'> t <p:Name> first </p:Name><name>second</name><empty/><e>x<y/></e></a>")
    assert text_of(parent, "NAME") == "first"
    assert text_of(parent, "empty") == ""
    assert text_of(parent, "e") == "x"
    assert text_of(parent, "y") is None
    assert text_of(parent, "absent") is None


BODIES = [tv.TV21_DESC, b'<?xml version="1.0" encoding="gb2312"?>\r\n<a b="c">&#65;<![CDATA[x]]><!-- y --></a>\0']


@given(
    st.binary(max_size=80)
    | tv.bytes_near(BODIES)
    | st.text(st.sampled_from("<>/?!&#;x7 \"'=a:\0\ufeff\ufffe-[]"), max_size=60).map(str.encode)
)
@examples(400)
def test_any_bytes_are_a_tree_or_a_protocol_error(body: bytes) -> None:
    with suppress(ProtocolError):
        assert isinstance(decode_xml(body), Element)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=60))
@examples(200)
def test_any_text_is_read_as_it_is_but_for_what_xml_forbids(text: str) -> None:
    element = Element("a")
    element.text = text
    expected = "".join(
        char
        if char in "\t\n" or " " <= char <= "\ud7ff" or "\ue000" <= char <= "\ufffd" or char > "\uffff"
        else "\ufffd"
        for char in text
    )
    assert (decode_xml(tostring(element, "utf-8")).text or "") == expected

"""Read XML from a device: hostile, or broken in a well-meant way. No I/O."""

import re
from itertools import islice
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from portmapper import limits
from portmapper.errors import ProtocolError

_BOMS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_DECLARATION = re.compile(r"^\s*<\?xml[^>]{0,200}\?>")
_DECLARED = re.compile(rb"^\s*<\?xml[^>]{0,200}encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
_CHARSETS = {"utf-8", "iso-8859-1", "latin-1", "us-ascii", "ascii", "windows-1252", "gb2312", "gbk", "gb18030", "big5"}
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 section 2.2
_VALUE = re.compile(r"""=[ \t\r\n]*["']""")
_LONG_VALUE = re.compile(rf"""=[ \t\r\n]*(?:"[^"<]{{{limits.XML_VALUE + 1}}}|'[^'<]{{{limits.XML_VALUE + 1}}})""")
_REFERENCE = re.compile(r"&#(x0{0,99}[0-9A-Fa-f]{1,6}|0{0,99}[0-9]{1,7});")


class _BoundedBuilder(TreeBuilder):
    """Builds a tree of bounded depth and size."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._count = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._depth += 1
        self._count += 1
        if self._depth > limits.XML_DEPTH or self._count > limits.XML_ELEMENTS:
            raise ProtocolError("XML that is too deep or too large")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)


def decode_xml(body: bytes) -> Element:
    """Return the root of the document in `body`. Raises ProtocolError, and nothing else, whatever `body` holds.

    No DTD, no entities. Control characters, which strict parsers refuse, become U+FFFD: a neighbour may put one into
    the description of a mapping and would otherwise hide all others.
    """
    text = _cleaned(_decoded(body))
    _check_attributes(text)
    parser = DefusedXMLParser(target=_BoundedBuilder(), forbid_dtd=True)
    try:
        parser.feed(text)
        root: Element = parser.close()
    except (ParseError, DefusedXmlException, ValueError) as error:
        if isinstance(error, ProtocolError):
            raise
        raise ProtocolError("not well-formed XML") from error
    return root


def local_name(element: Element) -> str:
    """Return the tag without its namespace, in lower case: devices differ in both."""
    return element.tag.rpartition("}")[2].lower()


def text_of(parent: Element, name: str) -> str | None:
    """Return the stripped text of the child called `name`, "" for an empty one, None if there is none."""
    for child in parent:
        if local_name(child) == name.lower():
            return (child.text or "").strip()
    return None


def _decoded(body: bytes) -> str:
    # ElementTree raises ValueError for charsets it does not know, which Chinese firmware declares.
    for mark, charset in _BOMS.items():
        if body.startswith(mark):
            return body[len(mark) :].decode(charset, "replace")
    declared = _DECLARED.match(body[:256])
    charset = declared.group(1).decode("ascii").lower() if declared else "utf-8"
    if charset in _CHARSETS and charset != "utf-8":
        return body.decode(charset, "replace")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("latin-1")


def _check_attributes(text: str) -> None:
    # Before parsing: a namespace is put before every name that it is for, so one of 150 KB for 10,000 names took 6 s.
    many = next(islice(_VALUE.finditer(text), limits.XML_ATTRIBUTES, None), None)
    if many or _LONG_VALUE.search(text):
        raise ProtocolError("XML with attributes that are too many or too long")


def _cleaned(text: str) -> str:
    text = _DECLARATION.sub("", text.rstrip("\0 \t\r\n"), count=1).strip()
    return _REFERENCE.sub(_legal_reference, _ILLEGAL.sub("\ufffd", text))


def _legal_reference(match: re.Match[str]) -> str:
    digits = match.group(1)
    number = int(digits[1:], 16) if digits.startswith("x") else int(digits)
    legal = number <= 0x10FFFF and not _ILLEGAL.match(chr(number))  # noqa: PLR2004 - the end of Unicode
    return match.group(0) if legal else "\ufffd"

"""The list of mappings that GetListOfPortMappings returns (WANIPConnection:2 sections 2.3.25 and 2.5.21). No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.model import Protocol
from portmapper.upnp.xml import decode_xml, local_name

_UTF_8 = b"\xef\xbb\xbf"  # the text was decoded with the SOAP around it: whatever charset it declares is past
_HEAD = '<p:PortMappingList xmlns:p="urn:schemas-upnp-org:gw:WANIPConnection">'
_TAIL = "</p:PortMappingList>"
_PROTOCOLS = {"tcp": Protocol.TCP, "udp": Protocol.UDP}  # section 2.3.20 knows no others
_TRUTH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}  # UDA 1.1 clause 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedMapping:
    """One mapping of the device, anybody's. `remote_host` "" is any; `lifetime` is what is left, 0 for no end."""

    remote_host: str
    external_port: int
    protocol: Protocol
    internal_port: int
    internal_client: str
    enabled: bool
    description: str
    lifetime: int


def encode_listing(mappings: Iterable[ListedMapping]) -> str:
    """Return the list as the text of NewPortListing, not yet escaped for the SOAP around it."""
    return f"{_HEAD}{''.join(map(_encode_entry, mappings))}{_TAIL}"


def decode_listing(text: str) -> tuple[ListedMapping, ...]:
    """Return the mappings in the text of NewPortListing. Raises ProtocolError, and nothing else, whatever it holds.

    An entry that makes no sense is left out, and so is everything after the first `limits.LISTED_MAPPINGS` entries.
    """
    root = decode_xml(_UTF_8 + text.encode("utf-8", "replace"))
    if local_name(root) != "portmappinglist":
        raise ProtocolError("not a list of mappings")
    entries = (child for child in root if local_name(child) == "portmappingentry")
    decoded = map(_decode_entry, islice(entries, limits.LISTED_MAPPINGS))
    return tuple(mapping for mapping in decoded if mapping is not None)


def _encode_entry(mapping: ListedMapping) -> str:
    values = {
        "NewRemoteHost": mapping.remote_host,
        "NewExternalPort": str(mapping.external_port),
        "NewProtocol": mapping.protocol.upper(),
        "NewInternalPort": str(mapping.internal_port),
        "NewInternalClient": mapping.internal_client,
        "NewEnabled": str(int(mapping.enabled)),
        "NewDescription": mapping.description,
        "NewLeaseTime": str(mapping.lifetime),
    }
    fields = "".join(f"<p:{name}>{escape(value)}</p:{name}>" for name, value in values.items())
    return f"<p:PortMappingEntry>{fields}</p:PortMappingEntry>"


def _decode_entry(entry: Element) -> ListedMapping | None:
    fields = _fields(entry)
    try:
        return ListedMapping(
            remote_host=fields.get("newremotehost", ""),
            external_port=_number(fields["newexternalport"], 0, 65535),
            protocol=_PROTOCOLS[fields["newprotocol"].lower()],
            internal_port=_number(fields["newinternalport"], 1, 65535),
            internal_client=fields["newinternalclient"],
            enabled=_TRUTH[fields["newenabled"].lower()],
            description=fields.get("newdescription", ""),
            lifetime=_number(fields["newleasetime"], 0, limits.MAX_LIFETIME),
        )
    except (KeyError, ValueError):
        return None


def _fields(entry: Element) -> dict[str, str]:
    # The prose of section 2.3.25 calls them attributes, its example has elements.
    attributes = {name.rpartition("}")[2].lower(): value.strip() for name, value in entry.attrib.items()}
    return attributes | {local_name(child): (child.text or "").strip() for child in entry}


def _number(text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise ValueError("not a number in its range")
    return int(text)

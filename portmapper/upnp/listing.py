"""The list of mappings that GetListOfPortMappings returns (WANIPConnection:2 sections 2.3.25 and 2.5.21). No I/O."""

from collections.abc import Iterable, Mapping
from itertools import islice
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.model import ListedMapping, Protocol
from portmapper.upnp.values import parse_number, parse_truth
from portmapper.upnp.xml import decode_xml, local_name

_UTF_8 = b"\xef\xbb\xbf"  # the text was decoded with the SOAP around it: whatever charset it declares is past
_HEAD = '<p:PortMappingList xmlns:p="urn:schemas-upnp-org:gw:WANIPConnection">'
_TAIL = "</p:PortMappingList>"
_PROTOCOLS = {"tcp": Protocol.TCP, "udp": Protocol.UDP}  # section 2.3.20 knows no others


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
    decoded = (_decode_fields(_fields(entry)) for entry in islice(entries, limits.LISTED_MAPPINGS))
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


def decode_listed(results: Mapping[str, str]) -> ListedMapping | None:
    """Return the mapping in the answer to GetGenericPortMappingEntry, None if it makes no sense."""
    fields = {
        **results,
        "newdescription": results.get("newportmappingdescription", ""),
        "newleasetime": results.get("newleaseduration", ""),
    }
    return _decode_fields(fields)


def _decode_fields(fields: Mapping[str, str]) -> ListedMapping | None:
    try:
        return ListedMapping(
            remote_host=fields.get("newremotehost", ""),
            external_port=parse_number(fields["newexternalport"], 0, limits.LAST_PORT),
            protocol=_PROTOCOLS[fields["newprotocol"].lower()],
            internal_port=parse_number(fields["newinternalport"], 1, limits.LAST_PORT),
            internal_client=fields["newinternalclient"],
            enabled=parse_truth(fields["newenabled"]),
            description=fields.get("newdescription", ""),
            lifetime=parse_number(fields["newleasetime"], 0, limits.MAX_LIFETIME),
        )
    except (KeyError, ProtocolError):
        return None


def _fields(entry: Element) -> dict[str, str]:
    # The prose of section 2.3.25 calls them attributes, its example has elements.
    attributes = {name.rpartition("}")[2].lower(): value.strip() for name, value in entry.attrib.items()}
    return attributes | {local_name(child): (child.text or "").strip() for child in entry}

"""The C library's errors, and that its object is the one which the fake stands for."""

import inspect
from ipaddress import IPv4Address

import miniupnpc
import pytest
from portmapper_miniupnpc.faults import CODES, translated
from portmapper_miniupnpc.igd import Igd, Library

from portmapper import GatewayUnreachable, PortMapperError, ProtocolError, RequestRefused

NAMES = {
    401: "InvalidAction", 402: "InvalidArgs", 501: "ActionFailed", 606: "ActionNotAuthorized",
    714: "NoSuchEntryInArray", 718: "ConflictInMappingEntry", 725: "OnlyPermanentLeasesSupported",
    728: "NoPortMapsAvailable",
}  # fmt: skip


@pytest.mark.parametrize("text", CODES)
def test_a_refusal_has_the_code_and_the_name_of_the_standard(text: str) -> None:
    error = translated(Exception(text))
    assert isinstance(error, RequestRefused)
    assert error.code == CODES[text]
    assert error.name == NAMES.get(error.code, error.name)
    assert " " not in error.name
    assert not error.code or f"({error.code} {error.name})" in str(error)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (Exception("Miniupnpc HTTP error"), GatewayUnreachable),
        (Exception("Miniupnpc Invalid response"), ProtocolError),
        (Exception("Miniupnpc Unknown Error"), ProtocolError),
        (Exception("No UPnP device discovered"), ProtocolError),
        (Exception("\x1b[2J"), ProtocolError),
        (Exception(), ProtocolError),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), ProtocolError),
        (MemoryError(), ProtocolError),
    ],
)
def test_everything_else(raised: Exception, kind: type[PortMapperError]) -> None:
    error = translated(raised)
    assert type(error) is kind
    assert str(error).isprintable()


def test_the_real_object_has_every_call() -> None:
    for name, _ in inspect.getmembers(Library, inspect.isfunction):
        if not name.startswith("_"):
            assert callable(getattr(miniupnpc.UPnP, name))


def test_the_real_object_takes_the_arguments_and_raises_what_is_translated() -> None:
    """Nothing was found yet, so it fails before it would send anything."""
    igd = Igd(IPv4Address("127.0.0.1"), delay=1000)
    with pytest.raises(ProtocolError, match="Invalid Arguments"):
        igd.external_address()
    with pytest.raises(GatewayUnreachable):
        igd.add(8080, "TCP", client="127.0.0.1", internal=8080, description="text", lifetime=7200)
    with pytest.raises(GatewayUnreachable):
        igd.delete(8080, "TCP")
    assert igd.entry(8080, "TCP") is None

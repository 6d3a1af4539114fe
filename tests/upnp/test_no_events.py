"""No GENA: a subscriber has to listen on TCP for whoever calls back (CallStranger, CVE-2020-12695)."""

import re
from pathlib import Path

import pytest

import portmapper
from portmapper.errors import ProtocolError
from portmapper.upnp.ssdp import decode_answer, decode_notification, decode_search
from tests.wire import vectors as tv

PACKAGE = Path(portmapper.__file__).parent
SOURCES = {path.relative_to(PACKAGE): path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}
SUBSCRIPTION = re.compile(r"\b(un)?subscribe\b|\bcallback: *<|upnp:event\b|upnp:propchange\b", re.IGNORECASE)
TCP_LISTENER = re.compile(r"\.listen\(|create_tcp_listener|start_server|create_server|TCPServer|HTTPServer")


def naming(pattern: re.Pattern[str]) -> set[str]:
    """Return the first folder, or the name, of each source file in which the pattern occurs."""
    return {path.parts[0] for path, text in SOURCES.items() if pattern.search(text)}


def test_nothing_here_subscribes() -> None:
    """UP-135, TV-25: not one word of the request is in the sources."""
    assert SUBSCRIPTION.findall(tv.TV25_SUBSCRIBE.decode())
    assert Path("upnp/soap.py") in SOURCES
    assert naming(SUBSCRIPTION) == set()


def test_only_the_simulated_gateway_listens_on_tcp() -> None:
    """UP-149."""
    assert naming(TCP_LISTENER) == {"testing"}


@pytest.mark.parametrize("message", [tv.TV25_SUBSCRIBE, tv.TV25_NOTIFY], ids=["subscribe", "notify"])
def test_events_nobody_asked_for_are_dropped(message: bytes) -> None:
    """UP-140, TV-25: an event sent to the SSDP port is neither notification nor answer."""
    for decode in (decode_notification, decode_answer, decode_search):
        with pytest.raises(ProtocolError):
            decode(message)

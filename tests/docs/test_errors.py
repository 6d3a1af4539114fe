"""The page of error messages has every text that the program can produce, and no other."""

import re

import pytest

from portmapper.natpmp import Result as NatPmpResult
from portmapper.natpmp.client import refusal as natpmp_refusal
from portmapper.pcp import Result as PcpResult
from portmapper.pcp.results import refusal as pcp_refusal
from portmapper.upnp.faults import FIREWALL, fault_for
from tests.docs.blocks import ROOT
from tests.docs.messages import templates

PAGE = (ROOT / "docs/reference/errors.md").read_text("utf-8")
_UNSEEN = {
    # Of a journal's fields: "it is damaged" is what anybody sees.
    "no text of ours", "no number of ours", "no port", "neither true nor false", "no time",
    # Of datagrams that anybody may send to a group: dropped, and waited on.
    "not an M-SEARCH", "not an answer to a search", "an answer without LOCATION or ST", "a NOTIFY without NT or USN",
    "an ssdp:update without NEXTBOOTID", "not a NOTIFY", "longer than any SSDP message", "not an SSDP message",
    "a NOTIFY of an unknown kind", "not text",
}  # fmt: skip


def told() -> list[str]:
    """Return the messages in the first cells of the tables, "{}" for what differs."""
    cells = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    found = [message.strip("` ") for cell in cells for message in cell.split("<br>")]
    return [re.sub(r"<[a-z ]+>", "{}", message) for message in found]


def registered() -> set[str]:
    """Return what a gateway's codes are told as."""
    texts = {str(pcp_refusal(code, 0)) for code in PcpResult if code} | {str(pcp_refusal(8, 0, deleting=True))}
    texts |= {str(natpmp_refusal(code)) for code in NatPmpResult if code > 1}
    return texts | {str(pcp_refusal(99, 0))}


def test_every_text_of_the_program_is_explained() -> None:
    missing = {text: places for text, places in templates().items() if text not in {*told(), *_UNSEEN}}
    assert missing == {}


def test_every_text_that_is_explained_is_one_of_the_program() -> None:
    codes = registered() | faults()
    unknown = [text for text in told() if text not in templates()]
    assert [text for text in unknown if not any(_fits(text, code) for code in codes)] == []


def test_what_is_left_out_exists() -> None:
    assert set(templates()) >= _UNSEEN


@pytest.mark.parametrize("text", sorted(registered()))
def test_every_code_of_pcp_and_natpmp_is_explained(text: str) -> None:
    assert any(_fits(one, text) for one in told() if one != "{} ({})")


def test_no_text_is_explained_twice() -> None:
    found = [one for one in told() if "NETWORK_FAILURE" not in one]  # PCP and NAT-PMP share this text
    assert sorted(found) == sorted(set(found))


def faults() -> set[str]:
    """Return what the codes of UPnP devices are told as."""
    services = [f"urn:schemas-upnp-org:service:{kind}:1" for kind in (FIREWALL, "WANIPConnection")]
    return {str(fault_for(service, code)) for service in services for code in range(400, 800)}


def _fits(shape: str, text: str) -> bool:
    return re.fullmatch(".+".join(map(re.escape, shape.split("{}"))), text) is not None

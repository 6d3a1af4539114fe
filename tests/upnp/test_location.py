"""A device may send us to itself and nowhere else (UP-32, UP-35, UP-36)."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.upnp.location import checked_url, control_url
from tests.fuzz import examples

HOST = IPv4Address("192.168.1.1")
LOCATION = "http://192.168.1.1:5000/igd/rootDesc.xml"

GOOD = [
    "http://192.168.1.1/",
    "http://192.168.1.1",
    "http://192.168.1.1:1/",
    "http://192.168.1.1:65535/",
    LOCATION,
    "http://192.168.1.1:5000/a%20b/%2e%2e/c;d=1,2?x=1&y=http://192.0.2.1/",
    "http://192.168.1.1:49152/~root@host/[x]/|{}",
    "http://192.168.1.1?description",
]

OTHER_HOSTS = [
    "http://192.168.1.2/",
    "http://192.168.1.10:5000/igd/rootDesc.xml",
    "http://127.0.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://0.0.0.0/",
    "http://203.0.113.7/",
    "http://[::1]/",
    "http://[2001:db8::1]/",
]
OTHER_FORMS_OF_THE_HOST = [
    "http://[::ffff:192.168.1.1]/",
    "http://[::ffff:c0a8:101]/",
    "http://[::192.168.1.1]/",
    "http://3232235777/",
    "http://0xc0a80101/",
    "http://0300.0250.01.01/",
    "http://192.168.257/",
    "http://192.168.1.01/",
    "http://192.168.001.001/",
    "http://192.168.1.1./",
    "http://[192.168.1.1]/",
    "http://192.168.1.1%2e/",
    "http://%31%39%32.168.1.1/",
    "http://127.1/",
    "http://192.168.1.1.nip.io/",
]
NAMES = [
    "http://localhost/",
    "http://router/",
    "http://192.168.1.1.example/",
    "http://example.com/",
    "http:///x",
    "http:",
]
USER_INFO = [
    "http://user@192.168.1.1/",
    "http://user:secret@192.168.1.1/",
    "http://@192.168.1.1/",
    "http://:@192.168.1.1/",
    "http://192.168.1.1@192.0.2.1/",
    "http://192.168.1.1:80@192.0.2.1:80/",
    "http://192.0.2.1@192.168.1.1/",
]
SCHEMES = [
    "https://192.168.1.1/",
    "ftp://192.168.1.1/",
    "file:///etc/passwd",
    "file://192.168.1.1/etc/passwd",
    "gopher://192.168.1.1/",
    "javascript:alert(1)",
    "data:text/xml,<root/>",
    "//192.168.1.1/",
    "/igd/rootDesc.xml",
    "192.168.1.1/",
    "192.168.1.1:80/",
    "http:192.168.1.1/",
    "http:/192.168.1.1/",
    "",
]
PORTS = [
    "http://192.168.1.1:0/",
    "http://192.168.1.1:70000/",
    "http://192.168.1.1:65536/",
    "http://192.168.1.1:-1/",
    "http://192.168.1.1:+80/",
    "http://192.168.1.1:8_0/",
    "http://192.168.1.1:http/",
    "http://192.168.1.1:80:80/",
]
CHARACTERS = [
    "http://192.168.1.1\\@192.0.2.1/",
    "http:\\\\192.168.1.1\\",
    "http://192.168.1.1/\\..\\x",
    "http://192.168.1.1/a b",
    " http://192.168.1.1/",
    "http://192.168.1.1/ ",
    "http://192.168.1.1/\t",
    "ht\ttp://192.168.1.1/",
    "http://192.168.1.1/x\r\nHOST: 192.0.2.1",
    "http://192.168.1.1/\n",
    "http://192.168.1.1/\x00",
    "http://192.168.1.1/\x7f",
    "http://192.168.1.1/\xe4",
    "http://192.168.1.1/\u2028",
    "http://\uff11\uff19\uff12.168.1.1/",  # full-width digits
    "http://192.168.1.1:\u0668\u0660/",  # Arabic digits
    "http://192\u3002168\u30021\u30021/",  # ideographic full stops
]
BRACKETS = ["http://[", "http://]", "http://[192.168.1.1", "http://[::1", "http://192.168.1.1]/", "http://[]/"]
BAD = {
    "another host": OTHER_HOSTS,
    "another form of the host": OTHER_FORMS_OF_THE_HOST,
    "a name": NAMES,
    "user info": USER_INFO,
    "a scheme": SCHEMES,
    "a port": PORTS,
    "a character": CHARACTERS,
    "brackets": BRACKETS,
}


def refusal(url: str) -> str | None:
    """Return the text of the refusal, None if `url` is accepted."""
    try:
        checked_url(url, HOST)
    except ProtocolError as error:
        return str(error)
    return None


@pytest.mark.parametrize("url", GOOD)
def test_urls_of_the_host_are_accepted_as_they_are(url: str) -> None:
    assert checked_url(url, HOST) == url


@pytest.mark.parametrize("urls", BAD.values(), ids=BAD)
def test_hostile_urls_are_refused(urls: list[str]) -> None:
    """UP-32."""
    assert [url for url in urls if refusal(url) is None] == []


def test_the_refusal_of_a_hostile_url_cannot_steer_a_terminal() -> None:
    assert all((refusal(url) or "\n").isprintable() for urls in BAD.values() for url in urls)


def test_the_scheme_may_be_in_upper_case() -> None:
    assert checked_url("HTTP://192.168.1.1/X", HOST) == "http://192.168.1.1/X"


@pytest.mark.parametrize("fragment", ["#", "#top", "#@192.0.2.1/", "#/../x"])
def test_the_fragment_is_cut_off(fragment: str) -> None:
    assert checked_url(LOCATION + fragment, HOST) == LOCATION


def test_a_url_may_have_1024_characters_and_no_more() -> None:
    longest = LOCATION.ljust(limits.URL_LENGTH, "x")
    assert checked_url(longest, HOST) == longest
    with pytest.raises(ProtocolError):
        checked_url(longest + "x", HOST)


def test_the_refusal_of_a_long_url_is_short() -> None:
    with pytest.raises(ProtocolError) as caught:
        checked_url("http://192.0.2.1/" + "x" * 900, HOST)
    assert len(str(caught.value)) < 300


def test_ipv6_hosts_are_compared_as_addresses() -> None:
    host = IPv6Address("2001:db8::1")
    assert checked_url("http://[2001:DB8:0::1]:5000/x", host) == "http://[2001:DB8:0::1]:5000/x"
    for url in ("http://[2001:db8::2]/", "http://192.168.1.1/", "http://2001:db8::1/"):
        with pytest.raises(ProtocolError):
            checked_url(url, host)


# --- Control URLs


@pytest.mark.parametrize(
    ("relative", "absolute"),
    [
        ("ctl/IPConn", "http://192.168.1.1:5000/igd/ctl/IPConn"),
        ("/ctl/IPConn", "http://192.168.1.1:5000/ctl/IPConn"),
        ("../ctl", "http://192.168.1.1:5000/ctl"),
        ("?ctl", "http://192.168.1.1:5000/igd/rootDesc.xml?ctl"),
        ("  /ctl\n", "http://192.168.1.1:5000/ctl"),
        ("//192.168.1.1:6000/ctl", "http://192.168.1.1:6000/ctl"),
        ("http://192.168.1.1:6000/ctl", "http://192.168.1.1:6000/ctl"),
        ("/ctl#top", "http://192.168.1.1:5000/ctl"),
    ],
)
def test_control_urls_are_relative_to_the_location(relative: str, absolute: str) -> None:
    """UP-35."""
    assert control_url(LOCATION, None, relative, HOST) == absolute


@pytest.mark.parametrize(
    ("url_base", "absolute"),
    [
        ("http://192.168.1.1:6000/", "http://192.168.1.1:6000/ctl/IPConn"),
        (" http://192.168.1.1:6000/base/x\n", "http://192.168.1.1:6000/base/ctl/IPConn"),
        ("http://192.168.1.1", "http://192.168.1.1/ctl/IPConn"),
        ("", "http://192.168.1.1:5000/igd/ctl/IPConn"),
    ],
)
def test_a_url_base_comes_before_the_location(url_base: str, absolute: str) -> None:
    """UP-35."""
    assert control_url(LOCATION, url_base, "ctl/IPConn", HOST) == absolute


@pytest.mark.parametrize("url_bases", [*BAD.values(), ["nonsense"]], ids=[*BAD, "nonsense"])
def test_a_url_base_elsewhere_is_ignored(url_bases: list[str]) -> None:
    """UP-36. The white space around one is not part of it."""
    unstripped = [url_base for url_base in url_bases if refusal(url_base.strip()) is not None]
    assert {control_url(LOCATION, url_base, "/ctl", HOST) for url_base in unstripped} == {"http://192.168.1.1:5000/ctl"}


@pytest.mark.parametrize(
    "relative",
    [
        "http://192.0.2.1/ctl",
        "//192.0.2.1/ctl",
        "https://192.168.1.1/ctl",
        "//user@192.168.1.1/ctl",
        "//192.168.1.1:0/ctl",
        "/ctl\\x",
        "/c t l",
        "/\xe4",
        "/" + "x" * 1024,
        "file:///etc/passwd",
        "javascript:alert(1)",
        "//[",
        "http://[::1",
        "//\u2100/",
    ],
)
def test_hostile_control_urls_are_refused(relative: str) -> None:
    with pytest.raises(ProtocolError):
        control_url(LOCATION, None, relative, HOST)


PIECES = st.sampled_from(
    [
        *("http", "https", "HTTP", ":", "/", "//", "@", "#", "?", "\\", "\t", "\n", " ", "%2e", ".", "..", "[", "]"),
        *("192.168.1.1", "192.0.2.1", "::1", "::ffff:", "localhost", ":80", ":0", ":99999", "x", "\xe4", "\uff0e"),
    ]
)
URLS = st.text(max_size=40) | st.lists(PIECES, max_size=8).map("".join)
URLS_OF_THE_HOST = st.lists(PIECES, max_size=6).map(lambda pieces: "http://192.168.1.1" + "".join(pieces))


@given(URLS | URLS_OF_THE_HOST)
@examples(500)
def test_whatever_is_accepted_leads_to_the_host(url: str) -> None:
    with suppress(ProtocolError):
        parts = urlsplit(checked_url(url, HOST))
        assert (parts.scheme, ip_address(parts.hostname or ""), parts.username) == ("http", HOST, None)
        assert parts.netloc.partition(":")[0] == "192.168.1.1"
        assert not parts.fragment

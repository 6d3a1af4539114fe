"""A device may send us to itself and nowhere else; another address of its link is read as its own."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.upnp.location import Place, checked_url, control_url
from tests.fuzz import examples

HOST = IPv4Address("192.168.1.1")
ALONE = Place(HOST)
"""Where nothing is known of the link."""
LINK = Place(HOST, IPv4Network("192.168.1.0/24"))
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
    "http://192.168.2.1/",
    "http://192.168.0.255:5000/igd/rootDesc.xml",
    "http://127.0.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://0.0.0.0/",
    "http://203.0.113.7/",
    "http://[::1]/",
    "http://[2001:db8::1]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fd00::1]/",
]
ON_THE_LINK = ["http://192.168.1.2/", "http://192.168.1.10:5000/igd/rootDesc.xml", "http://192.168.1.255/"]
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


def refusal(url: str, place: Place = LINK) -> str | None:
    """Return the text of the refusal, None if `url` is accepted."""
    try:
        checked_url(url, place)
    except ProtocolError as error:
        return str(error)
    return None


PLACES = pytest.mark.parametrize("place", [ALONE, LINK], ids=["link unknown", "link known"])


@PLACES
@pytest.mark.parametrize("url", GOOD)
def test_urls_of_the_host_are_accepted_as_they_are(url: str, place: Place) -> None:
    assert checked_url(url, place) == url


@pytest.mark.conforms("UP-32", "Q-16", "Q-32")
@PLACES
@pytest.mark.parametrize("urls", BAD.values(), ids=BAD)
def test_hostile_urls_are_refused(urls: list[str], place: Place) -> None:
    assert [url for url in urls if refusal(url, place) is None] == []


@pytest.mark.conforms("UP-32", "Q-06")
@pytest.mark.parametrize(
    ("url", "read_as"),
    [
        ("http://192.168.1.2/", "http://192.168.1.1/"),
        ("http://192.168.1.2", "http://192.168.1.1"),
        ("http://192.168.1.254:5000/igd/rootDesc.xml?x=1", "http://192.168.1.1:5000/igd/rootDesc.xml?x=1"),
        ("http://192.168.1.2:/x", "http://192.168.1.1/x"),
        ("HTTP://192.168.1.2:8080/x#y", "http://192.168.1.1:8080/x"),
        ("http://192.168.1.2/http://192.168.1.2/", "http://192.168.1.1/http://192.168.1.2/"),
    ],
)
def test_another_address_of_the_link_is_read_as_the_devices_own(url: str, read_as: str) -> None:
    """Routers with several addresses name the wrong one; no other host is ever meant."""
    assert checked_url(url, LINK) == read_as


@pytest.mark.conforms("UP-32")
@pytest.mark.parametrize("url", ON_THE_LINK)
def test_where_nothing_is_known_of_the_link_only_the_device_itself_will_do(url: str) -> None:
    assert refusal(url, ALONE) is not None
    assert refusal(url, LINK) is None


@pytest.mark.conforms("UP-32")
@pytest.mark.parametrize(
    "url",
    [
        "https://192.168.1.2/",
        "//192.168.1.2/",
        "http://user@192.168.1.2/",
        "http://192.168.1.2:0/",
        "http://192.168.1.2\\@192.0.2.1/",
        "http://[::ffff:192.168.1.2]/",
        "http://192.168.1.02/",
        "http://192.168.1.2/a b",
    ],
)
def test_what_is_refused_of_the_device_is_refused_of_its_link(url: str) -> None:
    assert refusal(url) is not None


@pytest.mark.conforms("UP-32")
@pytest.mark.parametrize(
    ("url", "near"), [("http://10.0.0.1/", True), ("http://10.0.0.4/", False), ("http://10.0.1.1/", False)]
)
def test_the_link_ends_where_its_network_ends(url: str, near: bool) -> None:
    assert (refusal(url, Place(IPv4Address("10.0.0.2"), IPv4Network("10.0.0.0/30"))) is None) is near


def test_the_refusal_of_a_hostile_url_cannot_steer_a_terminal() -> None:
    assert all((refusal(url) or "\n").isprintable() for urls in BAD.values() for url in urls)


def test_the_scheme_may_be_in_upper_case() -> None:
    assert checked_url("HTTP://192.168.1.1/X", LINK) == "http://192.168.1.1/X"


@pytest.mark.parametrize("fragment", ["#", "#top", "#@192.0.2.1/", "#/../x"])
def test_the_fragment_is_cut_off(fragment: str) -> None:
    assert checked_url(LOCATION + fragment, LINK) == LOCATION


def test_a_url_may_have_1024_characters_and_no_more() -> None:
    longest = LOCATION.ljust(limits.URL_LENGTH, "x")
    assert checked_url(longest, LINK) == longest
    with pytest.raises(ProtocolError):
        checked_url(longest + "x", LINK)


def test_the_refusal_of_a_long_url_is_short() -> None:
    with pytest.raises(ProtocolError) as caught:
        checked_url("http://192.0.2.1/" + "x" * 900, LINK)
    assert len(str(caught.value)) < 300


@pytest.mark.conforms("UP-32")
def test_ipv6_hosts_are_compared_as_addresses() -> None:
    place = Place(IPv6Address("2001:db8::1"))
    assert checked_url("http://[2001:DB8:0::1]:5000/x", place) == "http://[2001:DB8:0::1]:5000/x"
    for url in ("http://[2001:db8::2]/", "http://192.168.1.1/", "http://2001:db8::1/", "http://[::ffff:192.168.1.1]/"):
        assert refusal(url, place) is not None


@pytest.mark.conforms("UP-32", "Q-10")
@pytest.mark.parametrize("device", ["fe80::1%eth0", "2001:db8::1"])
@pytest.mark.parametrize(
    "host", ["fe80::1", "fe80::2", "fe80::1%25eth0", "fe80::1%eth0", "fe80::1%7", "fd00::7", "fc00::"]
)
def test_a_local_ipv6_address_is_read_as_the_devices_own_without_a_zone(host: str, device: str) -> None:
    """A URL has no place for a zone; the connection goes to the address that answered, zone and all."""
    plain = device.partition("%")[0]
    assert checked_url(f"http://[{host}]:5000/x", Place(IPv6Address(device))) == f"http://[{plain}]:5000/x"


@pytest.mark.conforms("Q-10")
def test_the_zone_of_the_device_is_no_part_of_its_address() -> None:
    url = "http://[FE80:0::1]:5000/x"
    assert checked_url(url, Place(IPv6Address("fe80::1%eth0"))) == url


@pytest.mark.conforms("UP-32")
@pytest.mark.parametrize("host", ["2001:db8::1", "::1", "ff02::1", "fec0::1", "::", "::ffff:192.168.1.1"])
def test_no_other_ipv6_address_is_read_as_the_devices_own(host: str) -> None:
    assert refusal(f"http://[{host}]/", Place(IPv6Address("fe80::1%eth0"))) is not None


# --- Control URLs


@pytest.mark.conforms("UP-35", "Q-30", "Q-31")
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
        ("http://192.168.1.2:6000/ctl", "http://192.168.1.1:6000/ctl"),
    ],
)
def test_control_urls_are_relative_to_the_location(relative: str, absolute: str) -> None:
    assert control_url(LOCATION, None, relative, LINK) == absolute


@pytest.mark.conforms("UP-35", "Q-30")
@pytest.mark.parametrize(
    ("url_base", "absolute"),
    [
        ("http://192.168.1.1:6000/", "http://192.168.1.1:6000/ctl/IPConn"),
        (" http://192.168.1.1:6000/base/x\n", "http://192.168.1.1:6000/base/ctl/IPConn"),
        ("http://192.168.1.1", "http://192.168.1.1/ctl/IPConn"),
        ("", "http://192.168.1.1:5000/igd/ctl/IPConn"),
        ("http://192.168.1.254:6000/base/", "http://192.168.1.1:6000/base/ctl/IPConn"),
    ],
)
def test_a_url_base_comes_before_the_location(url_base: str, absolute: str) -> None:
    assert control_url(LOCATION, url_base, "ctl/IPConn", LINK) == absolute


@pytest.mark.conforms("UP-36", "Q-30")
@pytest.mark.parametrize("url_bases", [*BAD.values(), ["nonsense"]], ids=[*BAD, "nonsense"])
def test_a_url_base_elsewhere_is_ignored(url_bases: list[str]) -> None:
    """The white space around one is not part of it."""
    unstripped = [url_base for url_base in url_bases if refusal(url_base.strip()) is not None]
    assert {control_url(LOCATION, url_base, "/ctl", LINK) for url_base in unstripped} == {"http://192.168.1.1:5000/ctl"}


@pytest.mark.conforms("UP-32", "Q-32")
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
        control_url(LOCATION, None, relative, LINK)


PIECES = st.sampled_from(
    [
        *("http", "https", "HTTP", ":", "/", "//", "@", "#", "?", "\\", "\t", "\n", " ", "%2e", ".", "..", "[", "]"),
        *(
            "192.168.1.1",
            "192.168.1.7",
            "192.0.2.1",
            "::1",
            "::ffff:",
            "localhost",
            ":80",
            ":0",
            ":99999",
            "x",
            "\xe4",
            "\uff0e",
        ),
    ]
)
URLS = st.text(max_size=40) | st.lists(PIECES, max_size=8).map("".join)
URLS_OF_THE_HOST = st.lists(PIECES, max_size=6).map(lambda pieces: "http://192.168.1.1" + "".join(pieces))


@pytest.mark.conforms("UP-32")
@given(URLS | URLS_OF_THE_HOST, st.sampled_from([ALONE, LINK]))
@examples(500)
def test_whatever_is_accepted_leads_to_the_host(url: str, place: Place) -> None:
    with suppress(ProtocolError):
        parts = urlsplit(checked_url(url, place))
        assert (parts.scheme, ip_address(parts.hostname or ""), parts.username) == ("http", HOST, None)
        assert parts.netloc.partition(":")[0] == "192.168.1.1"
        assert not parts.fragment


@pytest.mark.conforms("UP-36", "Q-30", "Q-32")
@given(st.none() | URLS | URLS_OF_THE_HOST, URLS)
@examples(300)
def test_whatever_a_description_says_the_control_url_leads_to_the_host(url_base: str | None, relative: str) -> None:
    with suppress(ProtocolError):
        parts = urlsplit(control_url(LOCATION, url_base, relative, LINK))
        assert (parts.scheme, parts.netloc.partition(":")[0], parts.username) == ("http", "192.168.1.1", None)

"""Which services a device description offers, and where they are."""

from contextlib import suppress
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper.errors import ProtocolError
from portmapper.upnp.description import Service, decode_services
from portmapper.upnp.location import control_url
from portmapper.upnp.xml import decode_xml, local_name, text_of
from tests.fuzz import examples
from tests.wire import vectors as tv

HOST = IPv4Address("192.168.1.1")
LOCATION = "http://192.168.1.1:5000/igd/rootDesc.xml"
KIND = "urn:schemas-upnp-org:service:"


def service(name: str, control: str = "/ctl") -> str:
    return f"<service><serviceType>{KIND}{name}</serviceType><controlURL>{control}</controlURL></service>"


def root(*services: str, extra: str = "") -> bytes:
    return (
        f'<root xmlns="urn:schemas-upnp-org:device-1-0">{extra}'
        f"<device><serviceList>{''.join(services)}</serviceList></device></root>"
    ).encode()


def names(body: bytes) -> list[str]:
    return [service.service_type.removeprefix(KIND) for service in decode_services(body, LOCATION, HOST)]


def test_the_service_of_a_nested_device() -> None:
    """UP-35, UP-38 to UP-40, TV-21: three devices deep; the IPv6 firewall maps no ports."""
    assert decode_services(tv.TV21_DESC, LOCATION, HOST) == (
        Service(f"{KIND}WANIPConnection:2", "http://192.168.1.1:5000/igd/ctl/IPConn"),
    )


def test_with_a_url_base() -> None:
    """UP-35, TV-21."""
    body = tv.TV21_DESC.replace(b"<device>", b"<URLBase>http://192.168.1.1:6000/</URLBase><device>", 1)
    assert [one.control_url for one in decode_services(body, LOCATION, HOST)] == ["http://192.168.1.1:6000/ctl/IPConn"]


@pytest.mark.parametrize(
    ("url_base", "urls"),
    [
        (None, ["http://192.168.1.1:5000/igd/ctl/IPConn", "http://192.168.1.1:5000/ctl/IP6FW"]),
        ("http://192.168.1.1:6000/", ["http://192.168.1.1:6000/ctl/IPConn", "http://192.168.1.1:6000/ctl/IP6FW"]),
    ],
)
def test_every_control_url_of_the_vector(url_base: str | None, urls: list[str]) -> None:
    """UP-35, UP-117, TV-21: that of the IPv6 firewall too."""
    services = [element for element in decode_xml(tv.TV21_DESC).iter() if local_name(element) == "service"]
    controls = [text_of(element, "controlURL") or "" for element in services]
    assert [control_url(LOCATION, url_base, control, HOST) for control in controls] == urls


@pytest.mark.parametrize("url_base", ["http://192.168.1.254:6000/", "http://router/", "", "\n"])
def test_a_url_base_on_another_host_is_ignored(url_base: str) -> None:
    """UP-36."""
    body = root(service("WANIPConnection:1"), extra=f"<URLBase>{url_base}</URLBase>")
    assert decode_services(body, LOCATION, HOST)[0].control_url == "http://192.168.1.1:5000/ctl"


def test_the_best_service_comes_first() -> None:
    """UP-44."""
    body = root(*map(service, ("WANPPPConnection:1", "WANIPConnection:1", "WANPPPConnection:2", "WANIPConnection:2")))
    assert names(body) == ["WANIPConnection:2", "WANIPConnection:1", "WANPPPConnection:2", "WANPPPConnection:1"]


def test_of_equal_services_the_order_of_the_device_stays() -> None:
    body = root(service("WANIPConnection:1", "/first"), service("WANIPConnection:1", "/second"))
    assert [one.control_url[-6:] for one in decode_services(body, LOCATION, HOST)] == ["/first", "second"]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_the_version_is_that_of_the_type(version: int) -> None:
    """UP-40: a higher version is used as the lower one, under its own name."""
    [one] = decode_services(root(service(f"WANIPConnection:{version}")), LOCATION, HOST)
    assert one.service_type == f"{KIND}WANIPConnection:{version}"
    assert one.version == version


@pytest.mark.parametrize(
    "name",
    [
        "WANIPConnection",
        "WANIPConnection:",
        "WANIPConnection:0",
        "WANIPConnection:-1",
        "WANIPConnection:\N{SUPERSCRIPT TWO}",
        "WANIPConnection:1:1",
        "WANIPConnection:99999",
        "WANCommonInterfaceConfig:1",
        "Layer3Forwarding:1",
        "",
    ],
)
def test_other_services_are_skipped(name: str) -> None:
    assert names(root(service(name), service("WANPPPConnection:1"))) == ["WANPPPConnection:1"]
    with pytest.raises(ProtocolError, match="no port mapping service"):
        decode_services(root(service(name)), LOCATION, HOST)


@pytest.mark.parametrize(
    "body",
    [
        root(),
        b"<root/>",
        root("<service/>"),
        root("<service><controlURL>/ctl</controlURL></service>"),
        b"",
        b"<html><body>Login</body></html>",
        b"<html><body>Login<br></body></html>",
        b"{}",
    ],
)
def test_what_offers_nothing_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_services(body, LOCATION, HOST)


@pytest.mark.parametrize("control", ["http://192.0.2.1/ctl", "//192.0.2.1/ctl", "https://192.168.1.1/ctl", "/a b"])
def test_a_control_url_elsewhere_is_refused(control: str) -> None:
    """UP-32."""
    with pytest.raises(ProtocolError):
        decode_services(root(service("WANIPConnection:1", control)), LOCATION, HOST)


def test_a_description_in_another_dress_is_read_alike() -> None:
    """UP-37, UP-42: prefixes, case, comments, unknown elements, white space."""
    body = f"""

        <?xml version="1.0" encoding="x-unknown"?>
        <D:Root xmlns:D="urn:schemas-upnp-org:device-1-0" xmlns:v="urn:vendor"><!-- hello -->
          <v:extra v:x="1"><v:y/></v:extra>
          <D:DEVICE><D:servicelist><D:Service v:x="1">
             <v:extra/><?pi x?>
             <D:SERVICETYPE> {KIND}WANIPConnection:1 </D:SERVICETYPE><D:controlurl>
               ctl </D:controlurl>
          </D:Service></D:servicelist></D:DEVICE>
        </D:Root>\0"""
    assert decode_services(body.encode(), LOCATION, HOST) == (
        Service(f"{KIND}WANIPConnection:1", "http://192.168.1.1:5000/igd/ctl"),
    )


def test_a_description_without_any_namespace_is_read() -> None:
    body = root(service("WANIPConnection:1")).replace(b' xmlns="urn:schemas-upnp-org:device-1-0"', b"")
    assert names(body) == ["WANIPConnection:1"]


BODIES = [tv.TV21_DESC, root(service("WANIPConnection:1"), service("WANPPPConnection:1", "x"))]


@given(st.binary(max_size=100) | tv.bytes_near(BODIES))
@examples(200)
def test_any_bytes_are_services_or_a_protocol_error(body: bytes) -> None:
    with suppress(ProtocolError):
        services = decode_services(body, LOCATION, HOST)
        assert all(one.control_url.startswith("http://192.168.1.1") and one.version for one in services)


TEXTS = st.text(st.characters(codec="ascii", exclude_characters="<&"), max_size=20)


@given(TEXTS, TEXTS, st.sampled_from(["", "http://192.168.1.1", "//", "http://192.0.2.1/"]))
@examples(200)
def test_any_urls_in_a_description_lead_to_the_host_or_nowhere(url_base: str, control: str, start: str) -> None:
    body = root(service("WANIPConnection:1", start + control), extra=f"<URLBase>{start}{url_base}</URLBase>")
    with suppress(ProtocolError):
        [one] = decode_services(body, LOCATION, HOST)
        assert one.control_url.removeprefix("http://192.168.1.1")[:1] in {"", "/", ":", "?"}

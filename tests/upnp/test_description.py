"""What a device description offers: connections in their order, the firewall, the model, and where they are."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.upnp.description import Description, Service, decode_description, rank
from portmapper.upnp.location import Place, control_url
from portmapper.upnp.xml import decode_xml, local_name, text_of
from tests.fuzz import examples
from tests.wire import vectors as tv

PLACE = Place(IPv4Address("192.168.1.1"), IPv4Network("192.168.1.0/24"))
LOCATION = "http://192.168.1.1:5000/igd/rootDesc.xml"
KIND, TR064 = "urn:schemas-upnp-org:service:", "urn:dslforum-org:service:"
FIREWALL = "WANIPv6FirewallControl:1"


def service(name: str, control: str = "/ctl", domain: str = KIND) -> str:
    return (
        f"<service><serviceType>{domain}{name}</serviceType><serviceId>urn:upnp-org:serviceId:x</serviceId>"
        f"<SCPDURL>/x.xml</SCPDURL><controlURL>{control}</controlURL><eventSubURL/></service>"
    )


def root(*services: str, extra: str = "") -> bytes:
    return (
        f'<root xmlns="urn:schemas-upnp-org:device-1-0">{extra}'
        f"<device><serviceList>{''.join(services)}</serviceList></device></root>"
    ).encode()


def device(kind: str, *devices: str, services: tuple[str, ...] = (), model: str = "") -> str:
    named = f"<modelName>{model}</modelName>" if model else ""
    inside = f"<serviceList>{''.join(services)}</serviceList><deviceList>{''.join(devices)}</deviceList>"
    return f"<device><deviceType>urn:schemas-upnp-org:device:{kind}:1</deviceType>{named}{inside}</device>"


def decoded(body: bytes) -> Description:
    return decode_description(body, LOCATION, PLACE)


def names(body: bytes) -> list[str]:
    return [one.service_type.removeprefix(KIND) for one in decoded(body).connections]


def controls(body: bytes) -> list[str]:
    return [one.control_url.removeprefix("http://192.168.1.1:5000") for one in decoded(body).connections]


# --- The services and where they are


@pytest.mark.conforms("UP-35", "UP-38", "UP-39", "UP-117")
def test_the_services_of_nested_devices() -> None:
    """TV-21: three devices deep."""
    assert decoded(tv.TV21_DESC) == Description(
        model="fake",
        connections=(Service(f"{KIND}WANIPConnection:2", "http://192.168.1.1:5000/igd/ctl/IPConn"),),
        firewall=Service(f"{KIND}{FIREWALL}", "http://192.168.1.1:5000/ctl/IP6FW"),
    )


@pytest.mark.conforms("UP-35")
def test_with_a_url_base() -> None:
    body = tv.TV21_DESC.replace(b"<device>", b"<URLBase>http://192.168.1.1:6000/</URLBase><device>", 1)
    assert [one.control_url for one in decoded(body).connections] == ["http://192.168.1.1:6000/ctl/IPConn"]


@pytest.mark.conforms("UP-35", "UP-117")
@pytest.mark.parametrize(
    ("url_base", "urls"),
    [
        (None, ["http://192.168.1.1:5000/igd/ctl/IPConn", "http://192.168.1.1:5000/ctl/IP6FW"]),
        ("http://192.168.1.1:6000/", ["http://192.168.1.1:6000/ctl/IPConn", "http://192.168.1.1:6000/ctl/IP6FW"]),
    ],
)
def test_every_control_url_of_the_vector(url_base: str | None, urls: list[str]) -> None:
    """TV-21."""
    services = [element for element in decode_xml(tv.TV21_DESC).iter() if local_name(element) == "service"]
    relative = [text_of(element, "controlURL") or "" for element in services]
    assert [control_url(LOCATION, url_base, one, PLACE) for one in relative] == urls


@pytest.mark.conforms("UP-36", "Q-30")
@pytest.mark.parametrize("url_base", ["http://192.0.2.1:6000/", "http://router/", "https://192.168.1.1/", "", "\n"])
def test_a_url_base_on_another_host_is_ignored(url_base: str) -> None:
    assert controls(root(service("WANIPConnection:1"), extra=f"<URLBase>{url_base}</URLBase>")) == ["/ctl"]


@pytest.mark.conforms("UP-35", "Q-30")
@pytest.mark.parametrize("url_base", ["http://192.168.1.1:80", "http://192.168.1.1:80/", "http://192.168.1.254/"])
@pytest.mark.parametrize("control", ["http://192.168.1.1:5000/ctl", "http://192.168.1.254:5000/ctl"])
def test_an_absolute_control_url_needs_no_url_base(control: str, url_base: str) -> None:
    """Whatever host or slash that has; another address of the box is the box."""
    assert controls(root(service("WANIPConnection:1", control), extra=f"<URLBase>{url_base}</URLBase>")) == ["/ctl"]


@pytest.mark.conforms("UP-35", "Q-31")
def test_a_control_url_that_is_a_mere_query_belongs_to_the_path_of_the_description() -> None:
    assert controls(root(service("WANIPConnection:1", "?control=1&amp;x"))) == ["/igd/rootDesc.xml?control=1&x"]


@pytest.mark.conforms("UP-32", "Q-32")
@pytest.mark.parametrize("control", ["http://192.0.2.1/ctl", "//192.0.2.1/ctl", "https://192.168.1.1/ctl", "/a b"])
def test_a_control_url_elsewhere_is_refused(control: str) -> None:
    with pytest.raises(ProtocolError, match=r"refused|usable"):
        decoded(root(service("WANIPConnection:1", control)))


@pytest.mark.conforms("Q-32")
def test_a_control_url_elsewhere_hides_no_sound_service() -> None:
    body = root(service("WANIPConnection:2", "http://192.0.2.1/ctl"), service("WANPPPConnection:1"))
    assert names(body) == ["WANPPPConnection:1"]


# --- Their order


@pytest.mark.conforms("UP-44", "Q-29")
def test_the_best_service_comes_first() -> None:
    body = root(*map(service, ("WANPPPConnection:1", "WANIPConnection:1", "WANPPPConnection:2", "WANIPConnection:2")))
    assert names(body) == ["WANIPConnection:2", "WANIPConnection:1", "WANPPPConnection:2", "WANPPPConnection:1"]


@pytest.mark.conforms("Q-24")
def test_the_services_of_tr_064_come_last_and_serve_where_there_is_nothing_else() -> None:
    """Those mostly want a password."""
    tr064 = [service("WANIPConnection:2", "/dsl/ip", TR064), service("WANPPPConnection:1", "/dsl/ppp", TR064)]
    assert controls(root(*tr064, service("WANPPPConnection:1", "/ppp"))) == ["/ppp", "/dsl/ip", "/dsl/ppp"]
    [only] = decoded(root(tr064[1])).connections
    assert only == Service(f"{TR064}WANPPPConnection:1", "http://192.168.1.1:5000/dsl/ppp")
    assert (only.version, only.kind) == (1, f"{TR064}WANPPPConnection")


@pytest.mark.conforms("Q-26")
def test_the_type_counts_and_not_what_the_control_url_says() -> None:
    body = root(service("WANPPPConnection:2", "/upnp/control/WANIPConn1"), service("WANIPConnection:1", "/PPPConn"))
    assert [(one.service_type, rank(one)) for one in decoded(body).connections] == [
        (f"{KIND}WANIPConnection:1", (0, -1)),
        (f"{KIND}WANPPPConnection:2", (1, -2)),
    ]


@pytest.mark.conforms("UP-38", "Q-23", "Q-28")
def test_of_several_wan_devices_all_connections_are_kept_in_the_order_of_the_device() -> None:
    """Equal ones as they stand there; the first need not be the one that is connected."""
    wans = [
        device("WANDevice", device("WANConnectionDevice", services=(service("WANIPConnection:1", f"/{number}"),)))
        for number in range(3)
    ]
    both = device(
        "WANConnectionDevice", services=(service("WANPPPConnection:1", "/ppp"), service("WANIPConnection:1", "/3"))
    )
    body = f"<root>{device('InternetGatewayDevice', *wans, device('WANDevice', both))}</root>"
    assert controls(body.encode()) == ["/0", "/1", "/2", "/3", "/ppp"]


@pytest.mark.conforms("UP-40", "UP-21")
@pytest.mark.parametrize("version", [1, 2, 3])
def test_the_version_is_that_of_the_type(version: int) -> None:
    """A higher version is used as the lower one, under its own name."""
    [one] = decoded(root(service(f"WANIPConnection:{version}"))).connections
    assert one.service_type == f"{KIND}WANIPConnection:{version}"
    assert one.version == version


def test_8_services_are_looked_at_and_no_more() -> None:
    many = [service("WANIPConnection:1", f"/{number}") for number in range(limits.SERVICES)]
    assert len(controls(root(*many))) == limits.SERVICES
    with_more = decoded(root(*many, service("WANIPConnection:2"), service(FIREWALL)))
    assert (len(with_more.connections), with_more.firewall) == (limits.SERVICES, None)
    others = [service("Layer3Forwarding:1")] * 20
    assert len(controls(root(*others, *many))) == limits.SERVICES


# --- The firewall and the model


@pytest.mark.conforms("UP-117")
def test_the_firewall_is_no_connection_and_may_be_all_there_is() -> None:
    only = decoded(root(service(FIREWALL, "/fw")))
    assert only.connections == ()
    assert only.firewall == Service(f"{KIND}{FIREWALL}", "http://192.168.1.1:5000/fw")
    assert decoded(root(service("WANIPConnection:1"))).firewall is None


@pytest.mark.conforms("UP-117")
def test_the_first_sound_firewall_is_used() -> None:
    bad, first, second = service(FIREWALL, "http://192.0.2.1/"), service(FIREWALL, "/1"), service(FIREWALL, "/2")
    found = decoded(root(bad, first, second)).firewall
    assert found is not None
    assert found.control_url.endswith("/1")


def test_the_firewall_of_another_domain_is_none() -> None:
    with pytest.raises(ProtocolError):
        decoded(root(service(FIREWALL, domain=TR064)))


@pytest.mark.parametrize(
    ("models", "model"),
    [(["Box", "Inner"], "Box"), (["", "Inner"], "Inner"), (["", ""], ""), (["\n Box 7 \n", ""], "Box 7")],
)
def test_the_model_is_that_of_the_outermost_device_that_has_one(models: list[str], model: str) -> None:
    outer, inner = models
    inside = device("WANDevice", services=(service("WANIPConnection:1"),), model=inner)
    assert decoded(f"<root>{device('InternetGatewayDevice', inside, model=outer)}</root>".encode()).model == model


# --- What is skipped


@pytest.mark.conforms("Q-25")
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
        decoded(root(service(name)))


@pytest.mark.conforms("Q-25")
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
        decoded(body)


# --- Other dress


@pytest.mark.conforms("UP-37", "UP-42", "Q-34")
def test_a_description_in_another_dress_is_read_alike() -> None:
    """Prefixes, case, comments, unknown elements, white space, NUL at the end."""
    body = f"""

        <?xml version="1.0" encoding="x-unknown"?>
        <D:Root xmlns:D="urn:schemas-upnp-org:device-1-0" xmlns:v="urn:vendor"><!-- hello -->
          <v:extra v:x="1"><v:y/></v:extra>
          <D:DEVICE><D:MODELNAME>Box</D:MODELNAME><D:servicelist><D:Service v:x="1">
             <v:extra/><?pi x?>
             <D:SERVICETYPE> {KIND}WANIPConnection:1 </D:SERVICETYPE><D:controlurl>
               ctl </D:controlurl>
          </D:Service></D:servicelist></D:DEVICE>
        </D:Root>\0"""
    connection = Service(f"{KIND}WANIPConnection:1", "http://192.168.1.1:5000/igd/ctl")
    assert decoded(body.encode()) == Description(model="Box", connections=(connection,))


@pytest.mark.conforms("UP-37", "Q-35")
def test_a_description_without_any_namespace_is_read() -> None:
    body = root(service("WANIPConnection:1")).replace(b' xmlns="urn:schemas-upnp-org:device-1-0"', b"")
    assert names(body) == ["WANIPConnection:1"]


# --- Any bytes

BODIES = [tv.TV21_DESC, root(service("WANIPConnection:1"), service("WANPPPConnection:1", "x"), service(FIREWALL))]


@given(st.binary(max_size=100) | tv.bytes_near(BODIES))
@examples(200)
def test_any_bytes_are_a_description_or_a_protocol_error(body: bytes) -> None:
    with suppress(ProtocolError):
        found = decoded(body)
        offered = [*found.connections, *([found.firewall] if found.firewall else [])]
        assert offered
        assert all(one.control_url.startswith("http://192.168.1.1") and one.version for one in offered)


TEXTS = st.text(st.characters(codec="ascii", exclude_characters="<&"), max_size=20)
STARTS = st.sampled_from(["", "http://192.168.1.1", "http://192.168.1.7", "//", "http://192.0.2.1/"])


@pytest.mark.conforms("UP-32", "UP-36", "Q-30", "Q-32")
@given(TEXTS, TEXTS, STARTS)
@examples(200)
def test_any_urls_in_a_description_lead_to_the_host_or_nowhere(url_base: str, control: str, start: str) -> None:
    body = root(service("WANIPConnection:1", start + control), extra=f"<URLBase>{start}{url_base}</URLBase>")
    with suppress(ProtocolError):
        [one] = decoded(body).connections
        assert one.control_url.removeprefix("http://192.168.1.1")[:1] in {"", "/", ":", "?"}

"""Situations that keep people out, and the verdict that each has to get. docs/doctor.md is checked against these."""

from dataclasses import dataclass
from typing import Any

from tests.doctor.scene import NEIGHBOUR, OUTER, Build, Scene

_ONLY_UPNP = {"pcp": False, "natpmp": False}
_BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]>'
_CONTROL = ("udp dport 5351 {verdict}", "udp dport 1900 {verdict}")


@dataclass(frozen=True, slots=True)
class Situation:
    """What is so, how it is made, what is asked, and what has to be said: the code, the exit code, words."""

    name: str
    code: str
    build: Build
    arguments: tuple[str, ...] = ()
    well: bool = False
    says: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


def _nothing(scene: Scene) -> None:
    pass


def _cable_without_signal(scene: Scene) -> None:
    scene.ip("link add eth0 type veth peer name other\nlink set eth0 up\n")


def _only_a_vpn(scene: Scene) -> None:
    scene.plug_in()
    scene.tunnel("default")


def _no_default_route(scene: Scene) -> None:
    scene.plug_in()


def _served(**switches: Any) -> Build:
    def build(scene: Scene) -> None:
        scene.at_home()
        scene.serve(**switches)

    return build


def _served_with_listener(**switches: Any) -> Build:
    def build(scene: Scene) -> None:
        _served(**switches)(scene)
        scene.listen()

    return build


def _own_firewall(verdict: str) -> Build:
    def build(scene: Scene) -> None:
        _served()(scene)
        scene.rules(scene.host, "output", *(rule.format(verdict=verdict) for rule in _CONTROL))

    return build


def _router_firewall(verdict: str) -> Build:
    def build(scene: Scene) -> None:
        scene.at_home()
        scene.rules(scene.router, "input", *(rule.format(verdict=verdict) for rule in _CONTROL))

    return build


def _two_routers(scene: Scene) -> None:
    scene.at_home()
    scene.plug_in("wlan0", "192.168.78.10", "192.168.78.1")
    scene.ip("route add default via 192.168.78.1 metric 600\n")
    scene.serve(address="192.168.78.1")


def _only_ipv6(scene: Scene) -> None:
    scene.plug_in(host="fd77::10", router="fd77::1")
    scene.ip("-6 route add default via fd77::1\n".replace("-6 ", ""))


def _router_is_gone(scene: Scene) -> None:
    scene.plug_in()
    scene.ip("route add default via 192.168.77.99\n")


def _rubbish(scene: Scene) -> None:
    scene.at_home()
    scene.serve_rubbish()


def _services_off(scene: Scene) -> None:
    scene.at_home()


def _public_host(scene: Scene) -> None:
    scene.plug_in(host="8.8.5.10", router="8.8.5.1")
    scene.ip("route add default via 8.8.5.1\n")


def _listens_on(address: str) -> Build:
    def build(scene: Scene) -> None:
        _served()(scene)
        scene.ip("addr add 10.55.0.1/32 dev lo\n")
        scene.listen(address)

    return build


def _behind_a_vpn(scene: Scene) -> None:
    _served_with_listener()(scene)
    scene.tunnel("0.0.0.0/1", "128.0.0.0/1")


def _shared_address(scene: Scene) -> None:
    scene.at_home()
    scene.ip("addr add 100.64.9.9/32 dev lo\n", scene.router)
    scene.serve(external_address="100.64.9.9")


def _held(scene: Scene) -> None:
    _served_with_listener()(scene)
    scene.hold("8080")


def _firewall_on(scene: Scene) -> None:
    _served_with_listener()(scene)
    scene.rules(scene.host, "input", "iifname lo accept", "ct state established accept", "udp dport 1-9 accept", "drop")


_WITHOUT_ADDRESS = {
    "external_address": "0.0.0.0",
    "igd": {"external_address": "", "connections": [{"status": "Disconnected"}]},
}

SITUATIONS = (
    Situation("no interface but lo", "no-network", _nothing),
    Situation("a cable without signal", "no-network", _cable_without_signal, says=("eth0",)),
    Situation("everything goes through a tunnel", "vpn", _only_a_vpn, says=("tun0", "--gateway")),
    Situation("an address and no default route", "no-gateway", _no_default_route),
    Situation(
        "this host drops its own questions", "local-firewall", _own_firewall("drop"), says=("nftables", "UDP port 5351")
    ),
    Situation("this host rejects its own questions", "local-firewall", _own_firewall("reject")),
    Situation(
        "the preferred router opens no ports, the other does",
        "wrong-interface",
        _two_routers,
        says=("192.168.78.1", "wlan0"),
    ),
    Situation("IPv6 only, and the router answers nothing", "ipv6-only", _only_ipv6, says=("by hand",)),
    Situation("nobody has the router's address", "gateway-dead", _router_is_gone, says=("192.168.77.99",)),
    Situation("UPnP, NAT-PMP and PCP are switched off", "services-off", _services_off, says=("NAT forwarding",)),
    Situation(
        "a firewall on the router forbids the questions",
        "icmp-refused",
        _router_firewall("reject with icmpx type admin-prohibited"),
        says=("192.168.77.1 said 'administratively prohibited'",),
    ),
    Situation("a firewall on the router drops the questions", "silent", _router_firewall("drop")),
    Situation("something answers with rubbish", "nonsense", _rubbish),
    Situation(
        "the description is said to be on another host",
        "bad-description",
        _served(**_ONLY_UPNP, igd={"location": "http://8.8.8.8:80/desc.xml"}),
        says=("points to", "refused"),
    ),
    Situation(
        "the description is a bomb", "bad-description", _served(**_ONLY_UPNP, igd={"before_xml": _BOMB}), says=("XML",)
    ),
    Situation(
        "the description is a bomb, but NAT-PMP works",
        "bad-description",
        _served(pcp=False, igd={"before_xml": _BOMB}),
        well=True,
    ),
    Situation(
        "the device does no address translation",
        "no-nat",
        _served(**_ONLY_UPNP, igd={"connections": [{"nat_enabled": False}]}),
    ),
    Situation(
        "the device is a bridge",
        "no-nat",
        _served(**_ONLY_UPNP, igd={"connections": [{"connection_type": "IP_Bridged"}]}),
    ),
    Situation(
        "NAT-PMP is there and not allowed",
        "not-authorized",
        _served(pcp=False, upnp=False, refuse={"address": 2}),
        says=("NOT_AUTHORIZED",),
    ),
    Situation(
        "no protocol may open a port",
        "not-authorized",
        _served_with_listener(upnp=False, refuse={"pcp": 2, "natpmp": 2}),
        ("8080",),
        says=("8080/tcp", "NOT_AUTHORIZED"),
    ),
    Situation(
        "UPnP refuses this host",
        "not-authorized",
        _served_with_listener(**_ONLY_UPNP, igd={"refuses": {"AddPortMapping": 606, "AddAnyPortMapping": 606}}),
        ("8080",),
        says=("ActionNotAuthorized",),
    ),
    Situation("the router has no address outside", "wan-down", _served(**_WITHOUT_ADDRESS)),
    Situation(
        "PCP says that the network is down",
        "wan-down",
        _served_with_listener(natpmp=False, upnp=False, refuse={"pcp": 7}),
        ("8080",),
    ),
    Situation(
        "the provider shares its addresses", "cgnat", _served(external_address="100.64.9.9"), says=("100.64.9.9",)
    ),
    Situation(
        "another router is in front",
        "double-nat",
        _served(external_address="10.0.0.5"),
        says=("10.0.0.5", "bridge mode"),
    ),
    Situation(
        "the router is full by PCP",
        "no-room",
        _served_with_listener(natpmp=False, upnp=False, refuse={"pcp": 8}),
        ("8080",),
        says=("NO_RESOURCES",),
    ),
    Situation(
        "the router is full by UPnP",
        "no-room",
        _served_with_listener(**_ONLY_UPNP, igd={"max_mappings": 0}),
        ("8080",),
        says=("NoPortMapsAvailable",),
    ),
    Situation(
        "another host has the port",
        "conflict",
        _served_with_listener(taken=[(NEIGHBOUR, 8080)]),
        ("8080",),
        says=(NEIGHBOUR, "Mary's box", "18080"),
    ),
    Situation(
        "another host has the port, which only PCP can tell",
        "conflict",
        _served_with_listener(natpmp=False, upnp=False, taken=[(NEIGHBOUR, 8080)]),
        ("8080",),
        says=("another host",),
    ),
    Situation(
        "the router says yes and does nothing",
        "trial-failed",
        _served_with_listener(**_ONLY_UPNP, igd={"adds_nothing": True}),
        ("8080",),
    ),
    Situation("nobody listens on the port", "nobody-listens", _served(), ("8080",), says=("8080/tcp",)),
    Situation("nobody listens by UDP", "nobody-listens", _served_with_listener(), ("8080/udp",), says=("8080/udp",)),
    Situation(
        "the program listens on loopback only", "loopback-only", _listens_on("127.0.0.1"), ("8080",), says=("0.0.0.0",)
    ),
    Situation(
        "the program listens on another address",
        "other-address",
        _listens_on("10.55.0.1"),
        ("8080",),
        says=("10.55.0.1",),
    ),
    Situation("answers leave through a VPN", "answers-elsewhere", _behind_a_vpn, ("8080",), says=("10.2.0.2", "tun0")),
    Situation(
        "the router does not delete what it made",
        "left-behind",
        _served_with_listener(**_ONLY_UPNP, igd={"refuses": {"DeletePortMapping": 606}}),
        ("8080",),
        well=True,
        says=("could not be removed",),
    ),
    Situation(
        "two protocols name two addresses",
        "addresses-differ",
        _served(igd={"external_address": "8.8.4.9"}),
        well=True,
        says=(f"{OUTER} by natpmp", "8.8.4.9 by upnp"),
    ),
    Situation(
        "the router knows only mappings without end",
        "permanent-only",
        _served_with_listener(**_ONLY_UPNP, igd={"permanent_only": True, "version": 1}),
        ("8080",),
        well=True,
    ),
    Situation("this host has a public address", "public-address", _public_host, well=True, says=("8.8.5.10",)),
    Situation("the router opens ports", "ok", _served(), well=True, says=(OUTER, "pcp, natpmp, upnp")),
    Situation(
        "the port can be opened, and a program listens",
        "ok",
        _served_with_listener(),
        ("8080",),
        well=True,
        says=(f"{OUTER}:8080",),
    ),
    Situation("another program has the port open", "ok", _held, ("8080",), well=True, says=("open already",)),
    Situation("the firewall of this host is on", "ok", _firewall_on, ("8080",), well=True, says=("nftables",)),
    Situation(
        "two problems: the provider shares its addresses, and nobody listens",
        "cgnat",
        _shared_address,
        ("8080",),
        also=("nobody-listens",),
    ),
)

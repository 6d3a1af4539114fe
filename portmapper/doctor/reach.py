"""Rules: is there a router at all, and does it speak any of the protocols. Findings in, problems out. No I/O."""

import errno
from collections.abc import Iterator
from ipaddress import IPv4Address

from portmapper.doctor.findings import Device, Findings, GatewayFindings, Outcome, Refusal
from portmapper.doctor.problem import Code, Problem
from portmapper.doctor.wording import problem, remark
from portmapper.model import Reachability, reachability

_TITLES = {"pcp": "PCP", "natpmp": "NAT-PMP", "upnp": "UPnP"}
_ICMP = {
    (3, 0): "network unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 9): "network administratively prohibited",
    (3, 10): "host administratively prohibited",
    (3, 13): "administratively prohibited",
}
_ICMP_6 = {
    (1, 0): "no route",
    (1, 1): "administratively prohibited",
    (1, 3): "address unreachable",
    (1, 4): "port unreachable",
    (1, 5): "source address refused",
    (1, 6): "route rejected",
}


def network_problems(findings: Findings) -> Iterator[Problem]:
    """Yield why no gateway can be asked."""
    if findings.gateways:
        return
    tunnels = [one.interface for one, _ in findings.network.candidates if one.gateway is None]
    if tunnels:
        yield problem(Code.VPN, interface=tunnels[0])
    elif not _is_connected(findings):
        yield problem(Code.NO_NETWORK, down=_down(findings))
    else:
        yield problem(Code.NO_GATEWAY, why=_useless(findings))


def service_problems(findings: Findings) -> Iterator[Problem]:
    """Yield why the gateway that would be used answers by none of the protocols, and what is odd about it."""
    first = findings.first
    if first is None:
        return
    if has_public_address(first):
        yield remark(Code.PUBLIC_ADDRESS, address=first.gateway.source, port=port_words(findings))
    elif isinstance(first.gateway.address, IPv4Address):
        yield from _ipv4_problems(findings, first)
    else:
        yield _ipv6_only(first)
    yield from _descriptions(first)


def has_public_address(one: GatewayFindings) -> bool:
    """Whether this host itself has the address that the Internet sees, by IPv4."""
    source = one.gateway.source
    return isinstance(source, IPv4Address) and reachability(source) is Reachability.PUBLIC


def services(one: GatewayFindings) -> tuple[str, ...]:
    """Return the backends that a gateway answers to."""
    asked = [question.backend for question in one.questions if question.outcome is Outcome.ANSWERED]
    v4 = isinstance(one.gateway.address, IPv4Address)
    offers = any(device.connections if v4 else device.firewall for device in one.devices if not device.problem)
    return (*asked, *(["upnp"] if offers else []))


def port_words(findings: Findings) -> str:
    """Return what to call the port in advice."""
    return str(findings.port.request) if findings.port else "the port"


def refusal_words(refusal: Refusal) -> str:
    """Return what the network said, and who."""
    if refusal.icmp is None or refusal.by is None:
        return refusal.text
    table = _ICMP if refusal.by.version == 4 else _ICMP_6  # noqa: PLR2004
    kind, code = refusal.icmp
    return f"{refusal.by} said '{table.get(refusal.icmp, 'unreachable')}' (ICMP type {kind}, code {code})"


def _ipv4_problems(findings: Findings, first: GatewayFindings) -> Iterator[Problem]:
    spoken, stopped = services(first), _stopped(first)
    if stopped:
        active = f" ({', '.join(findings.firewall.active)})" if findings.firewall.active else ""
        facts = {"gateway": first.gateway, "active": active, "stopped": " and ".join(stopped)}
        yield (remark if spoken else problem)(Code.LOCAL_FIREWALL, **facts)
    if spoken:
        return
    others = [one for one in findings.gateways[1:] if isinstance(one.gateway.address, IPv4Address) and services(one)]
    if others:
        other = others[0].gateway
        through = f" through {other.interface}" if other.interface else ""
        yield problem(Code.WRONG_INTERFACE, gateway=first.gateway, other=other, through=through)
    elif not stopped and not _unusable(first):
        yield _nothing_answers(findings, first)


def _nothing_answers(findings: Findings, first: GatewayFindings) -> Problem:
    refused = [one.refusal for one in first.questions if one.outcome is Outcome.REFUSED and one.refusal]
    said = refusal_words(next((one for one in refused if one.errno != errno.ECONNREFUSED), Refusal(text="", errno=0)))
    place = {"gateway": first.gateway, "port": port_words(findings), "host": first.gateway.source}
    asked = ", ".join(_TITLES.get(name, name) for name in findings.backends)
    return problem(_silence(first, refused), said=said, asked=asked, **place)


def _silence(first: GatewayFindings, refused: list[Refusal]) -> Code:
    """Return which kind of silence it is."""
    searched = [first.search.outcome] if first.search else []
    outcomes = {*(one.outcome for one in first.questions), *searched}
    if first.neighbour.alive is False:
        return Code.GATEWAY_DEAD
    if any(one.errno != errno.ECONNREFUSED for one in refused):
        return Code.ICMP_REFUSED
    if refused:
        return Code.SERVICES_OFF
    return Code.NONSENSE if outcomes & {Outcome.NONSENSE, Outcome.OTHER_VERSION} else Code.SILENT


def _stopped(first: GatewayFindings) -> list[str]:
    """Return the ports that this host's own firewall lets nothing out to."""
    questions = any(one.outcome is Outcome.FORBIDDEN for one in first.questions)
    search = first.search is not None and first.search.outcome is Outcome.FORBIDDEN
    return [*(["UDP port 5351"] * questions), *(["UDP port 1900"] * search)]


def _ipv6_only(first: GatewayFindings) -> Problem:
    spoken = services(first)
    by_hand = "Allow the port for this host by hand in the router's IPv6 firewall: it answers no program."
    opened = f"People with IPv6 can: the router at {first.gateway} opens its IPv6 firewall ({', '.join(spoken)})."
    return problem(Code.IPV6_ONLY, pinhole=opened if spoken else by_hand)


def _descriptions(first: GatewayFindings) -> Iterator[Problem]:
    if bad := _unusable(first):
        say = remark if services(first) else problem
        yield say(Code.BAD_DESCRIPTION, device=bad[0].address, why=bad[0].problem)


def _unusable(first: GatewayFindings) -> list[Device]:
    """Return the devices that call themselves gateways and do not describe themselves as such."""
    return [device for device in first.devices if device.problem and device.claims]


def _is_connected(findings: Findings) -> bool:
    return any(one.up and not one.loopback and one.addresses for one in findings.network.interfaces)


def _down(findings: Findings) -> str:
    down = [one.name for one in findings.network.interfaces if not one.loopback and not (one.up and one.running)]
    return f" ({', '.join(down)} {'is' if len(down) == 1 else 'are'} not connected)" if down else ""


def _useless(findings: Findings) -> str:
    useless = [one for one, _ in findings.network.candidates]
    return f" ({useless[0].gateway}: {'; '.join(useless[0].reasons)})" if useless else ""

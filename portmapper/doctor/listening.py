"""Rules: what happens on this host to what comes through the router. Findings in, problems out. No I/O."""

from collections.abc import Iterator
from ipaddress import IPv4Address

from portmapper.doctor.findings import Findings, GatewayFindings, Listener, Network, PortFindings
from portmapper.doctor.problem import Code, Problem
from portmapper.doctor.wording import problem
from portmapper.model import IPAddress


def listening_problems(findings: Findings) -> Iterator[Problem]:
    """Yield why a connection that the router lets in would not be answered here."""
    first, port = findings.first, findings.port
    if port is not None and port.listeners is not None:
        yield from _listener_problems(port, port.listeners, first.gateway.source if first else None)
    if first is not None:
        yield from _route_problems(findings.network, first)


def _listener_problems(
    port: PortFindings, listeners: tuple[Listener, ...], facing: IPAddress | None
) -> Iterator[Problem]:
    """Yield what is wrong with where programs listen; `facing` is the address that the router sends to."""
    if not listeners:
        yield problem(Code.NOBODY_LISTENS, port=port.request, number=port.request.internal_port)
        return
    if facing is None or any(_hears(one, facing) for one in listeners):
        return
    local = " and ".join(dict.fromkeys(str(one.local.address) for one in listeners))
    loopback = all(one.local.address is not None and one.local.address.is_loopback for one in listeners)
    code = Code.LOOPBACK_ONLY if loopback else Code.OTHER_ADDRESS
    yield problem(code, port=port.request, local=local, host=facing)


def _hears(listener: Listener, address: IPAddress) -> bool:
    local = listener.local.address
    if local is None or local == address:
        return True
    # One that listens on :: hears IPv4 too, unless it was told not to, which does not show.
    return local.is_unspecified and (isinstance(address, IPv4Address) or not isinstance(local, IPv4Address))


def _route_problems(network: Network, first: GatewayFindings) -> Iterator[Problem]:
    outward, source = network.outward, first.gateway.source
    if outward is None or outward == source or not isinstance(source, IPv4Address) or source.is_loopback:
        return
    name = next((one.name for one in network.interfaces if outward in one.addresses), "")
    through = f" through {name}" if name else ""
    yield problem(Code.ANSWERS_ELSEWHERE, outward=outward, through=through, gateway=first.gateway)

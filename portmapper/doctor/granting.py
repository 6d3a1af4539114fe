"""Rules: a router that answers, and yet opens no port, or none that helps. Findings in, problems out. No I/O."""

from collections.abc import Iterator

from portmapper.doctor.findings import Connection, Findings, GatewayFindings, Outcome, PortFindings
from portmapper.doctor.problem import Code, Problem
from portmapper.doctor.reach import has_public_address, port_words, services
from portmapper.doctor.wording import problem, remark
from portmapper.model import IPAddress, Protocol, Reachability, reachability
from portmapper.text import safe_text

_FORBIDDEN = {"NOT_AUTHORIZED", "ActionNotAuthorized", "ReadOnly", "HumanInterventionRequired", "UNSUPP_OPCODE"}
_DOWN = {"NETWORK_FAILURE", "ConnectionNotConfigured", "InternetAccessDisabled", "ConnectionAlreadyTerminated"}
# What a refusal of the trial means, the first that fits.
_MEANING = {
    Code.NOT_AUTHORIZED: _FORBIDDEN,
    Code.NO_ROOM: {"NO_RESOURCES", "OUT_OF_RESOURCES", "USER_EX_QUOTA", "NoPortMapsAvailable", "OutOfMemory"},
    Code.WAN_DOWN: _DOWN,
    Code.NO_NAT: {"NAT_DISABLED", "NOT_ROUTED"},
    Code.CONFLICT: {
        "CANNOT_PROVIDE_EXTERNAL",
        "ConflictInMappingEntry",
        "ConflictWithOtherMechanisms",
        "OTHER_PORT_GRANTED",
    },
}
_BRIDGED = {"ip_bridged", "unconfigured"}
_UP = {"connected", "up"}
_FAR, _LAST = 10_000, 60_000  # another port to ask for: far from those that programs use beside this one


def granting_problems(findings: Findings) -> Iterator[Problem]:
    """Yield what the router's answers say is wrong with it, or with what it gave."""
    first = findings.first
    if first is None or not services(first):
        return
    if not has_public_address(first):
        yield from _router_problems(findings, first)
    yield from _address_problems(findings, first)
    if findings.port is not None:
        yield from _trial_problems(findings.port, first)


def external_addresses(findings: Findings) -> dict[str, IPAddress]:
    """Return the external address that each backend told, of the gateway that would be used."""
    first, port = findings.first, findings.port
    if first is None:
        return {}
    found = {one.backend: one.address for one in first.questions if one.address is not None}
    for connection in connections(first):
        if connection.address is not None and _is_up(connection) is not False:
            found.setdefault("upnp", connection.address)
    for trial in port.trials if port else ():
        if trial.external is not None and trial.external.address is not None:
            found.setdefault(trial.backend, trial.external.address)
    return found


def connections(one: GatewayFindings) -> list[Connection]:
    """Return the WAN connections of a gateway's devices that said something."""
    sound = (device for device in one.devices if not device.problem)
    return [each for device in sound for each in device.connections if not each.problem]


def _router_problems(findings: Findings, first: GatewayFindings) -> Iterator[Problem]:
    results = {one.result for one in first.questions if one.outcome is Outcome.ANSWERED}
    alone = len(services(first)) == 1
    if alone and results & _FORBIDDEN:
        yield problem(Code.NOT_AUTHORIZED, gateway=first.gateway, port="ports", name=_first(results & _FORBIDDEN))
    if _is_down(findings, first, results):
        yield problem(Code.WAN_DOWN, gateway=first.gateway)
    if alone and _does_no_nat(first):
        yield problem(Code.NO_NAT, gateway=first.gateway)


def _is_down(findings: Findings, first: GatewayFindings, results: set[str]) -> bool:
    if external_addresses(findings):
        return False
    # Only NAT-PMP's question is for the address: 0.0.0.0 is none.
    told_none = any(
        one.backend == "natpmp" and one.result == "SUCCESS" and one.address is None for one in first.questions
    )
    asked = connections(first)
    none_up = bool(asked) and all(_is_up(one) is False or (one.told_address and one.address is None) for one in asked)
    return none_up or told_none or bool(results & _DOWN)


def _is_up(connection: Connection) -> bool | None:
    return connection.status.lower() in _UP if connection.status else None


def _does_no_nat(first: GatewayFindings) -> bool:
    asked = connections(first)
    return bool(asked) and all(one.nat is False or one.connection_type.lower() in _BRIDGED for one in asked)


def _address_problems(findings: Findings, first: GatewayFindings) -> Iterator[Problem]:
    told = external_addresses(findings)
    kinds = {reachability(one): one for one in told.values()}
    if Reachability.CGNAT in kinds:
        yield problem(Code.CGNAT, address=kinds[Reachability.CGNAT])
    if Reachability.DOUBLE_NAT in kinds:
        address = kinds[Reachability.DOUBLE_NAT]
        yield problem(Code.DOUBLE_NAT, gateway=first.gateway, address=address, port=port_words(findings))
    if len(set(told.values())) > 1:
        each = ", ".join(f"{one} by {name}" for name, one in told.items())
        yield remark(Code.ADDRESSES_DIFFER, each=each)


def _trial_problems(port: PortFindings, first: GatewayFindings) -> Iterator[Problem]:
    granted = [one.external for one in port.trials if one.external is not None]
    if port.is_claimed and not port.is_open:
        who = f"{port.noted[0].program} (process {port.noted[0].pid}) asks for it and has not got it yet"
        yield _failed(port, first, who)
    if port.trials and not granted:
        yield _refused(port, first)
    if granted and all(one.port != port.request.external_port for one in granted):
        yield _conflict(port, f"; the router would give {granted[0].port} instead")
    for trial in port.trials:
        if trial.left:
            yield remark(Code.LEFT_BEHIND, port=port.request, gateway=first.gateway, why=trial.left)
    if granted and all(one.lifetime == 0 for one in port.trials if one.granted):
        yield remark(Code.PERMANENT_ONLY, gateway=first.gateway)


def _refused(port: PortFindings, first: GatewayFindings) -> Problem:
    names = {one.name for one in port.trials}
    code = next((code for code, meant in _MEANING.items() if names & meant), Code.TRIAL_FAILED)
    if code is Code.CONFLICT:
        return _conflict(port, "")
    if code is Code.TRIAL_FAILED:
        return _failed(port, first, port.trials[0].problem)
    return problem(code, gateway=first.gateway, port=port.request, name=_first(names & _MEANING[code]))


def _failed(port: PortFindings, first: GatewayFindings, why: str) -> Problem:
    return problem(
        Code.TRIAL_FAILED, gateway=first.gateway, port=port.request, host=first.gateway.source, why=safe_text(why)
    )


def _conflict(port: PortFindings, instead: str) -> Problem:
    request = port.request
    owners = [one for one in port.listed or () if one.external_port == request.external_port and not one.own]
    owner = "another host, or by the router itself"
    if owners:
        text = f" ({safe_text(owners[0].description)})" if owners[0].description else ""
        owner = f"{safe_text(owners[0].internal_client)}{text}"
    wished = request.external_port
    another = wished + _FAR if wished < _LAST - _FAR else wished - _FAR
    return problem(
        Code.CONFLICT,
        external=f"{wished}/{request.protocol}",
        owner=owner,
        instead=instead,
        internal=request.internal_port,
        another=str(another) if request.protocol == Protocol.TCP else f"{another}/{request.protocol}",
    )


def _first(names: set[str]) -> str:
    return min(names, default="")

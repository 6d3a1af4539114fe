"""Choose among the connections of a device: the one that is up and faces the Internet."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import anyio

from portmapper import limits
from portmapper.errors import GatewayTimeout, PortMapperError, RequestRefused
from portmapper.model import IPAddress, Reachability, reachability
from portmapper.upnp.client import IgdClient
from portmapper.upnp.description import Service, rank
from portmapper.upnp.values import parse_external, parse_truth

_UP = {"connected", "up"}
_CANNOT_MAP = {"ip_bridged", "unconfigured"}  # WANIPConnection:2 section 2.3.3: only IP_Routed has NAT


@dataclass(frozen=True, slots=True)
class Condition:
    """What a connection says of itself; what it does not say counts as neither good nor bad."""

    connected: bool | None = None
    public: bool | None = None


def preference(service: Service, condition: Condition) -> tuple[int, int, tuple[int, int]]:
    """Return how good a connection is; the least is the best: connected, then public address, then its type."""
    return (_badness(condition.connected), _badness(condition.public), rank(service))


async def is_connected(client: IgdClient) -> bool | None:
    """Ask a connection whether it is up; None if it does not say. Raises GatewayTimeout."""
    status = await _answer(client, "GetStatusInfo", "newconnectionstatus")
    return None if status is None else status.lower() in _UP


async def is_public(client: IgdClient, device: IPAddress) -> bool | None:
    """Ask a connection whether the Internet reaches its external address; None if it does not say."""
    address = await _answer(client, "GetExternalIPAddress", "newexternalipaddress")
    return None if address is None else _is_public(address, device)


async def best_connection(clients: Sequence[IgdClient], device: IPAddress) -> IgdClient:
    """Return the best of several by what they say within 2 s: first which is up, then which of those is public."""
    conditions = dict.fromkeys(clients, Condition())
    with suppress(GatewayTimeout), anyio.move_on_after(limits.STATUS):
        for client in clients:
            conditions[client] = Condition(await is_connected(client))
        for client in clients:
            if conditions[client].connected is not False:
                conditions[client] = replace(conditions[client], public=await is_public(client, device))
    return min(clients, key=lambda client: preference(client.service, conditions[client]))


async def check_nat(client: IgdClient) -> None:
    """Raise RequestRefused when the connection says that it does no address translation, so that mappings do nothing.

    A device that does not say gets the benefit of the doubt; one that says nothing at all raises GatewayTimeout.
    """
    enabled = await _answer(client, "GetNATRSIPStatus", "newnatenabled", within=limits.HTTP_EXCHANGE)
    if enabled is not None and not _is_true(enabled):
        text = "the device is no NAT: address translation is switched off there"
        raise RequestRefused(text, code=0, name="NAT_DISABLED", lasting=True)
    with suppress(GatewayTimeout):  # it is slow, but it did answer
        kind = await _answer(client, "GetConnectionTypeInfo", "newconnectiontype")
        _check_kind(kind)


def _check_kind(kind: str | None) -> None:
    if kind is not None and kind.lower() in _CANNOT_MAP:
        text = "the device's connection is bridged or not configured, so another router does the translation"
        raise RequestRefused(text, code=0, name="NOT_ROUTED", lasting=True)


async def _answer(client: IgdClient, action: str, argument: str, *, within: float = limits.STATUS) -> str | None:
    try:
        return (await client.ask(action, within=within)).get(argument)
    except GatewayTimeout:
        raise
    except PortMapperError:
        return None  # optional in practice: the mapping itself will show


def _badness(value: bool | None) -> int:
    return 1 if value is None else 2 * (not value)


def _is_public(text: str, device: IPAddress) -> bool:
    try:
        return reachability(parse_external(text, device)) is Reachability.PUBLIC
    except PortMapperError:
        return False


def _is_true(text: str) -> bool:
    try:
        return parse_truth(text)
    except PortMapperError:
        return True

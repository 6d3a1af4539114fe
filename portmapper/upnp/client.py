"""Find a gateway's port mapping service and send it requests."""

from functools import partial
from ipaddress import IPv4Address

import anyio

from portmapper import limits
from portmapper.errors import GatewayTimeout, GatewayUnreachable, PortMapperError, ProtocolError
from portmapper.model import Gateway, IPAddress
from portmapper.net import clock, http
from portmapper.net.multicast import MulticastSocket
from portmapper.net.tasks import finish_begun
from portmapper.upnp import ssdp
from portmapper.upnp.description import Service, decode_services
from portmapper.upnp.location import checked_url
from portmapper.upnp.soap import Action, decode_result, encode_action


class IgdClient:
    """Requests to one service, one at a time: devices drop the second of two.

    A request that was begun is finished even when it is cancelled: one that is cut off may still be carried out, and
    then later than the next.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._turn = anyio.Lock()

    async def call(self, name: str, **arguments: str | int) -> dict[str, str]:
        """Return the OUT arguments by lower-case name.

        Raises soap.Fault, GatewayTimeout, GatewayUnreachable, ProtocolError.
        """
        values = {key: str(value) for key, value in arguments.items()}
        action = Action(self.service.service_type, name, values)
        headers, body = encode_action(action)
        post = partial(http.post, self.service.control_url, headers, body, limit=limits.SOAP_BODY)
        async with self._turn:
            reply = await finish_begun(post, grace=limits.GRACE)
        return decode_result(action, reply.status, reply.body)


async def find_services(gateway: Gateway, *, timeout: float) -> tuple[Service, ...]:
    """Return the services of the first answer to a search that has any, best first.

    Only what comes from the gateway's own address is looked at. Raises GatewayTimeout when nothing usable came within
    `timeout` seconds, else the reason why what came was of no use.
    """
    problem: PortMapperError | None = None
    with MulticastSocket(_ipv4(gateway.source), ttl=limits.SSDP_TTL) as socket, anyio.move_on_after(timeout):
        search = _Search(socket, gateway, clock.now())
        while True:
            location = await search.next_location()
            try:
                return await _describe(location, gateway.address)
            except PortMapperError as error:
                problem = error
    raise problem or GatewayTimeout(f"no UPnP gateway answered the search at {gateway} within {timeout:.1f} s")


def _ipv4(address: IPAddress) -> IPv4Address:
    if not isinstance(address, IPv4Address):
        raise GatewayUnreachable("UPnP is asked of IPv4 gateways only")
    return address


async def _describe(location: str, host: IPAddress) -> tuple[Service, ...]:
    reply = await http.get(checked_url(location, host), limit=limits.DESCRIPTION_BODY)
    if reply.status != 200:  # noqa: PLR2004
        raise ProtocolError(f"the device description was answered with status {reply.status}")
    return decode_services(reply.body, location, host)


class _Search:
    """Sends the searches when they are due and picks new locations out of the answers."""

    def __init__(self, socket: MulticastSocket, gateway: Gateway, begin: float) -> None:
        self._socket = socket
        self._gateway = gateway
        self._due = [begin + offset for offset in limits.SEARCH_OFFSETS]
        self._seen: set[str] = set()
        self._answers = 0

    async def next_location(self) -> str:
        """Wait for the next device; the caller's deadline ends the wait."""
        while True:
            if self._due and self._due[0] <= clock.now():
                self._due.pop(0)
                self._send()
            with anyio.move_on_after(self._due[0] - clock.now() if self._due else None):
                location = self._accept(*await self._socket.receive())
                if location is not None:
                    return location

    def _send(self) -> None:
        unicast = self._try_send(self._gateway.address, self._gateway.ssdp_port, None)
        multicast = self._try_send(IPv4Address(limits.SSDP_GROUP), limits.SSDP_PORT, limits.SEARCH_MX)
        if unicast and multicast:
            raise unicast

    def _try_send(self, address: IPAddress, port: int, max_wait: int | None) -> GatewayUnreachable | None:
        # A host without a multicast route still reaches its gateway, and the other way round.
        try:
            for target in ssdp.TARGETS:
                self._socket.send(
                    ssdp.encode_search(target, host=f"{address}:{port}", max_wait=max_wait), address, port
                )
        except GatewayUnreachable as error:
            return error
        return None

    def _accept(self, data: bytes, sender: IPAddress) -> str | None:
        if sender != self._gateway.address or self._answers >= limits.SEARCH_ANSWERS:
            return None
        try:
            answer = ssdp.decode_answer(data)
        except ProtocolError:
            return None
        self._answers += 1
        known = answer.location in self._seen or len(self._seen) >= limits.DESCRIPTION_FETCHES
        if known or not ssdp.is_gateway(answer.target):
            return None
        self._seen.add(answer.location)
        return answer.location

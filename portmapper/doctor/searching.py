"""The UPnP search with all its answers, also those that nobody would use."""

import errno
from ipaddress import IPv4Address, IPv6Address

import anyio

from portmapper import limits
from portmapper.doctor.findings import Outcome, Refusal, Search, SearchAnswer
from portmapper.errors import GatewayUnreachable, ProtocolError
from portmapper.model import Gateway, IPAddress
from portmapper.net import clock
from portmapper.net.multicast import MulticastSocket
from portmapper.upnp import ssdp


async def search(gateway: Gateway) -> Search:
    """Search for UPnP devices by unicast to the gateway and by multicast on its link; return what answered.

    It listens for 1.25 s, in which every device has to answer, and for 2.2 s where none does.
    """
    begin = clock.now()
    try:
        with MulticastSocket(gateway, ttl=limits.SSDP_TTL) as socket:
            return await _Hearing(socket, gateway, begin).hear()
    except GatewayUnreachable as error:
        outcome = Outcome.FORBIDDEN if error.errno in {errno.EPERM, errno.EACCES} else Outcome.REFUSED
        refusal = Refusal(text=str(error), errno=error.errno or 0)
        return Search(outcome=outcome, seconds=clock.now() - begin, refusal=refusal)
    except OSError as error:  # the interface is gone
        return Search(
            outcome=Outcome.REFUSED,
            seconds=clock.now() - begin,
            refusal=Refusal(text=str(error), errno=error.errno or 0),
        )


class _Hearing:
    """Sends three times, and collects."""

    def __init__(self, socket: MulticastSocket, gateway: Gateway, begin: float) -> None:
        self._socket = socket
        self._gateway = gateway
        self._begin = begin
        self._answers: dict[tuple[IPAddress, str], SearchAnswer] = {}
        self._others = self._nonsense = 0

    async def hear(self) -> Search:
        due = [self._begin + offset for offset in limits.SEARCH_OFFSETS]
        while clock.now() < self._end:
            if due and due[0] <= clock.now():
                due.pop(0)
                self._send(last=not due)
            with anyio.move_on_after(max(min([*due[:1], self._end]) - clock.now(), 0.0)):
                self._take(*await self._socket.receive())
        return Search(
            outcome=Outcome.ANSWERED if self._answers else Outcome.NONSENSE if self._nonsense else Outcome.SILENT,
            seconds=clock.now() - self._begin,
            answers=tuple(self._answers.values()),
            others=self._others,
            nonsense=self._nonsense,
        )

    @property
    def _end(self) -> float:
        return self._begin + (limits.OTHER_DEVICES if self._answers else limits.DISCOVERY)

    def _take(self, data: bytes, sender: IPAddress) -> None:
        try:
            answer = ssdp.decode_answer(data)
        except ProtocolError:
            self._nonsense += self._is_gateways(sender)
            return
        if not ssdp.is_gateway(answer.target):
            self._others += 1
        elif len(self._answers) < limits.SEARCH_ANSWERS or self._is_gateways(sender):
            told = SearchAnswer(
                sender=sender,
                target=answer.target,
                location=answer.location,
                server=answer.server,
                seconds=clock.now() - self._begin,
            )
            self._keep(told)

    def _keep(self, told: SearchAnswer) -> None:
        # The same device answers for each of its types; the best one is of interest.
        known = self._answers.get((told.sender, told.location))
        full = sum(sender == told.sender for sender, _ in self._answers) >= limits.ANSWERS_PER_HOST
        if known is None and full:
            return
        if known is None or ssdp.rank(told.target) < ssdp.rank(known.target):
            self._answers[told.sender, told.location] = told

    def _is_gateways(self, sender: IPAddress) -> bool:
        return sender.packed == self._gateway.address.packed

    def _send(self, *, last: bool) -> None:
        v4 = isinstance(self._gateway.address, IPv4Address)
        targets = (ssdp.TARGETS if v4 else ssdp.TARGETS_6) + (ssdp.LAST_RESORT if last else ())
        group = IPv4Address(limits.SSDP_GROUP) if v4 else IPv6Address(limits.SSDP_GROUP_6)
        problems = [
            self._try_send(self._gateway.address, self._gateway.ssdp_port, None, targets),
            self._try_send(group, limits.SSDP_PORT, limits.SEARCH_MX, targets),
        ]
        forbidden = [one for one in problems if one is not None]
        if len(forbidden) == len(problems):
            raise forbidden[0]

    def _try_send(
        self, address: IPAddress, port: int, max_wait: int | None, targets: tuple[str, ...]
    ) -> GatewayUnreachable | None:
        plain = str(address).partition("%")[0]
        host = f"{plain}:{port}" if isinstance(address, IPv4Address) else f"[{plain}]:{port}"
        try:
            for target in targets:
                self._socket.send(ssdp.encode_search(target, host=host, max_wait=max_wait), address, port)
        except GatewayUnreachable as error:
            return error
        return None

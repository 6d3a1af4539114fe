"""Send requests to one service of a device."""

import errno
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import anyio

from portmapper import limits
from portmapper.errors import GatewayTimeout, GatewayUnreachable, PortMapperError, ProtocolError
from portmapper.net import clock, http
from portmapper.net.tasks import finish_begun
from portmapper.text import safe_text
from portmapper.upnp.description import Service
from portmapper.upnp.pace import Pace, is_question
from portmapper.upnp.soap import Action, decode_result, encode_action, encode_mpost

_OK, _NOT_FOUND, _METHOD_NOT_ALLOWED, _FAULT = 200, 404, 405, 500
_NOT_EXTENDED = {405, 501, 510}  # what a device says that does not know M-POST either
_NOT_REPEATABLE = {"AddAnyPortMapping"}  # twice is two mappings

FindAgain: TypeAlias = Callable[[], Awaitable[tuple[Service, http.Route]]]
Begun: TypeAlias = Callable[[], None]


def nobody_to_tell() -> None:
    """Do nothing when a request has its turn."""


async def _nowhere() -> tuple[Service, http.Route]:
    raise GatewayUnreachable("the device cannot be found again")


class IgdClient:
    """Requests to one service, one at a time for all that share `turn`: devices drop the second of two.

    Where `turn` lets in more, somebody is in a hurry; the first request that is dropped makes it one at a time again.
    A request that changes something and was begun is finished even when it is cancelled: one that is cut off may still
    be carried out, and then later than the next. When the port of the device refuses, or what was answered at its
    control URL is not found there any more, `find_again` tells where it is now: routers choose another port or path
    when they restart.
    """

    def __init__(
        self,
        service: Service,
        route: http.Route,
        *,
        turn: anyio.CapacityLimiter | None = None,
        find_again: FindAgain = _nowhere,
        grace: float = limits.GRACE,
    ) -> None:
        self.service = service
        self._route = route
        self._turn = turn or anyio.CapacityLimiter(1)
        self._find_again = find_again
        self._grace = grace
        self._extended = False  # the device wants M-POST
        self._pace = Pace()
        self._answered: set[str] = set()

    def beside(self) -> "IgdClient":
        """Return a client that does not wait for a request that has the turn, and whose own may be cut off."""
        return IgdClient(self.service, self._route, grace=0.0)

    async def call(self, name: str, begun: Begun = nobody_to_tell, /, **arguments: str | int) -> dict[str, str]:
        """Return the OUT arguments by lower-case name; `begun` is called when it has its turn.

        Raises Fault, GatewayTimeout, GatewayUnreachable, ProtocolError.
        """
        return await self._call(_Request(name, _values(arguments), repeated=is_question(name), begun=begun))

    async def repeat(self, name: str, **arguments: str | int) -> dict[str, str]:
        """Do as `call`, and ask again while there is no answer, as `call` does for a question.

        For a change that may be made twice, on a device that was seen to make such a one fast.
        """
        return await self._call(_Request(name, _values(arguments), repeated=True))

    async def ask(self, name: str, *, within: float) -> dict[str, str]:
        """Do as `call` for a question without arguments; the device has `within` seconds, once it is its turn."""
        async with self._turn:
            with anyio.move_on_after(within):
                return await self._exchange(_Request(name, {}, repeated=True))
        raise GatewayTimeout(f"the device answered no simple question within {within:g} s", seconds=within)

    async def _call(self, request: "_Request") -> dict[str, str]:
        alone = self._turn.total_tokens == 1
        try:
            return await self._in_turn(request)
        except GatewayUnreachable:
            if alone or request.name in _NOT_REPEATABLE:
                raise
        self._turn.total_tokens = 1
        return await self._in_turn(request)

    async def _in_turn(self, request: "_Request") -> dict[str, str]:
        async with self._turn:
            request.begun()
            if is_question(request.name):
                return await self._exchange(request)
            return await finish_begun(partial(self._exchange, request), grace=self._grace)

    async def _exchange(self, request: "_Request") -> dict[str, str]:
        seconds = limits.HTTP_EXCHANGE  # for all of it: a device that hangs up just in time has no second turn
        try:
            with anyio.fail_after(seconds):
                return await self._sent_or_sent_again(request)
        except TimeoutError as error:
            self._pace.silent(request.name)
            text = f"{safe_text(self.service.control_url)} did not answer within {seconds:g} s"
            raise GatewayTimeout(text, sent=1, seconds=seconds) from error

    async def _sent_or_sent_again(self, request: "_Request") -> dict[str, str]:
        try:
            return await self._send(request)
        except _NotThere as problem:
            await self._move(problem)
        except GatewayUnreachable as problem:
            if problem.errno == errno.ECONNREFUSED:
                await self._move(problem)
            elif request.name in _NOT_REPEATABLE:
                raise
            else:
                await anyio.sleep(limits.SOAP_GAP)  # it drops what follows too closely
        return await self._send(request)

    async def _move(self, problem: PortMapperError) -> None:
        try:
            self.service, self._route = await self._find_again()
        except PortMapperError:
            raise problem from None

    async def _send(self, request: "_Request") -> dict[str, str]:
        action = Action(self.service.service_type, request.name, request.values)
        again = http.repeated(self._pace.pause(request.name)) if request.repeated else ()
        reply = await self._post(action, again, extended=self._extended)
        if reply.status == _METHOD_NOT_ALLOWED and not self._extended:  # UDA 1.0 clause 3.2.1
            reply = await self._post(action, again, extended=True)
            self._extended = reply.status not in _NOT_EXTENDED
        if reply.status == _NOT_FOUND and request.name in self._answered:
            raise _NotThere(f"{safe_text(self.service.control_url)} is not there any more")
        return decode_result(action, reply.status, reply.body)

    async def _post(self, action: Action, again: Iterable[float], *, extended: bool) -> http.HttpReply:
        headers, body = encode_mpost(action) if extended else encode_action(action)
        method = "M-POST" if extended else "POST"
        url = self.service.control_url
        begin = clock.now()
        reply = await http.post(url, self._route, headers, body, limit=limits.SOAP_BODY, method=method, again=again)
        # A change may be refused at once, and take its time where it is made.
        if reply.status == _OK or (reply.status == _FAULT and is_question(action.name)):
            self._pace.answered(action.name, clock.now() - begin, first=reply.number == 0)
            self._answered.add(action.name)
        return reply


class _NotThere(ProtocolError):
    """The device has nothing at the control URL, where it answered the same before."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked; `repeated` is whether to ask it again while there is no answer."""

    name: str
    values: dict[str, str]
    repeated: bool
    begun: Begun = nobody_to_tell


def _values(arguments: Mapping[str, str | int]) -> dict[str, str]:
    return {name: str(value) for name, value in arguments.items()}

"""The contract between the mapper and a protocol, for built-ins and plug-ins alike."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any, ClassVar, Self

from portmapper.errors import RemoteError, UnsupportedRequest
from portmapper.model import Endpoint, Feature, Gateway, IPAddress, Lease, ListedMapping, MappingRequest, Protocol


def _nobody_to_tell() -> None:
    pass


def _nothing_left(_request: MappingRequest) -> frozenset[int]:
    return frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendOptions:
    """What a backend may need to know.

    `timeout` is how many seconds the opening may take; `patient` says that nobody waits for it, so that requests are
    repeated as slowly as the protocol recommends. `key` is a secret of this host, at least 16 bytes, stable as
    long as mappings are to be recognised: PCP derives its nonces from it. `state_lost` is for the backend to call, at
    any time, when an answer shows that the gateway has forgotten its mappings; it returns at once. `memory` is shared
    by all backends that are opened on a gateway in turn: each may keep something under its own name. `permanent` is
    whether a mapping without end may be made on a gateway that knows no other. `left_ports` tells at which external
    ports this host may have a mapping for a request already, because of a program that died or one that shares it; 0
    among them stands for one that is not known.
    """

    timeout: float
    key: bytes
    state_lost: Callable[[], None] = _nobody_to_tell
    patient: bool = False
    memory: dict[str, Any] = field(default_factory=dict[str, Any])
    permanent: bool = True
    left_ports: Callable[[MappingRequest], frozenset[int]] = _nothing_left


class Backend(ABC):
    """One protocol, spoken to one gateway.

    Every method may raise PortMapperError and nothing else. Timing, renewal and the choice among backends belong to
    the mapper; a backend asks the gateway once, with whatever retransmissions its protocol wants, and says what it got.
    """

    name: ClassVar[str]
    """Short, lower-case, unique: what the user types after ``--backend``."""

    title: ClassVar[str]
    """The name as people write it."""

    offers: ClassVar[frozenset[Feature]] = frozenset()
    """What it can do beyond a TCP or UDP port of this host; a request that needs more does not get here."""

    tells_address: ClassVar[bool] = True
    """Whether it is told the external address without changing anything on the gateway."""

    @classmethod
    @abstractmethod
    async def open(cls, gateway: Gateway, options: BackendOptions) -> Self:
        """Find out whether `gateway` speaks this protocol, without changing anything on it.

        The error raised is the reason that the user is shown. Backends are opened side by side, so cancellation here
        must leave nothing behind.
        """

    def farewell(self, lease: Lease) -> bytes | None:  # noqa: ARG002 - for those who have such datagrams
        """Return the datagram that takes `lease` back even if nobody waits for the answer, None if there is none.

        It is sent to the gateway's port for PCP and NAT-PMP, by a program that ends without leaving its mapper.
        """
        return None

    def hurry(self) -> None:  # noqa: B027 - optional
        """Be quick rather than gentle from now on: somebody waits to leave, and giving back takes long."""

    async def close(self) -> None:  # noqa: B027 - optional
        """Give back what `open` took on this host. Mappings stay as they are."""

    async def check(self) -> None:  # noqa: B027 - optional
        """Ask something whose answer shows whether the gateway still has its state, changing nothing.

        Asked when the gateway announced something; a loss is told by `state_lost`, never by the answer of this.
        """

    @property
    def epoch(self) -> int | None:
        """For how many seconds the gateway has kept its mappings, as it last told; None where the protocol does not."""
        return None

    @abstractmethod
    async def map(self, request: MappingRequest, *, renew: Lease | None = None) -> Lease:
        """Make the mapping, or extend `renew`, the lease this backend gave for the same request before.

        The lease says what the gateway granted, which may differ in everything from what was asked.
        """

    async def verify(self, lease: Lease) -> Lease | None:  # noqa: ARG002 - for those who can look
        """Look whether the gateway still has `lease`, without extending it, and return it as it is now.

        None when that cannot be seen: the mapper extends it instead, which repairs it too. Raises MappingGone.
        """
        return None

    def renewal_span(self, lease: Lease) -> float:  # noqa: ARG002 - for those who need more time for it
        """Return the seconds as of whose lifetime `lease` is to be renewed; infinity for those that it has.

        Less than these has it renewed sooner, and more often.
        """
        return inf

    @abstractmethod
    async def unmap(self, lease: Lease) -> None:
        """Take the lease back from the gateway. One that is gone already is no error."""

    @abstractmethod
    async def find(self, request: MappingRequest) -> Lease:
        """Return the lease that `unmap` needs for a mapping made earlier with the same key, or made by a lost answer.

        Raises NoMapping when the backend knows that this host has no such mapping.
        """

    async def undo(self, request: MappingRequest) -> None:
        """Take back what a call of `map` for `request` may have left that failed without a clear answer."""
        await self.unmap(await self.find(request))

    @abstractmethod
    async def external_address(self) -> IPAddress | None:
        """Ask the gateway for its external address; None when it has none now."""

    async def unmap_all(self, protocol: Protocol) -> None:
        """Remove all mappings of a protocol that this host has, whichever program made them."""
        raise UnsupportedRequest(f"{self.title} cannot remove all {protocol} mappings of a host at once")

    async def list_mappings(self) -> tuple[ListedMapping, ...]:
        """Return every mapping that the gateway has, anybody's; `own` is for the mapper to fill in."""
        raise UnsupportedRequest(f"{self.title} cannot list mappings")

    def is_update(self, lease: Lease, data: bytes) -> bool:  # noqa: ARG002 - for those who have such datagrams
        """Whether a datagram that came unasked from the gateway says that `lease` is not what it was."""
        return False


def lease_for(
    backend: Backend,
    request: MappingRequest,
    gateway: Gateway,
    external: Endpoint,
    *,
    lifetime: int,
    first_port: int | None = None,
    count: int = 1,
    token: bytes = b"",
) -> Lease:
    """Return the lease that `backend` got for `request` from `gateway`; the internal address is that facing it.

    Of several ports, `count` were granted from the internal port `first_port` on.
    """
    port = request.internal_port if first_port is None else first_port
    return Lease(
        request=request,
        gateway=gateway,
        backend=backend.name,
        internal=Endpoint(request.internal_address or gateway.source, port),
        external=external,
        lifetime=lifetime,
        count=count,
        token=token,
    )


def check_offered(backend: Backend, request: MappingRequest) -> None:
    """Raise UnsupportedRequest when `backend` has no way to ask for `request`."""
    missing = sorted(request.needs - backend.offers)
    if missing:
        raise UnsupportedRequest(f"{backend.title} has no way to ask for {' and '.join(missing)}")


async def address_or_last(backend: Backend, last: Lease | None) -> IPAddress | None:
    """Ask for the external address after a mapping was made; not to learn it must not lose the mapping."""
    try:
        return await backend.external_address()
    except RemoteError:
        return last.external.address if last else None

"""PortMapper, without await."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from portmapper import limits
from portmapper import mapper as asynchronous
from portmapper.background.calls import check_may_wait
from portmapper.background.residence import Residence
from portmapper.clearing import ClearedMapping, Swept
from portmapper.errors import MapperClosed, PortMapperError
from portmapper.model import Gateway, IPAddress, ListedMapping, MappingRequest, RemoteFilter
from portmapper.sync.mapping import Mapping

T = TypeVar("T")


class PortMapper:
    """Maps ports on one gateway, as a context manager; everything is released on the way out.

    The arguments are those of portmapper.PortMapper. Any thread may use it. A mapper can be entered once. A call takes
    `timeout` seconds at most, if that is given, and raises GatewayTimeout then; what it had begun is undone. In the
    thread of an event loop, and in a process that was forked, every call raises NotHere.
    """

    def __init__(
        self,
        *,
        gateway: Gateway | str | None = None,
        interface: str | None = None,
        backends: Sequence[str] | None = None,
        key: bytes | None = None,
        state: Path | str | bool | None = None,
        allow_third_party: bool = False,
        allow_permanent: bool = True,
        check: float | None = limits.CHECK,
    ) -> None:
        self._residence: Residence[Any] | None = None
        self._mapper = asynchronous.PortMapper(
            gateway=gateway,
            interface=interface,
            backends=backends,
            key=key,
            state=state,
            allow_third_party=allow_third_party,
            allow_permanent=allow_permanent,
            check=check,
        )

    def __enter__(self) -> Self:
        check_may_wait()
        if self._residence is not None:
            raise MapperClosed("a mapper can be entered once; make another")
        self._residence = Residence(self._mapper, "portmapper.sync.PortMapper")
        self._residence.enter()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._entered().leave()

    @property
    def gateway(self) -> Gateway:
        """The gateway in use. Raises MapperClosed before the mapper is entered, if none was given."""
        return self._mapper.gateway

    @property
    def default_lifetime(self) -> int:
        """The seconds that are asked for by default: two hours, one minute of a gateway that is reached by a tunnel."""
        return self._mapper.default_lifetime

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """The mappings that are wanted, lost ones included."""
        if self._residence is None or self._residence.left.done():
            return ()
        return tuple(Mapping(self._residence, one) for one in self._residence.do(lambda: self._mapper.mappings))

    def map(
        self,
        port: int,
        protocol: str = "tcp",
        *,
        external_port: int = 0,
        exact: bool = False,
        all_ports: bool = False,
        count: int = 1,
        remote: RemoteFilter | str | Iterable[RemoteFilter | str] = (),
        internal_address: IPAddress | str | None = None,
        lifetime: int | None = None,
        description: str = "portmapper",
        share: bool = False,
        timeout: float | None = None,
    ) -> Mapping:
        """Open `port` of this host and keep it open until the mapping or the mapper is closed.

        Arguments and errors are those of portmapper.PortMapper.map. Raises GatewayTimeout after `timeout` seconds; what
        was granted until then is taken back.
        """
        return self._mapping(
            lambda: self._mapper.map(
                port,
                protocol,
                external_port=external_port,
                exact=exact,
                all_ports=all_ports,
                count=count,
                remote=remote,
                internal_address=internal_address,
                lifetime=lifetime,
                description=description,
                share=share,
            ),
            timeout,
        )

    def map_request(self, request: MappingRequest, *, share: bool = False, timeout: float | None = None) -> Mapping:
        """Do what `map` and `peer` do, for a request that is made already; raises as `map`."""
        return self._mapping(lambda: self._mapper.map_request(request, share=share), timeout)

    def map_both(
        self,
        port: int,
        *,
        external_port: int = 0,
        exact: bool = False,
        remote: RemoteFilter | str | Iterable[RemoteFilter | str] = (),
        internal_address: IPAddress | str | None = None,
        lifetime: int | None = None,
        description: str = "portmapper",
        share: bool = False,
        timeout: float | None = None,
    ) -> tuple[Mapping, Mapping]:
        """Open TCP and UDP of `port` at one external port; return the mapping of each. The rest as for `map`.

        Both stay at the port they get: a half that the gateway will not give that port again is lost, and tried for
        there. Of a call that fails, or takes longer than `timeout` seconds, nothing is left.
        """
        return self._pair(
            lambda: self._mapper.map_both(
                port,
                external_port=external_port,
                exact=exact,
                remote=remote,
                internal_address=internal_address,
                lifetime=lifetime,
                description=description,
                share=share,
            ),
            timeout,
        )

    def map_both_request(
        self, request: MappingRequest, *, share: bool = False, timeout: float | None = None
    ) -> tuple[Mapping, Mapping]:
        """Do what `map_both` does, for a request that is made already; its protocol is not looked at."""
        return self._pair(lambda: self._mapper.map_both_request(request, share=share), timeout)

    def peer(
        self,
        port: int,
        remote: str,
        remote_port: int,
        protocol: str = "udp",
        *,
        external_port: int = 0,
        lifetime: int = limits.DEFAULT_LIFETIME,
        timeout: float | None = None,
    ) -> Mapping:
        """Ask the gateway where packets from `port` to one remote peer come from, and keep it so (PCP's PEER).

        It cannot be taken back: closed, it stays on the gateway until its lease ends. Raises as `map`.
        """
        return self._mapping(
            lambda: self._mapper.peer(
                port, remote, remote_port, protocol, external_port=external_port, lifetime=lifetime
            ),
            timeout,
        )

    def unmap(
        self,
        port: int,
        protocol: str = "tcp",
        *,
        external_port: int = 0,
        all_ports: bool = False,
        timeout: float | None = None,
    ) -> tuple[str, ...]:
        """Remove a mapping of this host that an earlier run left, by every backend that answers.

        UPnP finds it by `external_port` (0: the same as `port`). Returns the names of the backends that said yes; a
        gateway also says yes to removing what is not there. Raises InvalidRequest, NoService, GatewayTimeout.
        """
        return self._call(
            lambda: self._mapper.unmap(port, protocol, external_port=external_port, all_ports=all_ports), timeout
        )

    def unmap_request(self, request: MappingRequest, *, timeout: float | None = None) -> tuple[str, ...]:
        """Do what `unmap` does, for the request that the mapping was made with; not one towards a peer."""
        return self._call(lambda: self._mapper.unmap_request(request), timeout)

    def unmap_stale(self, *, timeout: float | None = None) -> tuple[ClearedMapping, ...]:
        """Remove what programs of this host left on this gateway when they died, by the journals in `state`.

        Returns what became of each, as portmapper.PortMapper.unmap_stale. Raises LocalError without a journal.
        """
        return self._call(self._mapper.unmap_stale, timeout)

    def unmap_all(self, protocol: str, *, timeout: float | None = None) -> tuple[str, ...]:
        """Remove every mapping of this host by `protocol`, whichever program made it. Only NAT-PMP has that.

        Those of this mapper are closed. Returns and raises as `unmap`.
        """
        return self._call(lambda: self._mapper.unmap_all(protocol), timeout)

    def unmap_mine(self, *, timeout: float | None = None) -> Swept:
        """Remove every mapping of this host from this gateway, whichever program made it; other hosts' ones stay.

        These are what the gateway lists for this host, what is noted in `state`, and by NAT-PMP whatever there is.
        Mappings of this mapper are closed; other programs that run will open theirs again. Raises NoService, and
        GatewayTimeout after `timeout` seconds.
        """
        return self._call(self._mapper.unmap_mine, timeout)

    def external_address(self, *, timeout: float | None = None) -> IPAddress | None:
        """Ask the gateway for its external address; None when it has none now. Raises NoService, GatewayTimeout."""
        return self._call(self._mapper.external_address, timeout)

    def external_addresses(self, *, timeout: float | None = None) -> dict[str, IPAddress | PortMapperError | None]:
        """Ask for the external address by every backend at once; return by name what each was told, or why nothing.

        It takes as long as the slowest: 2.2 s where a protocol gets no answer. Raises GatewayTimeout after `timeout`
        seconds.
        """
        return self._call(self._mapper.external_addresses, timeout)

    def probe(self, *, timeout: float | None = None) -> dict[str, float | PortMapperError]:
        """Find out which backends the gateway answers to, changing nothing: by name the seconds, or why not.

        Raises GatewayTimeout after `timeout` seconds.
        """
        return self._call(self._mapper.probe, timeout)

    def list_mappings(self, *, timeout: float | None = None) -> tuple[ListedMapping, ...]:
        """Return every mapping on the gateway, whoever made it; `own` marks those of this host. Only UPnP has that.

        Raises NoService with each backend's reason, GatewayTimeout.
        """
        return self._call(self._mapper.list_mappings, timeout)

    def _mapping(self, ask: Callable[[], Awaitable[Any]], timeout: float | None) -> Mapping:
        return Mapping(self._entered(), self._call(ask, timeout))

    def _pair(self, ask: Callable[[], Awaitable[tuple[Any, Any]]], timeout: float | None) -> tuple[Mapping, Mapping]:
        residence = self._entered()
        first, second = residence.call(ask, timeout)
        return Mapping(residence, first), Mapping(residence, second)

    def _call(self, ask: Callable[[], Awaitable[T]], timeout: float | None) -> T:
        return self._entered().call(ask, timeout)

    def _entered(self) -> Residence[Any]:
        if self._residence is None:
            raise MapperClosed("use the mapper inside its `with` block")
        return self._residence


class EnteredMapper(PortMapper):
    """One that was entered already, in `residence`, and is left by somebody else."""

    def __init__(self, residence: Residence[Any], mapper: asynchronous.PortMapper) -> None:
        self._residence = residence
        self._mapper = mapper

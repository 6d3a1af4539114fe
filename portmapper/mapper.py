"""PortMapper: makes mappings on one gateway, keeps them and takes them back."""

import random
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from portmapper import limits
from portmapper.backend import Backend, check_offered
from portmapper.clearing import ClearedMapping, Swept, clear, sweep
from portmapper.errors import InvalidRequest, PortMapperError
from portmapper.lifecycle import Lifecycle
from portmapper.mapping import Mapping
from portmapper.model import Endpoint, IPAddress, ListedMapping, MappingRequest, Protocol, RemoteFilter
from portmapper.pairing import map_pair
from portmapper.request import check_families, parse_host, parse_remote


class PortMapper(Lifecycle):
    """Maps ports on one gateway, as an async context manager; everything is released on the way out.

    `gateway` is a Gateway or its address, by default that of the default route, or of that through `interface`. When
    the network changes it is looked up again, and the mappings follow. `backends` are names in the order of trying, by
    default the built-in ones. `key` is a secret of 16 bytes or more: with the same one, a later run recognises the
    mappings of this one; by default it is random. `state` is a folder, or True for that of this user, where a key and
    a journal of what is mapped are kept: after a crash the next run gets the same external ports again, `unmap_stale`
    finds what is left, and of two programs that want one port the second is told (InUseLocally), or shares it.
    `allow_third_party` permits mappings for other hosts, which belongs
    only into networks where every host is trusted (RFC 6887 section 13.1). Without `allow_permanent` a router that
    knows only mappings without end, which stay when this program is killed, is not asked for one. Every `check` seconds
    the gateway is asked, by each protocol in use, for one of the mappings in turn, so that one that vanished without a
    word is made again; None leaves that to the renewals.
    """

    async def map(
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
    ) -> Mapping:
        """Open `port` of this host and keep it open until the mapping or the mapper is closed.

        `external_port` 0 leaves the choice to the gateway, which may also grant another than asked, unless it has to be
        `exact`ly that one. `lifetime` is the seconds to ask for (see `default_lifetime`); renewal is automatic.

        Only PCP has these: any `protocol` by name or number; `all_ports` of it, with port 0; `count` consecutive ports,
        of which the lease says how many were granted; `remote` peers who alone may come in ("198.51.100.0/24",
        "[198.51.100.7]:443"), which the gateway promises and the server behind the port should check all the same.
        `internal_address` is another host's, for a mapper that allows that (PCP, UPnP).

        With `share`, a port that another program of this host holds (see `state`) is held by both, at the external port
        and with the lifetime of the first; the last one to leave removes it.

        Raises InvalidRequest and InUseLocally before anything is sent, NoService with each backend's reason.
        """
        request = MappingRequest(
            protocol=Protocol.parse(protocol),
            internal_port=port,
            external_port=external_port,
            exact=exact,
            all_ports=all_ports,
            count=count,
            remote=parse_remote(remote),
            internal_address=parse_host(internal_address) if isinstance(internal_address, str) else internal_address,
            lifetime=self.default_lifetime if lifetime is None else lifetime,
            description=description,
        )
        return await self.map_request(request, share=share)

    async def map_request(self, request: MappingRequest, *, share: bool = False) -> Mapping:
        """Do what `map` and `peer` do, for a request that is made already; raises as `map`."""
        self._running()
        request = self._permitted(request)
        check_families(request, self.gateway.source)
        with self._keeper.claim(request):
            async with self._record.claim(request, share=share) as claimed:
                await self._access.close_unused(self._keeper.uses)
                self._keeper.make_way()
                async with self._keeper.turn():
                    grant = await self._access.obtain(claimed)
                self._keeper.wake_lost()
                return self._keeper.adopt(claimed, grant)

    async def map_both(
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
    ) -> tuple[Mapping, Mapping]:
        """Open TCP and UDP of `port` at one external port; return the mapping of each. The rest as for `map`.

        Where the port that TCP gets is taken for UDP, others are tried. Both stay at the one they get: a half that the
        gateway will not give that port again is lost, and tried for there. Of a call that fails nothing is left.
        """
        request = MappingRequest(
            protocol=Protocol.TCP,
            internal_port=port,
            external_port=external_port,
            exact=exact,
            remote=parse_remote(remote),
            internal_address=parse_host(internal_address) if isinstance(internal_address, str) else internal_address,
            lifetime=self.default_lifetime if lifetime is None else lifetime,
            description=description,
        )
        return await self.map_both_request(request, share=share)

    async def map_both_request(self, request: MappingRequest, *, share: bool = False) -> tuple[Mapping, Mapping]:
        """Do what `map_both` does, for a request that is made already; its protocol is not looked at."""
        return await map_pair(partial(self.map_request, share=share), request, random.random)

    async def peer(
        self,
        port: int,
        remote: str,
        remote_port: int,
        protocol: str = "udp",
        *,
        external_port: int = 0,
        lifetime: int = limits.DEFAULT_LIFETIME,
    ) -> Mapping:
        """Ask the gateway where packets from `port` to one remote peer come from, and keep it so (PCP's PEER).

        For programs that keep a connection open and want neither keep-alive traffic nor a surprise. It cannot be taken
        back: closed, it stays on the gateway until its lease ends. Raises as `map`.
        """
        request = MappingRequest(
            protocol=Protocol.parse(protocol),
            internal_port=port,
            external_port=external_port,
            lifetime=lifetime,
            peer=Endpoint(parse_host(remote), remote_port),
        )
        return await self.map_request(request)

    async def unmap(
        self, port: int, protocol: str = "tcp", *, external_port: int = 0, all_ports: bool = False
    ) -> tuple[str, ...]:
        """Remove a mapping of this host that an earlier run left, by every backend that answers.

        UPnP finds it by `external_port` (0: the same as `port`). Returns the names of the backends that said yes; a
        gateway also says yes to removing what is not there. Raises InvalidRequest, NoService.
        """
        request = MappingRequest(
            protocol=Protocol.parse(protocol), internal_port=port, external_port=external_port, all_ports=all_ports
        )
        return await self.unmap_request(request)

    async def unmap_request(self, request: MappingRequest) -> tuple[str, ...]:
        """Do what `unmap` does, for the request that the mapping was made with; raises as `unmap`.

        One towards a peer is an InvalidRequest: it ends with its lease.
        """
        self._running()
        permitted = self._permitted(request)
        if request.peer is not None:
            raise InvalidRequest("a mapping towards a peer cannot be removed; it ends with its lease")
        check_families(permitted, self.gateway.source)

        async def remove(backend: Backend) -> None:
            check_offered(backend, permitted)
            await backend.unmap(await backend.find(permitted))

        removed = await self._access.by_each(remove)
        await self._record.forget_left(permitted, removed)
        return removed

    async def unmap_stale(self) -> tuple[ClearedMapping, ...]:
        """Remove what programs of this host left on this gateway when they died, by the journals in `state`.

        Returns what became of each. What is on other gateways, or held again, stays and is returned with that error;
        what was left on purpose (`detach`) stays. Raises LocalError without a journal.
        """
        self._running()
        inherited = await self._record.inherit()
        cleared = await clear(self._access, inherited.mine) if inherited.mine else []
        await self._record.forget(one.note for one in cleared if one.error is None)
        return (*cleared, *(ClearedMapping(note, reason) for note, reason in inherited.others))

    async def unmap_mine(self) -> Swept:
        """Remove every mapping of this host from this gateway, whichever program made it; other hosts' ones stay.

        These are what the gateway lists for this host, what is noted in `state`, and by NAT-PMP whatever there is.
        Mappings of this mapper are closed; other programs that run will open theirs again. Raises NoService.
        """
        self._running()
        for mapping in self.mappings:
            await mapping.close()
        swept = await sweep(self._access, await self._record.noted())
        await self._record.forget_removed(one.note for one in swept.cleared if one.error is None)
        return swept

    async def unmap_all(self, protocol: str) -> tuple[str, ...]:
        """Remove every mapping of this host by `protocol`, whichever program made it. Only NAT-PMP has that.

        Those of this mapper are closed; those of other protocols are renewed at once, for miniupnpd 2.3.1 removes them
        too. Returns and raises as `unmap`; RequestRefused among the reasons also when only some could be removed.
        """
        self._running()
        wanted = Protocol.parse(protocol)
        removed = await self._access.by_each(lambda backend: backend.unmap_all(wanted))
        for mapping in self.mappings:
            if mapping.protocol == wanted and mapping.backend.name in removed:
                await mapping.close()
        self._keeper.renew_all_soon()
        return removed

    async def external_address(self) -> IPAddress | None:
        """Ask the gateway for its external address; None when it has none now. Raises NoService."""
        self._running()
        return await self._access.by_first(lambda backend: backend.external_address())

    async def external_addresses(self) -> dict[str, IPAddress | PortMapperError | None]:
        """Ask for the external address by every backend at once; return by name what each was told, or why nothing.

        It takes as long as the slowest: 2.2 s where a protocol gets no answer.
        """
        self._running()
        return await self._access.ask_every(lambda backend, _: backend.external_address())

    async def probe(self) -> dict[str, float | PortMapperError]:
        """Find out which backends the gateway answers to, changing nothing: by name the seconds, or why not."""
        self._running()

        async def answered(_: Backend, seconds: float) -> float:
            return seconds

        return await self._access.ask_every(answered)

    async def list_mappings(self) -> tuple[ListedMapping, ...]:
        """Return every mapping on the gateway, whoever made it; `own` marks those of this host. Only UPnP has that.

        Raises NoService with each backend's reason.
        """
        self._running()
        found = await self._access.by_first(lambda backend: backend.list_mappings())
        return tuple(one.seen_from(self.gateway.source) for one in found)

    def _permitted(self, request: MappingRequest) -> MappingRequest:
        if request.internal_address is None:
            return request
        if not self._allow_third_party:
            raise InvalidRequest("a mapping for another host needs a mapper with allow_third_party=True")
        own = request.internal_address.packed == self.gateway.source.packed  # RFC 6887 section 13.1: not for ourselves
        return replace(request, internal_address=None) if own else request

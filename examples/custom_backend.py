"""Plug in a backend: this one asks nobody and "maps" ports on a table of its own.

A distribution of its own announces it by an entry point: see backends/README.md.
"""

from ipaddress import IPv4Address
from typing import ClassVar, Self

from portmapper import Backend, BackendOptions, Endpoint, Gateway, Lease, MappingRequest, NoMapping, RequestRefused

EXTERNAL = IPv4Address("203.0.113.7")
FIRST_FREE_PORT = 1024


class TableBackend(Backend):
    """Grants every port from 1024 on, for at most an hour."""

    name: ClassVar[str] = "table"
    title: ClassVar[str] = "A table"
    table: ClassVar[dict[tuple[str, int], MappingRequest]] = {}

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    @classmethod
    async def open(cls, gateway: Gateway, options: BackendOptions) -> Self:
        """Answer at once: there is nobody to ask."""
        return cls(gateway)

    async def map(self, request: MappingRequest, *, renew: Lease | None = None) -> Lease:
        """Enter the mapping under the wished port, or the internal one."""
        port = renew.external.port if renew else request.external_port or request.internal_port
        if port < FIRST_FREE_PORT:
            raise RequestRefused("ports below 1024 are not given away", code=1, name="PRIVILEGED")
        self.table[request.protocol, port] = request
        return self._lease(request, port)

    async def unmap(self, lease: Lease) -> None:
        """Remove the entry."""
        self.table.pop((lease.request.protocol, lease.external.port), None)

    async def find(self, request: MappingRequest) -> Lease:
        """Look for the entry of the internal port."""
        for (protocol, port), entry in self.table.items():
            if (protocol, entry.internal_port) == (request.protocol, request.internal_port):
                return self._lease(request, port)
        raise NoMapping(f"{request} is not in the table")

    async def external_address(self) -> IPv4Address:
        """Return the address of the documentation."""
        return EXTERNAL

    def _lease(self, request: MappingRequest, port: int) -> Lease:
        return Lease(
            request=request,
            gateway=self._gateway,
            backend=self.name,
            internal=Endpoint(self._gateway.source, request.internal_port),
            external=Endpoint(EXTERNAL, port),
            lifetime=min(request.lifetime, 3600),
        )

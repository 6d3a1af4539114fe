"""One port, opened for the time of a block."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager

from portmapper.mapper import PortMapper
from portmapper.mapping import Mapping
from portmapper.model import Gateway, RemoteFilter


@asynccontextmanager
async def open_mapping(
    port: int,
    protocol: str = "tcp",
    *,
    external_port: int = 0,
    exact: bool = False,
    remote: RemoteFilter | str | Iterable[RemoteFilter | str] = (),
    lifetime: int | None = None,
    description: str = "portmapper",
    gateway: Gateway | str | None = None,
    backends: Sequence[str] | None = None,
) -> AsyncGenerator[Mapping]:
    """Open one port for the time of an ``async with`` block.

    `lifetime` in seconds; all arguments and errors are those of PortMapper and its map.
    """
    async with PortMapper(gateway=gateway, backends=backends) as mapper:
        yield await mapper.map(
            port,
            protocol,
            external_port=external_port,
            exact=exact,
            remote=remote,
            lifetime=lifetime,
            description=description,
        )

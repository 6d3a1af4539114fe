"""One port, opened for the time of a block, without await."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager

from portmapper.model import Gateway, RemoteFilter
from portmapper.sync.mapper import PortMapper
from portmapper.sync.mapping import Mapping


@contextmanager
def open_mapping(
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
    timeout: float | None = None,
) -> Generator[Mapping]:
    """Open one port for the time of a ``with`` block; arguments and errors as for PortMapper and its map.

    `lifetime` and `timeout` are in seconds.
    """
    with PortMapper(gateway=gateway, backends=backends) as mapper:
        yield mapper.map(
            port,
            protocol,
            external_port=external_port,
            exact=exact,
            remote=remote,
            lifetime=lifetime,
            description=description,
            timeout=timeout,
        )

"""What callbacks are told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from portmapper.mapping import Mapping
from portmapper.model import Endpoint, Gateway, Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a call; every field but `error` may be missing.

    `ttl` is the lifetime in seconds, 0 for a mapping without end. `port_mapping_initialized` is for how many seconds
    the gateway has kept its mappings, which only PCP and NAT-PMP tell. `error` is the text of the error, "" for none.
    """

    external_ip: str | None = None
    private_port: int | None = None
    public_port: int | None = None
    ttl: int | None = None
    port_mapping_initialized: int | None = None
    gateway: str | None = None
    error: str = ""

    @property
    def externalIP(self) -> str | None:  # noqa: N802 - as the npm package pmp has it, here and below
        """`external_ip`."""
        return self.external_ip

    @property
    def privatePort(self) -> int | None:  # noqa: N802
        """`private_port`."""
        return self.private_port

    @property
    def publicPort(self) -> int | None:  # noqa: N802
        """`public_port`."""
        return self.public_port

    @property
    def portMappingInitialized(self) -> int | None:  # noqa: N802
        """`port_mapping_initialized`."""
        return self.port_mapping_initialized


Callback: TypeAlias = Callable[[Exception | None, Result], Any]
"""Called once: with None, or with what went wrong, and the result."""

OnMapping: TypeAlias = Callable[[Result | None], Any]
"""Called whenever the port is to be reached at another place: with the result, or with None when at none."""


def granted(mapping: Mapping) -> Result:
    """Return the result for what a gateway granted."""
    return leased(mapping.lease, mapping.backend.epoch)


def leased(lease: Lease, epoch: int | None) -> Result:
    """Return the result for a lease of a gateway that has kept its mappings for `epoch` seconds."""
    return Result(
        external_ip=_address(lease.external),
        private_port=lease.internal.port,
        public_port=lease.external.port,
        ttl=lease.lifetime,
        port_mapping_initialized=epoch,
        gateway=str(lease.gateway),
    )


def failed(error: BaseException, gateway: Gateway | str | None) -> Result:
    """Return the result for an error."""
    return Result(gateway=str(gateway) if gateway else None, error=str(error))


def _address(endpoint: Endpoint) -> str | None:
    return None if endpoint.address is None else str(endpoint.address)

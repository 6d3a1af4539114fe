"""A network that changes when a test says so."""

import anyio
import pytest

from portmapper import NoGateway, lifecycle
from portmapper.model import Gateway


class Ringing:
    """A bell that a test rings."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        self.closed = False

    def ring(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()

    def hush(self) -> None:
        self._event = anyio.Event()

    def close(self) -> None:
        self.closed = True


class Network:
    """A network whose default gateway a test chooses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gateway: Gateway | None = None
        self.bell = Ringing()
        self.looks = 0
        monkeypatch.setattr(lifecycle, "locate", lambda *_: self.locate())
        monkeypatch.setattr("portmapper.attending.make_bell", lambda _: self.bell)

    def locate(self) -> Gateway:
        self.looks += 1
        if self.gateway is None:
            raise NoGateway("this host has no default route through a gateway")
        return self.gateway

    def become(self, gateway: Gateway | None) -> None:
        self.gateway = gateway
        self.bell.ring()

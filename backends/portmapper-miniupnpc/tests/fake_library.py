"""What stands in for miniupnpc.UPnP and the router behind it, and what is asked of it. No network."""

from ipaddress import ip_address
from threading import Event
from typing import Any

from portmapper_miniupnpc import MiniupnpcBackend

from portmapper import BackendOptions, Gateway, MappingRequest, Protocol

GATEWAY = Gateway(address=ip_address("192.168.1.1"), source=ip_address("192.168.1.20"))
OPTIONS = BackendOptions(timeout=2.2, key=bytes(16))
OTHERS = ("192.168.1.99", 8080, "somebody", True, 3600)


class FakeRouter:
    """One router. As a callable it is the class miniupnpc.UPnP: each call makes the same object."""

    def __init__(self) -> None:
        self.url: str | None = "http://192.168.1.1:5000/ctl/IPConn"
        self.address = "203.0.113.7"
        self.table: dict[tuple[int, str], tuple[str, int, str, bool, int]] = {}
        self.options: dict[str, Any] = {}
        self.fails: dict[str, Exception] = {}
        self.asked: list[str] = []
        self.refusals: list[str] = []  # what addportmapping says first
        self.longest_lease = 10**9
        self.forgets = False  # says yes and does nothing
        self.gives_to_others = False
        self.blocked: Event | None = None

    def __call__(self, **options: Any) -> "FakeRouter":
        self.options = options
        return self

    def discover(self) -> int:
        self._ask("discover")
        return 1

    def selectigd(self) -> str | None:
        self._ask("selectigd")
        return self.url

    def externalipaddress(self) -> str:
        self._ask("externalipaddress")
        return self.address

    def addportmapping(  # noqa: PLR0917
        self, port: int, protocol: str, client: str, internal: int, text: str, remote: str, lease: int, /
    ) -> bool:
        self._ask(f"addportmapping {port} {lease}")
        assert remote == ""
        if self.refusals:
            raise Exception(self.refusals.pop(0))
        if self.gives_to_others:
            self.table[port, protocol] = OTHERS
        elif not self.forgets:
            self.table[port, protocol] = (client, internal, text, True, min(lease, self.longest_lease))
        return True

    def getspecificportmapping(self, port: int, protocol: str, /) -> tuple[str, int, str, bool, int] | None:
        self._ask("getspecificportmapping")
        return self.table.get((port, protocol))

    def deleteportmapping(self, port: int, protocol: str, /) -> bool:
        self._ask(f"deleteportmapping {port}")
        if self.forgets:
            return True
        if (port, protocol) not in self.table:
            raise Exception("NoSuchEntryInArray")
        del self.table[port, protocol]
        return True

    def _ask(self, call: str) -> None:
        self.asked.append(call)
        if self.blocked is not None:
            self.blocked.wait()
        if (error := self.fails.get(call.partition(" ")[0])) is not None:
            raise error


def request(
    *, external_port: int = 0, exact: bool = False, lifetime: int = 7200, description: str = "portmapper"
) -> MappingRequest:
    """Return a request for TCP port 8080."""
    return MappingRequest(
        protocol=Protocol.TCP,
        internal_port=8080,
        external_port=external_port,
        exact=exact,
        lifetime=lifetime,
        description=description,
    )


async def opened() -> MiniupnpcBackend:
    """Return the backend, opened on the fake router."""
    return await MiniupnpcBackend.open(GATEWAY, OPTIONS)

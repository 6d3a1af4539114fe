"""Every exception the library raises: one tree, ours against theirs, the facts as attributes."""

from collections.abc import Mapping as Dict


class PortMapperError(Exception):
    """Root of everything this library raises."""


class LocalError(PortMapperError):
    """The call could not be made from here; nothing was asked of a gateway."""


class InvalidRequest(LocalError, ValueError):
    """An argument is outside what the protocols can express."""


class UnsupportedRequest(LocalError):
    """The protocol has no way to ask for this."""


class UnknownBackend(LocalError, LookupError):
    """No backend of that name is installed."""


class NoGateway(LocalError):
    """This host has no default route to a gateway that could be asked."""


class NoMapping(LocalError):
    """The mapping holds no lease now, so it has no external address."""


class InUseLocally(LocalError):
    """Another program of this host has the port on that gateway, and it was not to be shared.

    ``program`` and ``pid`` are the one that was first, ``since`` when it asked, in seconds since 1970, and
    ``external_port`` where it is reached, 0 while that is not known.
    """

    def __init__(self, message: str, *, program: str, pid: int, since: float, external_port: int) -> None:
        super().__init__(message)
        self.program = program
        self.pid = pid
        self.since = since
        self.external_port = external_port


class MapperClosed(LocalError, RuntimeError):
    """The mapper is not open: use it inside its ``async with`` block."""


class NotHere(LocalError, RuntimeError):
    """The mapper belongs to another event loop, thread or process, and can be used there alone."""


class RemoteError(PortMapperError):
    """The gateway was asked, and what came back (or did not) is the reason."""


class GatewayUnreachable(RemoteError):
    """The network said no: refused port, no route, or a local firewall. ``errno`` is the system's number."""

    def __init__(self, message: str, *, errno: int | None = None) -> None:
        super().__init__(message)
        self.errno = errno


class GatewayTimeout(RemoteError, TimeoutError):
    """Nothing that matches came back. ``sent`` counts the requests, ``seconds`` the wait."""

    def __init__(self, message: str, *, sent: int = 0, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.sent = sent
        self.seconds = seconds


class ProtocolError(RemoteError, ValueError):
    """The peer sent something that its protocol does not allow."""


class UnsupportedVersion(RemoteError):
    """The gateway speaks another version of the protocol; ``version`` is the one it named."""

    def __init__(self, message: str, *, version: int) -> None:
        super().__init__(message)
        self.version = version


class RequestRefused(RemoteError):
    """The gateway understood and said no.

    ``code`` and ``name`` are the protocol's own; ``retry_after`` is how many seconds the refusal holds, if it said.
    ``lasting`` is whether somebody has to change something before another answer can be expected, and ``general``
    whether the gateway grants no new mapping at all meanwhile. ``remembered`` is whether it was not asked now,
    because an earlier refusal still holds.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int,
        name: str,
        retry_after: float | None = None,
        lasting: bool = False,
        general: bool = False,
        remembered: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.retry_after = retry_after
        self.lasting = lasting
        self.general = general
        self.remembered = remembered


class PortUnavailable(RequestRefused):
    """The gateway would map the port, but not at the external port that it has to be; `granted` is the one it gave.

    What it gave has been released.
    """

    def __init__(self, message: str, *, granted: int) -> None:
        super().__init__(message, code=0, name="OTHER_PORT_GRANTED")
        self.granted = granted


class MappingGone(RequestRefused):
    """The gateway has the mapping no more: its external port leads to somebody else now, or nowhere."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=0, name="MAPPING_GONE")


class NoService(RemoteError):
    """Every backend failed. ``reasons`` holds each one's own error by backend name, in the order of trying."""

    def __init__(self, message: str, *, reasons: Dict[str, PortMapperError]) -> None:
        super().__init__(message)
        self.reasons = dict(reasons)

    @property
    def refused(self) -> bool:
        """Whether a gateway answered and said no, rather than nobody answering."""
        return any(isinstance(reason, RequestRefused) for reason in self.reasons.values())

    @property
    def retry_after(self) -> float | None:
        """The seconds after which the first refusal ends of those that said when."""
        told = [one.retry_after for one in self.reasons.values() if isinstance(one, RequestRefused)]
        return min((seconds for seconds in told if seconds is not None), default=None)

    @property
    def lasting(self) -> bool:
        """Whether a backend refused for as long as nobody changes anything at the gateway."""
        return any(isinstance(reason, RequestRefused) and reason.lasting for reason in self.reasons.values())

    def __str__(self) -> str:
        lines = [f"  {name}: {reason}" for name, reason in self.reasons.items()]
        return "\n".join([str(self.args[0]), *lines])

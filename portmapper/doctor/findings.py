"""What an examination found: plain facts, each with how it was come by. No I/O, no judgement."""

from dataclasses import dataclass, field
from enum import StrEnum

from portmapper.gateway.tables.ranking import Candidate
from portmapper.model import Endpoint, Gateway, IPAddress, ListedMapping, MappingRequest
from portmapper.state.folder import NotedMapping
from portmapper.state.journal import NoteState


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was done, the seconds it took, and what came of it in a few words."""

    name: str
    seconds: float
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """A network interface of this host. `running` is whether its cable or radio link is up too."""

    name: str
    up: bool
    running: bool
    loopback: bool
    tunnel: bool
    addresses: tuple[IPAddress, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """How this host is connected. `candidates` are the routers of the routes, with the gateway if it can be asked.

    `outward` is the address of this host from which packets to the Internet leave by IPv4; None if none would.
    """

    interfaces: tuple[Interface, ...] = ()
    candidates: tuple[tuple[Candidate, Gateway | None], ...] = ()
    outward: IPAddress | None = None


class Outcome(StrEnum):
    """How a first question to a service ended."""

    ANSWERED = "answered"
    OTHER_VERSION = "other-version"
    NONSENSE = "nonsense"
    REFUSED = "refused"
    """The network said that nobody takes it (ICMP)."""
    FORBIDDEN = "forbidden"
    """This host did not let it out."""
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What the network said. `icmp` is type and code and `by` who said it, where the system tells."""

    text: str
    errno: int
    icmp: tuple[int, int] | None = None
    by: IPAddress | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstQuestion:
    """The first question of PCP or NAT-PMP, which changes nothing, and the bytes that came back.

    `seconds` is how long the answer took, or the wait for none. `result` is the name of the result code, "" without an
    answer; `address` is the external one, if the answer has it.
    """

    backend: str
    outcome: Outcome
    sent: bytes
    times: int
    seconds: float
    received: bytes = b""
    result: str = ""
    address: IPAddress | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchAnswer:
    """One answer to the UPnP search: who, what it says it is, where it keeps its description, and after how long."""

    sender: IPAddress
    target: str
    location: str
    server: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The UPnP search. `others` counts answers for other kinds of device, `nonsense` what was no answer at all."""

    outcome: Outcome
    seconds: float
    answers: tuple[SearchAnswer, ...] = ()
    others: int = 0
    nonsense: int = 0
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What a WAN connection of a device says of itself; what it did not say is "" or None.

    `problem` is why it could not be asked.
    """

    service_type: str
    status: str = ""
    connection_type: str = ""
    nat: bool | None = None
    told_address: bool = False
    """Whether it answered the question for its external address; None below is then "none now"."""
    address: IPAddress | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A UPnP device that answered the search. `problem` is why its description is of no use, "" if it is of use.

    `claims` is whether it answered as an Internet gateway, and not just as something that is there.
    """

    address: IPAddress
    location: str
    server: str = ""
    problem: str = ""
    claims: bool = True
    manufacturer: str = ""
    model: str = ""
    friendly_name: str = ""
    serial_number: str = ""
    udn: str = ""
    connections: tuple[Connection, ...] = ()
    firewall: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """What this host's own link layer knows of a gateway: `alive` None where the system does not tell."""

    alive: bool | None = None
    hardware: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayFindings:
    """What one gateway answered; `search` is None if UPnP was not asked."""

    gateway: Gateway
    questions: tuple[FirstQuestion, ...] = ()
    search: Search | None = None
    devices: tuple[Device, ...] = ()
    neighbour: Neighbour = Neighbour()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A program of this host listens at this local endpoint."""

    protocol: str
    local: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Firewall:
    """What shows of this host's own firewall. `active` names what is switched on.

    The other two are None where nobody may look (it takes root): what becomes of packets from outside that no rule is
    for, and whether a rule stops packets that leave.
    """

    active: tuple[str, ...] = ()
    drops_incoming: bool | None = None
    stops_outgoing: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One trial mapping, by one backend: what was granted, or why not. It is removed again, or `left` says why not.

    `code` and `name` are the refusal's own. `shown` is whether the router's list of mappings had it; None: no list.
    """

    backend: str
    seconds: float
    internal: Endpoint | None = None
    external: Endpoint | None = None
    lifetime: int = 0
    shown: bool | None = None
    code: int | None = None
    name: str = ""
    problem: str = ""
    left: str = ""

    @property
    def granted(self) -> bool:
        """Whether the gateway gave the mapping."""
        return self.external is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortFindings:
    """About the port that was asked for. `listeners` is None where the system does not tell; `listed` where no router.

    `noted` are mappings of this port by programs of this host; while there is one, no trial is made. `unknown` says
    what could not be learnt, and why.
    """

    request: MappingRequest
    listeners: tuple[Listener, ...] | None = None
    listed: tuple[ListedMapping, ...] | None = None
    noted: tuple[NotedMapping, ...] = ()
    unknown: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether some program of this host has it open already, by its journal or by the router's list."""
        has = (one.note.state is not NoteState.ASKED for one in self.noted)
        return any(has) or any(one.own for one in self.listed or ())

    @property
    def is_claimed(self) -> bool:
        """Whether some program of this host has it open, or asks for it: a trial could take it away."""
        return bool(self.noted) or self.is_open


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that was found. `gateways` are those that were asked, the one that would be used first; `named` by the user.

    `backends` are the names of those asked.
    """

    network: Network = Network()
    gateways: tuple[GatewayFindings, ...] = ()
    named: bool = False
    backends: tuple[str, ...] = ()
    firewall: Firewall = Firewall()
    port: PortFindings | None = None
    steps: tuple[Step, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    @property
    def first(self) -> GatewayFindings | None:
        """The gateway that would be used."""
        return self.gateways[0] if self.gateways else None

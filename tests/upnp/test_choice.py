"""Which connection of a device is used: the one that is up and faces the Internet, if it does address translation."""

from ipaddress import IPv4Address
from itertools import permutations

import anyio
import pytest

from portmapper import limits
from portmapper.errors import GatewayTimeout, GatewayUnreachable, PortMapperError, ProtocolError, RequestRefused
from portmapper.net import http
from portmapper.upnp.choice import Condition, best_connection, check_nat, is_connected, is_public, preference
from portmapper.upnp.client import IgdClient
from portmapper.upnp.description import Service
from portmapper.upnp.faults import fault_for

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

ROUTER = IPv4Address("192.168.1.1")
KIND, TR064 = "urn:schemas-upnp-org:service:", "urn:dslforum-org:service:"
REFUSED = fault_for(f"{KIND}WANIPConnection:1", 401)

Told = dict[str, str] | PortMapperError


class Telling(IgdClient):
    """A client of a device that tells `told` of each action, after `delay` seconds; it refuses all others."""

    def __init__(self, told: dict[str, Told], delay: float = 0.0) -> None:
        super().__init__(Service(f"{KIND}WANIPConnection:1", "http://192.168.1.1/ctl"), http.Route(ROUTER))
        self._told = told
        self._delay = delay
        self.asked: list[str] = []

    async def ask(self, name: str, *, within: float) -> dict[str, str]:
        self.asked.append(name)
        with anyio.move_on_after(within):
            await anyio.sleep(self._delay)
            told = self._told.get(name, REFUSED)
            if isinstance(told, PortMapperError):
                raise told
            return told
        raise GatewayTimeout("slow")


def of(status: Told, address: Told, delay: float = 0.0) -> Telling:
    return Telling({"GetStatusInfo": status, "GetExternalIPAddress": address}, delay)


def up(status: str = "Connected") -> Told:
    return {"newconnectionstatus": status, "newlastconnectionerror": "ERROR_NONE", "newuptime": "7"}


def at(address: str) -> Told:
    return {"newexternalipaddress": address}


PUBLIC = at("203.0.112.7")


async def condition(status: Told, address: Told) -> Condition:
    return await told_by(of(status, address))


async def told_by(client: IgdClient) -> Condition:
    return Condition(await is_connected(client), await is_public(client, ROUTER))


# --- What a connection says of itself


@pytest.mark.conforms("UP-45", "UP-46", "UP-108")
async def test_a_connection_that_is_up_with_a_public_address() -> None:
    client = of(up(), PUBLIC)
    assert await told_by(client) == Condition(connected=True, public=True)
    assert client.asked == ["GetStatusInfo", "GetExternalIPAddress"]


@pytest.mark.conforms("UP-108", "Q-27")
@pytest.mark.parametrize("status", ["Connected", "CONNECTED", "Up", "up"])
async def test_up_is_connected(status: str) -> None:
    assert (await condition(up(status), PUBLIC)).connected is True


@pytest.mark.conforms("UP-108")
@pytest.mark.parametrize(
    "status",
    [
        "Unconfigured",
        "Connecting",
        "Authenticating",
        "PendingDisconnect",
        "Disconnecting",
        "Disconnected",
        "Down",
        "",
        "x",
    ],
)
async def test_every_other_status_is_not(status: str) -> None:
    """Other values than the six of the standard are the vendor's."""
    assert (await condition(up(status), PUBLIC)).connected is False


@pytest.mark.conforms("UP-46", "UP-107", "Q-66")
@pytest.mark.parametrize(
    "address",
    ["", "0.0.0.0", "127.0.0.1", "10.0.0.1", "192.168.0.2", "100.64.0.1", "169.254.1.1", "2001:db8::1", "none"],
)
async def test_an_address_that_the_internet_does_not_reach_is_not_public(address: str) -> None:
    assert await condition(up(), at(address)) == Condition(connected=True, public=False)


@pytest.mark.conforms("Q-36")
@pytest.mark.parametrize("uptime", ["", "-1", "a long time"])
async def test_the_uptime_is_not_looked_at(uptime: str) -> None:
    status = {"newconnectionstatus": "Connected", "newuptime": uptime}
    assert await condition(status, PUBLIC) == Condition(connected=True, public=True)


PROBLEMS = [REFUSED, GatewayUnreachable("x"), ProtocolError("x")]


@pytest.mark.conforms("UP-108")
@pytest.mark.parametrize("problem", [*PROBLEMS, {}], ids=lambda value: type(value).__name__)
async def test_what_a_connection_does_not_say_counts_as_neither(problem: Told) -> None:
    assert await condition(problem, PUBLIC) == Condition(connected=None, public=True)
    assert await condition(up(), problem) == Condition(connected=True, public=None)
    assert await condition(problem, problem) == Condition()


# --- The order


def service(name: str, domain: str = KIND) -> Service:
    return Service(f"{domain}{name}", "/ctl")


UP, DOWN, UNKNOWN = Condition(connected=True), Condition(connected=False), Condition()
REACHED = Condition(connected=True, public=True)
HIDDEN = Condition(connected=True, public=False)
IP1, IP2, PPP1 = service("WANIPConnection:1"), service("WANIPConnection:2"), service("WANPPPConnection:1")
DSL_IP, DSL_PPP = service("WANIPConnection:1", TR064), service("WANPPPConnection:1", TR064)

BEST_FIRST = {
    "types": [(IP2, REACHED), (IP1, REACHED), (PPP1, REACHED), (DSL_IP, REACHED), (DSL_PPP, REACHED)],
    "types of nothing known": [(IP2, UNKNOWN), (IP1, UNKNOWN), (PPP1, UNKNOWN), (DSL_IP, UNKNOWN), (DSL_PPP, UNKNOWN)],
    "connected before all else": [(DSL_PPP, HIDDEN), (PPP1, UNKNOWN), (IP2, DOWN)],
    "public before the type": [(DSL_PPP, REACHED), (PPP1, UP), (IP2, HIDDEN)],
    "up before public": [(PPP1, HIDDEN), (IP2, Condition(connected=False, public=True))],
    "public counts too when all are down": [(PPP1, Condition(connected=False, public=True)), (IP2, DOWN)],
}


@pytest.mark.conforms("UP-44", "UP-45", "UP-46", "Q-24")
@pytest.mark.parametrize("ranked", BEST_FIRST.values(), ids=BEST_FIRST)
async def test_connected_comes_before_public_and_that_before_the_type(ranked: list[tuple[Service, Condition]]) -> None:
    for mixed in permutations(ranked):
        assert sorted(mixed, key=lambda one: preference(*one)) == ranked


@pytest.mark.conforms("UP-45", "UP-46", "Q-23")
@pytest.mark.parametrize(
    ("conditions", "used"),
    [
        ([DOWN, UP, UP], 1),
        ([DOWN, HIDDEN, REACHED], 2),
        ([DOWN, HIDDEN, HIDDEN], 1),
        ([DOWN, DOWN, DOWN], 0),
        ([UNKNOWN, UNKNOWN, UNKNOWN], 0),
        ([UNKNOWN, DOWN, UP], 2),
    ],
)
async def test_of_several_interfaces_the_connected_one_is_used_else_the_first(
    conditions: list[Condition], used: int
) -> None:
    numbers = range(len(conditions))
    assert min(numbers, key=lambda number: preference(IP1, conditions[number])) == used


@pytest.mark.conforms("UP-45", "Q-28")
async def test_ppp_is_used_when_ip_is_not_connected() -> None:
    dead, living = await condition(up("Disconnected"), at("")), await condition(up("Up"), PUBLIC)
    assert preference(PPP1, living) < preference(IP2, dead)


@pytest.mark.conforms("UP-45", "Q-23", "Q-27")
async def test_all_connections_are_asked_and_the_best_is_used() -> None:
    dead, hidden, best, other = of(up("Down"), PUBLIC), of(up(), at("10.0.0.1")), of(up("Up"), PUBLIC), of(up(), PUBLIC)
    assert await best_connection([dead, hidden, best, other], ROUTER) is best
    assert dead.asked == ["GetStatusInfo"]
    assert [one.asked for one in (hidden, best, other)] == [["GetStatusInfo", "GetExternalIPAddress"]] * 3


async def test_of_connections_that_tell_nothing_the_first_is_used() -> None:
    silent = [of(REFUSED, REFUSED) for _ in range(3)]
    assert await best_connection(silent, ROUTER) is silent[0]


@pytest.mark.conforms("UP-44")
async def test_of_connections_that_tell_nothing_that_of_the_best_type_is_used() -> None:
    silent = [of(REFUSED, REFUSED) for _ in range(3)]
    silent[1].service = IP2
    assert await best_connection(silent, ROUTER) is silent[1]


@pytest.mark.parametrize(("delay", "seconds"), [(0.1, 0.5), (60, limits.STATUS)])
async def test_connections_that_do_not_answer_are_not_waited_for(delay: float, seconds: float) -> None:
    """The first says that it is down, if it gets so far; what was heard in time counts."""
    begin = anyio.current_time()
    slow = [of(up("Down"), PUBLIC, delay), of(up(), PUBLIC, delay), of(up(), PUBLIC, delay)]
    assert await best_connection(slow, ROUTER) is (slow[1] if delay < 1 else slow[0])
    assert anyio.current_time() - begin == pytest.approx(seconds)


async def test_slow_connections_have_2_seconds_together() -> None:
    begin = anyio.current_time()
    slow = [of(up("Down"), PUBLIC, 0.9), *(of(up(), PUBLIC, 0.9) for _ in range(4))]
    assert await best_connection(slow, ROUTER) is slow[1]
    assert anyio.current_time() - begin == pytest.approx(limits.STATUS)


async def test_a_connection_that_is_given_up_before_leaves_the_choice_to_what_was_heard() -> None:
    late = [of(up("Down"), PUBLIC), of(up(), PUBLIC), of(GatewayTimeout("cannot connect"), PUBLIC)]
    assert await best_connection(late, ROUTER) is late[1]


# --- Address translation


def nat(enabled: Told, kind: Told = REFUSED) -> Telling:
    return Telling({"GetNATRSIPStatus": enabled, "GetConnectionTypeInfo": kind})


def of_type(kind: str) -> Told:
    return {"newconnectiontype": kind, "newpossibleconnectiontypes": "IP_Routed,IP_Bridged"}


ON: Told = {"newrsipavailable": "0", "newnatenabled": "1"}


@pytest.mark.conforms("UP-110", "Q-18")
@pytest.mark.parametrize("text", ["0", "false", "No"])
async def test_a_device_that_says_it_does_no_nat_is_refused_for_good(text: str) -> None:
    with pytest.raises(RequestRefused, match="no NAT") as caught:
        await check_nat(nat({"newrsipavailable": "1", "newnatenabled": text}))
    assert (caught.value.name, caught.value.lasting) == ("NAT_DISABLED", True)


@pytest.mark.conforms("UP-47", "UP-109", "Q-18")
@pytest.mark.parametrize("kind", ["IP_Bridged", "ip_bridged", "Unconfigured"])
@pytest.mark.parametrize("enabled", [ON, REFUSED], ids=["NAT", "unsaid"])
async def test_a_connection_that_is_not_routed_is_refused_for_good(kind: str, enabled: Told) -> None:
    with pytest.raises(RequestRefused, match="bridged or not configured") as caught:
        await check_nat(nat(enabled, of_type(kind)))
    assert (caught.value.name, caught.value.lasting) == ("NOT_ROUTED", True)


@pytest.mark.conforms("UP-47", "UP-109", "UP-110")
@pytest.mark.parametrize("kind", ["IP_Routed", "DHCP_Spoofed", "PPPoE", "x", ""])
@pytest.mark.parametrize("text", ["1", "true", "yes", "", "maybe"])
async def test_a_device_that_does_not_say_no_is_believed(kind: str, text: str) -> None:
    client = nat({"newnatenabled": text}, of_type(kind))
    await check_nat(client)
    assert client.asked == ["GetNATRSIPStatus", "GetConnectionTypeInfo"]


@pytest.mark.conforms("UP-109", "UP-110")
@pytest.mark.parametrize("problem", [*PROBLEMS, {}], ids=lambda value: type(value).__name__)
async def test_a_device_that_does_not_tell_gets_the_benefit_of_the_doubt(problem: Told) -> None:
    await check_nat(nat(problem, problem))


@pytest.mark.conforms("UP-110")
async def test_a_device_that_answers_nothing_at_all_is_given_up() -> None:
    """No mapping could be asked for there either."""
    client = Telling({"GetNATRSIPStatus": ON}, delay=60)
    begin = anyio.current_time()
    with pytest.raises(GatewayTimeout):
        await check_nat(client)
    assert anyio.current_time() - begin == pytest.approx(limits.HTTP_EXCHANGE)
    assert client.asked == ["GetNATRSIPStatus"]


@pytest.mark.conforms("UP-109", "UP-110")
async def test_a_device_that_answers_only_the_first_question_in_time_gets_the_benefit_of_the_doubt() -> None:
    await check_nat(nat(ON, GatewayTimeout("slow")))


@pytest.mark.conforms("Q-18")
async def test_a_device_that_says_no_is_refused_however_slow_it_is() -> None:
    client = Telling({"GetNATRSIPStatus": {"newnatenabled": "0"}}, delay=limits.STATUS - 0.1)
    with pytest.raises(RequestRefused, match="no NAT"):
        await check_nat(client)

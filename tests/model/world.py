"""A host with a mapper, two routers, and a random schedule of what happens to them."""

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from ipaddress import IPv4Address
from unittest.mock import patch

import anyio
from anyio.abc import TaskGroup

from portmapper import limits
from portmapper.errors import NoGateway, PortMapperError, RequestRefused
from portmapper.mapper import PortMapper
from portmapper.mapping import Mapping
from portmapper.model import Gateway, MappingState
from portmapper.net import clock
from portmapper.registry import Candidate
from tests.model.backends import CLASSES, ROUTERS
from tests.model.router import HOST, Entry, Router

FAULTS = 20
LENGTH = 600.0  # seconds in which they happen
SLACK = 15.0  # a search that was under way has to come to its end first
CONVERGENCE = 60.0
LOOK = 5.0  # between two looks whether all is well
TICK = 5.0  # between two looks at the clock: each of one second would be most of the work
REQUESTS = 3000  # of one schedule: the most in two thousand of them was 760, and to ask without a pause takes 15,000
LEAVING = limits.RELEASE + limits.LAST_WORDS + 0.1


class Violation(AssertionError):
    """Something that must never be."""


class Bell:
    """Rings when the host is plugged in somewhere else."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()

    def hush(self) -> None:
        self._event = anyio.Event()

    def close(self) -> None:
        pass


class World:
    """What there is, and what may happen to it; everything is drawn from one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        self.jitter = random.Random(seed)  # the library's own: what happens does not depend on how often it throws
        self.log: list[str] = []
        self.bell = Bell()
        self.routers = [Router(1), Router(2)]
        self.plugged: Router | None = self.routers[0]
        self.wanted: list[Mapping] = []
        self.patient = (
            False  # nobody answered a search yet, or it was refused: the next may wait as long as its back-off
        )
        self.slept = 0.0  # how far the clock of leases is ahead of that of the loop
        self._awake = 0.0  # by then it will have noticed that it slept
        self._ports = iter(range(4001, 5000))
        ROUTERS.clear()
        ROUTERS.update({router.gateway: router for router in self.routers})

    def locate(self) -> Gateway:
        if self.plugged is None:
            raise NoGateway("unplugged")
        return self.plugged.gateway

    def now(self) -> float:
        return anyio.current_time() + self.slept

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have the library live here."""
        candidates = [Candidate(name, partial(CLASSES.__getitem__, name)) for name in CLASSES]
        with (
            patch("portmapper.lifecycle.registry.select", lambda _: candidates),
            patch("portmapper.lifecycle.locate", lambda *_: self.locate()),
            patch("portmapper.attending.make_bell", lambda _: self.bell),
            patch("portmapper.attending.listen", _deaf),
            patch("portmapper.attending.listen_for_restarts", _deaf),
            patch("portmapper.attending.listen_for_updates", _deaf),
            patch("random.random", self.jitter.random),
            patch.object(clock, "now", self.now),
            patch.object(limits, "WATCH_TICK", TICK),
        ):
            yield

    # --- What the user does

    async def map(self, mapper: PortMapper) -> None:
        wish = self.dice.choice([0, 0, self.dice.randrange(20_000, 20_010)])
        lifetime = self.dice.choice([30, 120, 600, 7200])
        with suppress(PortMapperError), anyio.move_on_after(self.dice.choice([0.001, 0.01, 3, 60])):
            protocol = self.dice.choice(["tcp", "udp"])
            self.wanted.append(await mapper.map(next(self._ports), protocol, external_port=wish, lifetime=lifetime))

    async def close(self, _: PortMapper) -> None:
        if self.wanted:
            mapping = self.wanted.pop(self.dice.randrange(len(self.wanted)))
            await mapping.close()
            self.forgive([mapping])

    async def refresh(self, _: PortMapper) -> None:
        if self.wanted:
            with suppress(PortMapperError), anyio.move_on_after(self.dice.choice([0.001, 0.01, 3, 60])):
                await self.dice.choice(self.wanted).refresh(hard=self.dice.random() < 0.3)

    # --- What happens

    def faults(self) -> list[Callable[[], None]]:
        return [
            self.silence, self.lose_answers, self.slow_down, self.refuse, self.restart, self.restart_and_forget,
            self.forget_one, self.steal_one, self.shorten, self.move_ports, self.switch_off, self.change_address,
            self.unplug, self.plug_in_elsewhere, self.sleep, self.mend,
        ]  # fmt: skip

    def happen(self) -> None:
        """Have something happen."""
        fault = self.dice.choice(self.faults())
        self.log.append(f"{anyio.current_time():9.3f} {fault.__name__}")
        fault()

    def silence(self) -> None:
        self._router().silent = True

    def lose_answers(self) -> None:
        self._router().mute = True

    def slow_down(self) -> None:
        self._router().slow = self.dice.choice([0.5, 2.5, 5.0, 20.0])

    def refuse(self) -> None:
        self.patient = True
        after = self.dice.choice([None, 5.0, 30.0, 600.0])
        lasting, general = self.dice.random() < 0.3, self.dice.random() < 0.3
        self._router().refusal = RequestRefused(
            "no", code=8, name="NO", retry_after=after, lasting=lasting, general=general
        )

    def restart(self) -> None:
        self._router().restart(forget=False)

    def restart_and_forget(self) -> None:
        self._router().restart(forget=True)

    def forget_one(self) -> None:
        if entries := self._router().entries:
            entries.remove(self.dice.choice(entries))

    def steal_one(self) -> None:
        if entries := self._router().entries:
            self._router().steal(self.dice.choice(entries))

    def shorten(self) -> None:
        self._router().longest = self.dice.choice([1, 2, 20, 300])

    def move_ports(self) -> None:
        self._router().moves_ports = True

    def switch_off(self) -> None:
        self._router().speaks = self.dice.choice([{"keyed"}, {"listed"}, set[str]()])

    def change_address(self) -> None:
        self._router().address = IPv4Address(f"198.51.100.{self.dice.randrange(1, 250)}")

    def unplug(self) -> None:
        self._plug(None)

    def plug_in_elsewhere(self) -> None:
        self._plug(self.dice.choice(self.routers))

    def sleep(self) -> None:
        self.slept += self.dice.choice([20.0, 400.0, 7200.0])
        self._awake = anyio.current_time() + TICK + 0.1

    def mend(self) -> None:
        """Everything that lasts is over, but what was done is done."""
        for router in self.routers:
            router.silent = router.mute = router.moves_ports = False
            router.slow, router.refusal, router.longest = 0.0, None, 7200
            router.speaks = set(CLASSES)

    async def suffer(self, mapper: PortMapper, tasks: TaskGroup) -> None:
        """Have a user want things, and things go wrong, and then no more."""
        for _ in range(3):
            tasks.start_soon(self.map, mapper)
        for _ in range(FAULTS):
            await anyio.sleep(self.dice.expovariate(FAULTS / LENGTH))
            self.happen()
            if self.dice.random() < 0.3:
                tasks.start_soon(self.dice.choice([self.map, self.close, self.refresh]), mapper)
            self.check_always(mapper)
        self.end_faults()

    def end_faults(self) -> None:
        """Let everything be well from now on."""
        self.log.append(f"{anyio.current_time():9.3f} all is well")
        self.mend()
        self._plug(self.plugged or self.routers[0])

    def _plug(self, router: Router | None) -> None:
        if router is not self.plugged:
            for other in self.routers:
                other.left = router is not None and other is not router
                for entry in other.entries if other is not router else ():
                    entry.doubtful = True  # nobody can take it back from elsewhere
            self.plugged, self.patient = router, True
            self.bell.ring()

    def _router(self) -> Router:
        return self.plugged or self.routers[0]

    # --- What must hold

    async def until_converged(self, mapper: PortMapper) -> None:
        """Wait until everything is well, or has to be."""
        # Mappings are looked at in turn, and searches that found nobody become rare, as do those that were refused.
        waits = CONVERGENCE + limits.RETRY_LAST * (1 + limits.RETRY_JITTER) if self.patient else 0.0
        with anyio.move_on_after(max(CONVERGENCE * len(mapper.mappings), waits) + SLACK):
            while self._faults_seen(mapper):
                await anyio.sleep(LOOK)

    def check_always(self, mapper: PortMapper) -> None:
        """What is claimed has a lease, and nothing is on the router twice."""
        for mapping in mapper.mappings:
            if mapping.state is MappingState.MAPPED and mapping._holding.ends < self.now() - 0.1:
                self._require(anyio.current_time() < self._awake, f"{mapping!r} claims a lease that has ended")
            sure = [one for one in self._entries(mapping) if not one.doubtful]
            self._require(len(sure) <= 1, f"{mapping!r} is on the router twice: {sure}")

    def check_converged(self, mapper: PortMapper) -> None:
        """Everything wanted is there again, and where the mapping says that it is."""
        faults = self._faults_seen(mapper)
        self._require(not faults, "; ".join(faults))

    def _faults_seen(self, mapper: PortMapper) -> list[str]:
        found: list[str] = []
        for mapping in mapper.mappings:
            ports = [one.external_port for one in self._entries(mapping)]
            if mapping.state is not MappingState.MAPPED:
                found.append(f"{mapping!r} is not back: {mapping.problem!r}")
            elif mapping.external_port not in ports:
                found.append(f"{mapping!r} is not there, but {ports}")
        return found

    def forgive(self, closed: Iterable[Mapping]) -> None:
        """Note what was said to stay on the router: it was silent when it should have been taken back."""
        for mapping in closed:
            if mapping.problem is not None:
                self._router().doubt(mapping.protocol, mapping.internal_port)

    def check_left(self, leaving: float) -> None:
        """Nothing is left behind, and leaving was quick."""
        router = self._router()
        router.expire()
        ours = [one for one in router.entries if one.client == HOST and not one.doubtful]
        self._require(not ours, f"left behind: {ours}")
        self._require(leaving <= LEAVING, f"leaving took {leaving:.2f} s")

    def check_requests(self) -> int:
        """Return how many requests all this took; nobody was asked without a pause."""
        requests = sum(router.requests for router in self.routers)
        self._require(requests <= REQUESTS, f"{requests} requests")
        return requests

    def _entries(self, mapping: Mapping) -> list[Entry]:
        if self.plugged is None:
            return []
        self.plugged.expire()
        return self.plugged.to(mapping.protocol, mapping.internal_port)

    def _require(self, holds: bool, text: str) -> None:
        if not holds:
            log = "\n".join(self.log)
            raise Violation(f"seed {self.seed}, at {anyio.current_time():.3f}: {text}\n{log}")


async def live(seed: int, kind: type[World] = World) -> int:
    """Live through one schedule, and return how many requests it took. Raises Violation."""
    world = kind(seed)
    with world.entered():
        async with PortMapper(check=60) as mapper:
            async with anyio.create_task_group() as tasks:
                await world.suffer(mapper, tasks)
            await world.until_converged(mapper)
            world.check_always(mapper)
            world.check_converged(mapper)
            held, begin = mapper.mappings, anyio.current_time()
        world.forgive(held)
        world.check_left(anyio.current_time() - begin)
    return world.check_requests()


async def _deaf(*_: object) -> None:
    await anyio.sleep_forever()

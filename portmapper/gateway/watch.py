"""Notice that the network may have changed, or that this machine or program was asleep.

A bell says only that something happened; the gateway is then looked up again. So nothing that the kernel tells is
parsed, and what is forgotten or told twice does no harm.
"""

import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Protocol, Self

import anyio

from portmapper import limits
from portmapper.net import clock

# linux/rtnetlink.h: links, addresses and routes of both families.
_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400


class Bell(Protocol):
    """Rings when the network may have changed."""

    async def wait(self) -> None:
        """Return at the next ring; cancelled when it takes too long."""
        ...

    def hush(self) -> None:
        """Forget the rings until now."""
        ...

    def close(self) -> None:
        """Give back what it took."""
        ...


class NetlinkBell:
    """Linux tells of every change of links, addresses and routes. Raises OSError where it does not."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        try:
            self._socket.setblocking(False)
            self._socket.bind((0, _GROUPS))
        except BaseException:
            self.close()
            raise

    async def wait(self) -> None:
        """Return at the next ring."""
        await anyio.wait_readable(self._socket)

    def hush(self) -> None:
        """Drop what was told; that more was told than the buffer holds is no error, a ring is a ring."""
        for _ in range(limits.RINGS):
            try:
                self._socket.recv(1)
            except BlockingIOError:
                return
            except OSError:
                continue  # ENOBUFS

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class PollingBell:
    """Where the system tells nothing, `snapshot` is looked at from time to time and rings when it is another."""

    def __init__(self, snapshot: Callable[[], object]) -> None:
        self._snapshot = snapshot
        self._last = snapshot()
        self._next_look = clock.now() + limits.POLL

    async def wait(self) -> None:
        """Return when the snapshot is another one."""
        while True:
            await anyio.sleep(self._next_look - clock.now())
            self._next_look = clock.now() + limits.POLL
            if self._snapshot() != self._last:
                return

    def hush(self) -> None:
        """Compare with what there is now."""
        self._last = self._snapshot()

    def close(self) -> None:
        """There is nothing to give back."""


def make_bell(snapshot: Callable[[], object]) -> Bell:
    """Return the best bell of this system."""
    if sys.platform == "linux":
        try:
            return NetlinkBell()
        except OSError:
            pass  # a sandbox may forbid it
    return PollingBell(snapshot)


class SleepWatch:
    """Tells whether this machine, or this program, was asleep. No I/O: the time is an argument.

    The clock goes on in suspend and while a program is stopped; a wait of `tick` seconds that took much longer was one.
    """

    def __init__(self, now: float) -> None:
        self._last = now

    def observe(self, now: float) -> bool:
        """Whether it was asleep since the last call, which was `limits.WATCH_TICK` seconds ago at most, or just now."""
        slept = now - self._last > limits.WATCH_TICK + limits.ASLEEP
        self._last = now
        return slept


class Watch:
    """Waits for changes, as a context manager."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._bell.close()

    async def run(self, react: Callable[[bool], Awaitable[None]]) -> None:
        """Call `react` after each change, and after a sleep with True, until cancelled."""
        sleep = SleepWatch(clock.now())
        while True:
            rung = await self._rung()
            slept = sleep.observe(clock.now())
            if rung:
                await self._settle()
                slept = sleep.observe(clock.now()) or slept  # a machine often sleeps when its network has just gone
            if rung or slept:
                await react(slept)
                sleep.observe(clock.now())

    async def _rung(self) -> bool:
        with anyio.move_on_after(limits.WATCH_TICK):
            await self._bell.wait()
            return True
        return False

    async def _settle(self) -> None:
        # A change comes as many: link, address, routes. The first quiet moment, or a second, and it is looked at.
        with anyio.move_on_after(limits.SETTLED_AT_LAST):
            quiet = False
            while not quiet:
                self._bell.hush()
                with anyio.move_on_after(limits.QUIET) as scope:
                    await self._bell.wait()
                quiet = scope.cancelled_caught
        self._bell.hush()

"""One event loop in one thread, for as long as there is work for it."""

import asyncio
import atexit
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any
from typing import Protocol as Interface

import anyio
from anyio.abc import TaskGroup

from portmapper import limits
from portmapper.errors import LocalError, MapperClosed, NotHere


class Promise(Interface):
    """What somebody waits for."""

    def refuse(self, reason: LocalError) -> None:
        """End it, if it has not ended."""
        ...


class Work(Promise, Interface):
    """What is done in the loop."""

    async def run(self) -> None:
        """Do it. What this raises ends all other work: it should raise nothing."""
        ...

    def give_up(self) -> None:
        """Clean up and end: the program ends. What does not is cancelled after LAST_CLEANING."""
        ...


# anyio's BlockingPortal would do most of this, but each of its calls waits for the loop: finalizers, functions that
# call back, and Ctrl-C at any moment need one that never waits.


class Background:
    """The thread and its loop. It begins with its first work and ends with its last."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None  # until it runs
        self._tasks: TaskGroup
        self._over: anyio.Event
        self._rung: anyio.Event
        self._inbox: deque[Callable[[], Any]] = deque()
        self._works: dict[Work, Future[None]] = {}  # under _lock, as all that decides whether it ends
        self._promised: set[Promise] | None = set()  # None once the loop is closed
        # The interpreter waits for a thread that is no daemon, and for those that it starts, before it tells anybody
        # that it ends (atexit).
        self._thread = threading.Thread(target=self._run, name="portmapper", daemon=True)

    @property
    def is_ours(self) -> bool:
        """Whether it was started by this process, not by the one that this was forked from."""
        return os.getpid() == self._process

    def start(self) -> None:
        """Start the thread; what is posted before the loop runs is not lost."""
        try:
            self._thread.start()
        except RuntimeError as error:  # the interpreter is ending, or the system has no more threads
            raise MapperClosed(f"no thread could be started: {error}") from error

    def take(self, work: Work) -> "Future[None]":
        """Begin `work`, holding _lock; what is returned is there when it has ended."""
        done: Future[None] = Future()
        self._works[work] = done
        self.post(lambda: self._tasks.start_soon(self._do, work))
        return done

    def post(self, function: Callable[[], Any]) -> None:
        """Have `function` called in the loop soon; it raises nothing. Never waits, and may be called anywhere.

        Raises NotHere in a fork, MapperClosed after the end.
        """
        self.check_process()
        self._inbox.append(function)
        if (loop := self._loop) is None:
            return  # the inbox is looked into when it runs
        try:
            loop.call_soon_threadsafe(self._ring)
        except RuntimeError as error:
            raise MapperClosed(_LEFT) from error

    def _ring(self) -> None:
        self._rung.set()

    def promise(self, promise: Promise) -> None:
        """Refuse it should the loop end before it is kept. Raises NotHere, MapperClosed."""
        self.check_process()
        with _lock:
            if self._promised is None:
                raise MapperClosed(_LEFT)
            self._promised.add(promise)

    def keep(self, promise: Promise) -> None:
        """Forget what has been kept."""
        if (promised := self._promised) is not None:
            promised.discard(promise)

    def end(self) -> None:
        """Have all work given up: what is mapped is released."""
        with suppress(MapperClosed, NotHere):
            self.post(self._over.set)

    def join(self) -> None:
        """Wait for the end of the thread, LAST_CLEANING and GRACE at most."""
        if self._thread is not threading.current_thread():
            self._thread.join(limits.LAST_CLEANING + limits.GRACE)

    def settle(self, done: "Future[None]") -> None:
        """Wait for the end of work, and of the thread if that was the last: so nothing is left of it."""
        done.result()
        with _lock:
            is_over = not self._works
        if is_over:
            self.join()

    def check_process(self) -> None:
        """Raise NotHere in a process that was forked from its own."""
        if not self.is_ours:
            raise NotHere("this mapper belongs to the process that this one was forked from; make another here")

    def _run(self) -> None:
        reason = MapperClosed(_LEFT)
        try:
            anyio.run(self._main, backend="asyncio")
        except OSError as error:  # no more files can be opened
            reason = MapperClosed(f"no event loop could be started: {error}")
        finally:
            self._refuse_the_rest(reason)

    def _refuse_the_rest(self, reason: MapperClosed) -> None:
        with _lock:
            self._retire()
            promised, self._promised = self._promised or set(), None
            works, self._works = self._works, {}
        for promise in (*works, *promised):
            promise.refuse(reason)
        for done in works.values():
            done.set_result(None)
        _running.discard(self)

    async def _main(self) -> None:
        self._over, self._rung = anyio.Event(), anyio.Event()
        async with anyio.create_task_group() as reading:
            reading.start_soon(self._read)
            async with anyio.create_task_group() as self._tasks:
                self._loop = asyncio.get_running_loop()
                self._take_in()
                await self._over.wait()
                await self._give_up()
                self._tasks.cancel_scope.cancel()
            reading.cancel_scope.cancel()

    async def _read(self) -> None:
        while True:
            await self._rung.wait()
            self._rung = anyio.Event()
            self._take_in()

    def _take_in(self) -> None:
        while self._inbox:
            self._inbox.popleft()()

    async def _give_up(self) -> None:
        with _lock:
            self._retire()
            works = tuple(self._works)
        self._take_in()  # so that all work that was taken has begun
        for work in works:
            work.give_up()
        with anyio.move_on_after(limits.LAST_CLEANING):
            while self._works:
                self._over = anyio.Event()
                await self._over.wait()

    async def _do(self, work: Work) -> None:
        try:
            await work.run()
        finally:
            with _lock:
                done = self._works.pop(work)
                if not self._works:
                    self._retire()
            if not self._works:
                self._over.set()
            done.set_result(None)

    def _retire(self) -> None:
        """Take no more work, holding _lock: the next begins another thread."""
        global _current  # noqa: PLW0603 - there is one at a time
        if _current is self:
            _current = None


_LEFT = "use the mapper inside its `with` block"

_lock = threading.Lock()
_current: Background | None = None
_running: set[Background] = set()  # the current one, and those that clean up
_forked: list[Background] = []  # kept: to collect a copied loop would stop the sockets of the one it was copied from
_ended = False


def spawn(work: Work) -> "tuple[Background, Future[None]]":
    """Do `work` in the background; return that, and what is there when the work has ended.

    Raises MapperClosed when the program has ended.
    """
    global _current  # noqa: PLW0603
    with _lock:
        if _ended:
            raise MapperClosed("the program is ending: no mapping can be made any more")
        if _current is None:
            beginning = Background()
            beginning.start()
            _running.add(beginning)
            _current = beginning
        return _current, _current.take(work)


def end_all() -> None:
    """Have all work of this process given up, and wait until it has cleaned up; nothing can be begun after that."""
    global _ended  # noqa: PLW0603
    _ended = True
    running = tuple(_running)
    for one in running:
        one.end()
    for one in running:
        one.join()


def _in_child() -> None:
    global _lock, _current  # noqa: PLW0603
    _lock = threading.Lock()
    _current = None
    _forked.extend(_running)
    _running.clear()


atexit.register(end_all)
if hasattr(os, "register_at_fork"):  # not on Windows, where no process is forked
    os.register_at_fork(after_in_child=_in_child)

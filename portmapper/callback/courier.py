"""The thread in which callbacks are called, one after the other: what they do disturbs nobody but each other."""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

from portmapper.errors import InvalidRequest, MapperClosed

Thunk: TypeAlias = Callable[[], Any]
Dispatch: TypeAlias = Callable[[Thunk], Any]

_log = logging.getLogger(__name__)


class Delivery:
    """One call of a callback, made once however often it is called."""

    def __init__(self, callback: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._left = [callback]
        self._arguments = arguments

    def __call__(self) -> None:
        """Call the callback; what it raises is logged."""
        try:
            callback = self._left.pop()  # at once: two threads do not both get it
        except IndexError:
            return
        try:
            callback(*self._arguments)
        except BaseException:  # noqa: BLE001 - SystemExit too: the thread has others to call
            _log.exception("a callback failed")


class Courier:
    """Calls callbacks in a thread that is there while somebody is expected to call back."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._thunks: deque[Thunk] = deque()
        self._expected = 0
        self._thread: threading.Thread | None = None

    def expect(self) -> None:
        """Be there until as many calls of `done` have come as of this. Raises MapperClosed without a thread."""
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="portmapper callbacks", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # the interpreter is ending, or the system has no more threads
                    raise MapperClosed(f"no thread could be started: {error}") from error
                self._thread = thread
            self._expected += 1

    def done(self) -> None:
        """Expect one call less."""
        with self._changed:
            self._expected -= 1
            self._changed.notify_all()

    def deliver(self, dispatch: Dispatch | None, callback: Callable[..., Any], *arguments: Any) -> None:
        """Call `callback` soon, through `dispatch` if there is one."""
        delivery = Delivery(callback, arguments)
        with self._changed:
            self._thunks.append(delivery if dispatch is None else lambda: dispatch(delivery))
            self._changed.notify_all()

    def drain(self, seconds: float) -> None:
        """Wait until all is delivered and nothing more is expected, at most so long."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _run(self) -> None:
        while (thunk := self._next()) is not None:
            try:
                thunk()
            except BaseException:  # noqa: BLE001 - as a callback
                _log.exception("a callback could not be dispatched")
            del thunk

    def _next(self) -> Thunk | None:
        with self._changed:
            while not self._thunks:
                if not self._expected:
                    self._thread = None
                    return None
                self._changed.wait()
            return self._thunks.popleft()


def check_callable(**functions: object) -> None:
    """Raise InvalidRequest for a callback that cannot be called, by its name."""
    for name, function in functions.items():
        if function is not None and not callable(function):
            raise InvalidRequest(f"{name} must be a function, not {function!r}")


courier = Courier()


def _in_child() -> None:
    courier.__init__()  # type: ignore[misc]  # the thread and what it had to deliver are the parent's


if hasattr(os, "register_at_fork"):  # not on Windows, where no process is forked
    os.register_at_fork(after_in_child=_in_child)

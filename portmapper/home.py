"""Where a mapper lives, one process and one event loop, and what becomes of one that is never left."""

import atexit
import os
from typing import Protocol as Interface
from weakref import WeakSet

from anyio.lowlevel import current_token

from portmapper.errors import NotHere


class Resident(Interface):
    """What is entered and should be left."""

    def say_farewell(self) -> None:
        """Do what can be done at once and without an event loop."""
        ...

    def disown(self) -> None:
        """Forget what belongs to the parent of this process."""
        ...


class Home:
    """The event loop in which it was made, in this process."""

    def __init__(self) -> None:
        self._loop = current_token()
        self._lost = False

    @property
    def is_here(self) -> bool:
        """Whether that loop runs in this thread."""
        try:
            return current_token() == self._loop
        except RuntimeError:
            return False  # none runs here

    def check(self) -> None:
        """Raise NotHere in any other event loop, thread or process."""
        if self._lost:
            raise NotHere("this mapper belongs to the process that this one was forked from; make another here")
        if not self.is_here:
            raise NotHere("this mapper belongs to another event loop; use it in the one where it was entered")

    def check_exit(self) -> bool:
        """Return whether there is something to leave: not in a process that was forked. Raises NotHere elsewhere."""
        if not self._lost:
            self.check()
        return not self._lost

    def lose(self) -> None:
        """Note that this process is a copy of the one where it was made."""
        self._lost = True


_residents: WeakSet[Resident] = WeakSet()


def move_in(resident: Resident) -> None:
    """Look after `resident` until it moves out or is collected."""
    _residents.add(resident)


def move_out(resident: Resident) -> None:
    """Look after it no more; twice is fine."""
    _residents.discard(resident)


def _at_exit() -> None:
    for resident in tuple(_residents):
        resident.say_farewell()


def _in_child() -> None:
    for resident in tuple(_residents):
        resident.disown()
    _residents.clear()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):  # not on Windows, where no process is forked
    os.register_at_fork(after_in_child=_in_child)

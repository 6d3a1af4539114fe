"""--write: a file that says which external ports are open now."""

import json
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import click

from portmapper.cli.hooks.process import Tell
from portmapper.cli.words.objects import lease_object
from portmapper.mapping import Mapping
from portmapper.model import Event, MappingState, Renewed

_EVERYONE = 0o666  # as far as the umask lets it


@dataclass(frozen=True, slots=True)
class Place:
    """Where to write: a regular file, or none yet. `mode` is that of the file that was there."""

    path: Path
    mode: int | None

    @property
    def as_json(self) -> bool:
        """Whether the objects are wanted rather than the ports."""
        return self.path.suffix == ".json"

    def write(self, text: str) -> None:
        """Replace the file, whole or not at all. Raises OSError."""
        beside = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _EVERYONE)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                if self.mode is not None:
                    beside.chmod(self.mode)
                file.write(text)
            beside.replace(self.path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    def remove(self) -> None:
        """Remove the file, if it is there. Raises OSError."""
        self.path.unlink(missing_ok=True)


def place_for(name: str) -> Place:
    """Return the place for a file that can be written, and is not there any more: nothing is open yet.

    A symbolic link is followed. Raises click.UsageError.
    """
    try:
        path = Path(os.path.realpath(name))  # leaves a link to itself, where `resolve` raises RuntimeError
        if os.path.lexists(path) and not path.is_file():
            raise click.UsageError(f"--write: {name or 'an empty name'} is no regular file")
        place = Place(path, path.stat().st_mode & 0o777 if path.exists() else None)
        place.write("")
        place.remove()
    except OSError as error:
        raise click.UsageError(f"--write: {name} cannot be written: {error.strerror or error}") from error
    return place


def content(mappings: Sequence[Mapping], *, as_json: bool) -> str:
    """Return what the file says: those of `mappings` that are open now, in their order.

    Ports alone are those of IPv4 where there are any: by IPv6 the external port is the internal one.
    """
    leases = [mapping.lease for mapping in mappings if mapping.state is MappingState.MAPPED]
    if as_json:
        return json.dumps([lease_object(lease) for lease in leases]) + "\n"
    version = min((mapping.gateway.address.version for mapping in mappings), default=4)
    return "".join(f"{lease.external.port}\n" for lease in leases if lease.gateway.address.version == version)


class Written:
    """Keeps the file up to date, and removes it when the last mapping is closed."""

    def __init__(self, place: Place, complain: Tell) -> None:
        self._place = place
        self._complain = complain
        self._mappings: list[Mapping] = []
        self._changed = anyio.Event()
        self._up_to_date = anyio.Event()
        self._over = False
        self._room = anyio.CapacityLimiter(1)

    def tell(self, _mapping: Mapping, event: Event) -> None:
        """Take note of an event; the time that a renewal adds is told in the objects."""
        if not self._over and (not isinstance(event, Renewed) or self._place.as_json):
            if self._up_to_date.is_set():
                self._up_to_date = anyio.Event()
            self._changed.set()

    async def written(self) -> None:
        """Wait until all that was told is in the file, or could not be written."""
        await self._up_to_date.wait()

    async def run(self, mappings: Sequence[Mapping]) -> None:
        """Write until all of them are closed, and those of an earlier run; that is the one that writes then."""
        first = not self._mappings
        self._mappings += mappings
        self._changed.set()
        if first:
            await self._write()

    async def _write(self) -> None:
        while any(mapping.state is not MappingState.CLOSED for mapping in self._mappings):
            await self._changed.wait()
            self._changed = anyio.Event()
            await self._in_thread(partial(self._place.write, content(self._mappings, as_json=self._place.as_json)))
            if not self._changed.is_set():
                self._up_to_date.set()
        self._over = True
        await self._in_thread(self._place.remove)
        self._up_to_date.set()

    async def _in_thread(self, work: Callable[[], None]) -> None:
        try:
            await anyio.to_thread.run_sync(work, limiter=self._room)
        except OSError as error:
            self._complain(f"--write: {self._place.path} does not say what is open now: {error.strerror or error}")

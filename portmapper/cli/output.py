"""Where the command says it: results on standard output, complaints and errors on standard error."""

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Literal

from portmapper.clearing import ClearedMapping
from portmapper.cli import objects, sentences
from portmapper.cli.objects import Object
from portmapper.errors import PortMapperError
from portmapper.gateway.tables.ranking import Candidate
from portmapper.model import Event, Gateway, IPAddress, ListedMapping, MappingRequest
from portmapper.state.folder import NotedMapping
from portmapper.text import safe_text

_LINE = 500


class Complaints(logging.Handler):
    """Tells on standard error what goes wrong beside the work."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it in a line."""
        complain(safe_text(record.getMessage(), limit=_LINE))


def complain(text: str) -> None:
    """Write a line to standard error."""
    print(f"portmapper: {text}", file=sys.stderr)  # noqa: T201


class Output:
    """Writes sentences for people, or one JSON object a line for programs."""

    def __init__(self, *, as_json: bool, to: Literal["stdout", "stderr"] = "stdout") -> None:
        self.as_json = as_json
        self._to = to  # by name: the stream may be another one while something is drawn

    def event(self, event: Event) -> None:
        """Tell what happened to a mapping."""
        self.write(objects.event_object(event), sentences.event_lines(event))

    def address(self, address: IPAddress | None, gateway: Gateway) -> None:
        """Tell the external address."""
        self.write(objects.address_object(address, gateway), sentences.address_lines(address, gateway))

    def gateway(self, gateway: Gateway, reasons: Sequence[str] = ("named by you",)) -> None:
        """Tell a gateway, and why it is ranked so."""
        self.write(objects.gateway_object(gateway, reasons), [sentences.gateway_line(gateway, reasons)])

    def candidate(self, candidate: Candidate, gateway: Gateway | None) -> None:
        """Tell a router that the routes lead to, and whether it can be asked."""
        if gateway is not None:
            self.gateway(gateway, candidate.reasons)
            return
        reasons = [*candidate.reasons, *(["it cannot be reached now"] if candidate.usable else [])]
        facts = objects.useless_gateway_object(candidate, reasons)
        self.write(facts, [sentences.useless_gateway_line(candidate, reasons)])

    def listed(self, mappings: Iterable[ListedMapping], gateway: Gateway) -> None:
        """Tell all mappings of a gateway, one a line."""
        found = list(mappings)
        for one in found:
            self.write(objects.listed_object(one, gateway), [sentences.listed_line(one)])
        if not found:
            self.remark(f"the gateway {gateway} has no mappings")

    def noted(self, mappings: Sequence[NotedMapping]) -> None:
        """Tell what programs of this host have or left."""
        now = time.time()
        found = [one for one in mappings if not one.note.ended(now)]
        for one in found:
            self.write(objects.noted_object(one, now), [sentences.noted_line(one, now)])
        if not found:
            self.remark("nothing is noted of any program of this host")

    def cleared(self, cleared: Sequence[ClearedMapping], gateway: Gateway) -> None:
        """Tell what became of what dead programs left."""
        for one in cleared:
            self.write(objects.cleared_object(one), [sentences.cleared_line(one)])
        if not cleared:
            self.remark(f"no program of this host that died has left anything at {gateway}")

    def unmapped(self, request: MappingRequest, backends: Iterable[str], gateway: Gateway) -> None:
        """Tell which backends removed a mapping."""
        names = list(backends)
        facts = objects.unmapped_object(request, names, gateway)
        self.write(facts, [sentences.unmapped_line(request, names, gateway)])

    def error(self, error: PortMapperError) -> None:
        """Tell why it did not work, in one line if there is one reason."""
        self.write(objects.error_object(error), [])
        complain(str(error))

    def write(self, facts: Object, lines: Iterable[str]) -> None:
        """Write the object for a program, or the lines for a person."""
        if self.as_json:
            self._print(json.dumps(facts))
        elif text := "\n".join(lines):
            self._print(text)

    def remark(self, text: str) -> None:
        """Write what only a person needs to be told: that there is nothing."""
        if not self.as_json:
            self._print(text)

    def _print(self, text: str) -> None:
        stream = getattr(sys, self._to)
        try:
            print(text, file=stream, flush=True)
        except OSError as error:  # nobody reads any more, or the terminal is gone
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if isinstance(error, BrokenPipeError) and self._to == "stdout":
                signal.raise_signal(signal.SIGTERM)  # leave as if told to, releasing what is open

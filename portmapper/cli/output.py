"""Where the command says it: results on standard output, complaints and errors on standard error."""

import errno
import json
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from portmapper.clearing import ClearedMapping
from portmapper.cli.drawing import sheets, tables
from portmapper.cli.drawing.tables import Sheet
from portmapper.cli.drawing.terminal import can_draw
from portmapper.cli.streams import Name, print_to_nobody, takes_more
from portmapper.cli.words import objects, sentences
from portmapper.cli.words.objects import Object
from portmapper.cli.words.verdict import Answers
from portmapper.errors import LocalError, PortMapperError
from portmapper.gateway.tables.ranking import Candidate
from portmapper.known import KnownMapping
from portmapper.model import Event, Gateway, MappingRequest
from portmapper.state.folder import NotedMapping
from portmapper.text import safe_text

_LINE = 500
_NAMES = {"stdout": "standard output", "stderr": "standard error"}


class Complaints(logging.Handler):
    """Tells on standard error what goes wrong beside the work."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it in a line."""
        mention(safe_text(record.getMessage(), limit=_LINE))


def complain(text: str) -> None:
    """Write a line to standard error, if anybody reads it: what is open stays open all the same."""
    with suppress(OSError):
        print(f"portmapper: {text}", file=sys.stderr)  # noqa: T201


def mention(text: str) -> None:
    """Complain, unless nobody takes it just now: whoever holds ports does not wait for that."""
    if takes_more("stderr"):
        complain(text)


class Output:
    """Writes sentences for people, or one JSON object a line for programs."""

    def __init__(self, *, as_json: bool, to: Name = "stdout") -> None:
        self.as_json = as_json
        self._to: Name = to  # by name: the stream may be another one while something is drawn
        self._sentences = sentences.EventSentences()

    @property
    def draws(self) -> bool:
        """Whether a person sees tables rather than lines."""
        return not self.as_json and can_draw()

    def takes_more(self) -> bool:
        """Whether something can be told without waiting for whoever reads it."""
        return takes_more(self._to)

    def event(self, event: Event) -> None:
        """Tell what happened to a mapping."""
        self.write(objects.event_object(event), self._sentences.lines(event))

    def address(self, answers: Answers, gateway: Gateway) -> None:
        """Tell the external address, as each backend told it."""
        self.write(objects.address_object(answers, gateway), sentences.address_lines(answers, gateway))

    def gateway(self, gateway: Gateway, reasons: Sequence[str] = ("named by you",)) -> None:
        """Tell a gateway, and why it is ranked so."""
        self.write(objects.gateway_object(gateway, reasons), [sentences.gateway_line(gateway, reasons)])

    def surveyed(self, found: Iterable[tuple[Candidate, Gateway | None]]) -> None:
        """Tell the routers that the routes lead to, and whether they can be asked."""
        told = [(candidate, gateway, sentences.survey_reasons(candidate, gateway)) for candidate, gateway in found]
        facts = [objects.surveyed_object(*one) for one in told]
        self.rows(facts, [sentences.surveyed_line(*one) for one in told], lambda: sheets.gateway_sheet(told))

    def listed(self, known: Sequence[KnownMapping], gateway: Gateway) -> None:
        """Tell all mappings that are known of a gateway."""
        now = time.time()
        facts = [objects.listed_object(one, gateway, now) for one in known]
        self.rows(facts, [sentences.listed_line(one, now) for one in known], lambda: sheets.listed_sheet(known, now))
        if not known:
            self.remark(f"the gateway {gateway} has no mappings")

    def noted(self, mappings: Sequence[NotedMapping]) -> None:
        """Tell what programs of this host have or left."""
        now = time.time()
        found = [one for one in mappings if not one.note.ended(now)]
        facts = [objects.noted_object(one, now) for one in found]
        self.rows(facts, [sentences.noted_line(one, now) for one in found], lambda: sheets.noted_sheet(found, now))
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
        self._write_error(error)
        complain(str(error))

    def mention(self, error: PortMapperError) -> None:
        """Tell why something did not work beside what is open, unless nobody takes it just now."""
        if self.takes_more():
            self._write_error(error)
        mention(str(error))

    def _write_error(self, error: PortMapperError) -> None:
        try:
            self.write(objects.error_object(error), [])
        except LocalError as unwritten:
            complain(str(unwritten))

    def write(self, facts: Object, lines: Iterable[str]) -> None:
        """Write the object for a program, or the lines for a person. Raises LocalError if it cannot be written."""
        if self.as_json:
            self._print(json.dumps(facts))
        elif text := "\n".join(lines):
            self._print(text)

    def rows(self, facts: Sequence[Object], lines: Sequence[str], sheet: Callable[[], Sheet]) -> None:
        """Write an object or a line for each, or on a terminal the table."""
        if facts and self.draws:
            tables.draw(sheet())
            return
        for one, line in zip(facts, lines, strict=True):
            self.write(one, [line])

    def remark(self, text: str) -> None:
        """Write what only a person needs to be told: that there is nothing."""
        if not self.as_json:
            self._print(text)

    def leave_unread(self) -> None:
        """Leave as if told to, releasing what is open: nobody reads standard output any more."""
        print_to_nobody(getattr(sys, self._to))
        signal.raise_signal(signal.SIGTERM)

    def page(self, text: str) -> None:
        """Write a text that is the same for people and programs. Raises LocalError if it cannot be written."""
        self._print(text)

    def _print(self, text: str) -> None:
        try:
            print(text, file=getattr(sys, self._to), flush=True)
        except BrokenPipeError:
            if self._to == "stdout":
                self.leave_unread()
            else:
                print_to_nobody(getattr(sys, self._to))
        except OSError as error:
            print_to_nobody(getattr(sys, self._to))
            if error.errno != errno.EIO:  # with the terminal gone, a program that ignores SIGHUP is to go on
                raise LocalError(f"cannot write {_NAMES[self._to]}: {error.strerror or error}") from error

"""Answering queries: what a responder is given, and what it gives back.

Lives here: a query as a function gets it, its answer, and the table of functions by what they
answer. Must not live here: Kafka (`streams.processors.responder` calls the functions), databases
(`streams.views.answers` is a responder like any other).

Promise. A reply is written once per query, in one transaction with the query's offset, whatever
dies. The function itself may be called again for the same query, when the transaction that was to
hold its answer came to nothing: what it does beside answering, it must bear to do twice.

    responder = Responder()

    @responder.answers("MeterReadings", interface="I7")
    def on_demand(request: Request) -> Answer:
        return Answer(read_meters(request.query.ids))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Literal

from lxml import etree

from schemas.envelope import Header, Message
from schemas.envelope.query import Query, read_query
from schemas.errors import MessageError, Problem
from topics import Catalogue
from topics.errors import EXIT_CONFIG, OperatorError


@dataclass(frozen=True, slots=True)
class Request:
    """A query that may be answered.

    `interface` is where it came in, `noun` is the catalogue's name, `place` names its record on
    inbound. `query` is what its Request asks for, `message` the whole of it. `expires_ms` (epoch
    milliseconds) is when nobody waits any more; None where nothing says so.
    """

    interface: str
    noun: str
    place: str
    header: Header
    query: Query
    message: Message
    expires_ms: int | None

    @classmethod
    def of(
        cls, message: Message, *, interface: str, noun: str, place: str, expires_ms: int | None
    ) -> Request:
        """The query that a message with a Header is.

        Raises:
            MessageError: its Request cannot be read (see `read_query`), or it has no Header.
        """
        if message.header is None:
            raise MessageError(Problem("header_missing"))
        query = read_query(message)
        return cls(interface, noun, place, message.header, query, message, expires_ms)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is replied: a payload, and whether it is all there is.

    `code` is that of IEC 61968-100: 0.0 whole, 0.1 more follows, 0.2 something may be missing.
    `told` says why, or whatever else the sender should know; never values of a payload.
    `properties` go into the Header of the reply.
    """

    payload: etree._Element | None = None
    code: Literal["0.0", "0.1", "0.2"] = "0.0"
    told: tuple[str, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()


class NoAnswerError(Exception):
    """A query is refused; `problem` has a stable code of schemas/errors.toml.

    The refusal is the reply, and stays it: who repeats the query gets it again.
    """

    def __init__(
        self, code: str, detail: str = "", *, xpath: str | None = None, line: int | None = None
    ) -> None:
        self.problem = Problem(code, detail, xpath, line)
        super().__init__(str(self.problem))


class UnableError(NoAnswerError):
    """The responder cannot answer now. This reply does not stand: a repeat is asked anew."""


Respond = Callable[[Request], Answer]


@dataclass(frozen=True, slots=True)
class _Entry:
    noun: str
    interface: str
    respond: Respond


@dataclass(slots=True)
class Responder:
    """Functions by the queries that they answer. The first that fits is asked."""

    entries: list[_Entry] = field(default_factory=list)

    def answers(self, *nouns: str, interface: str = "") -> Callable[[Respond], Respond]:
        """Have a function answer queries for these nouns that come in by `interface`, or any."""

        def register(respond: Respond) -> Respond:
            self.entries += [_Entry(noun, interface, respond) for noun in nouns]
            return respond

        return register

    def of(self, interface: str, noun: str) -> Respond | None:
        """Who answers a query for the noun that came in by the interface; None: nobody here."""
        for entry in self.entries:
            if entry.noun == noun and entry.interface in ("", interface):
                return entry.respond
        return None

    def check(self, catalogue: Catalogue) -> None:
        """Refuse what can never be asked.

        Raises:
            OperatorError: `responder_invalid`.
        """
        for entry in self.entries:
            interfaces = [entry.interface] if entry.interface else [*catalogue.interfaces]
            known = (name for name in interfaces if name in catalogue.interfaces)
            refused = [catalogue.refusal(name, entry.noun, "get") for name in known]
            if None not in refused or entry.noun not in catalogue.nouns:
                by = f" on {entry.interface}" if entry.interface else ""
                raise _invalid(f"nobody can get {entry.noun}{by}", "see docs/reference/interfaces")


def load_responder(names: Sequence[str]) -> Responder:
    """One responder of those that the names say; what stands first is asked first.

    Args:
        names: `module:attribute` each; the attribute is a `Responder`.

    Raises:
        OperatorError: `responder_invalid`: there is no such module or attribute.
    """
    return Responder([entry for name in names for entry in _entries(name)])


def _entries(name: str) -> Iterator[_Entry]:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute or "responder")
    except (ImportError, ValueError, AttributeError) as error:
        raise _invalid(
            f"{name} cannot be loaded: {error}", "name it as module:attribute"
        ) from error
    if not isinstance(found, Responder):
        raise _invalid(f"{name} is no Responder", "see docs/requests.md")
    yield from found.entries


def _invalid(what: str, fix: str) -> OperatorError:
    return OperatorError("responder_invalid", what=what, fix=fix, exit_code=EXIT_CONFIG)

"""What the catalogue says, as frozen values.

Lives here: the types and the questions other parts ask of them. Must not live here: reading
files and checking them (`loader`), topic settings (`specs`).

Invariant: values made by `load_catalogue` are whole and consistent; whoever builds them by
hand, in a test, answers for that.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from topics.errors import EXIT_CONFIG, OperatorError

# IEC 61968-100 edition 1, lower case as cimstream handles them everywhere.
VERBS: Final = frozenset({
    "cancel", "canceled", "change", "changed", "close", "closed", "create", "created", "delete",
    "deleted", "execute", "executed", "get", "reply",
})  # fmt: skip
# Requests that change something; of a control, each of them makes somebody act.
_COMMANDING: Final = frozenset({"cancel", "change", "close", "create", "delete", "execute"})
KINDS: Final = frozenset({"request", "response", "event", "fault"})
PATTERNS: Final = frozenset({
    "create-update-delete", "event-action", "fire-forget", "publish-subscribe", "query-response",
    "request-response", "send-receive",
})  # fmt: skip

# A fifth of the letters: a slip of the pen, but not another noun.
_ALIKE: Final = 0.8
# Comparing takes the square of the length; the longest noun has 30 characters.
_SPELLING_MAX: Final = 80

NounKind = Literal["history", "register"]
Purpose = Literal[
    "inbound",
    "accepted",
    "requests",
    "outbound",
    "rejected",
    "log",
    "current",
    "changelog",
    "audit",
    "positions",
    "gathered",
    "failed",
    "receipts",
]


class CatalogueError(OperatorError):
    """The catalogue has a mistake, and nothing starts; `file` and `key` say where."""

    def __init__(self, file: str, key: str, reason: str) -> None:
        self.file = file
        self.key = key
        self.reason = reason
        super().__init__(
            "catalogue_invalid",
            what="the catalogue of interfaces has a mistake",
            where=f"{file}, {key}" if key else file,
            why=reason,
            fix="correct the file; nothing was started and no topic was touched",
            exit_code=EXIT_CONFIG,
        )


@dataclass(frozen=True, slots=True)
class Interface:
    """One of the eleven business interfaces.

    `accepts` gives for every noun that may enter here the verbs it may enter with, those of
    planned nouns included: ask `Catalogue.refusal` whether a message may pass today.
    `partitions` is keyed by the four standing topics: inbound, accepted, outbound, rejected.
    `message_bytes_max` is None where messages may be as large as everywhere.
    """

    id: str
    title: str
    abbreviation: str
    protocols: tuple[str, ...]
    accepts: Mapping[str, frozenset[str]]
    partitions: Mapping[str, int]
    message_bytes_max: int | None = None


@dataclass(frozen=True, slots=True)
class Noun:
    """What messages can be about. `home` is the one interface that holds its log.

    `profile` and `schema` are None while the noun is planned. `verbs` are handled today,
    `planned_verbs` are the noun's but answered later. `key` describes the log's record key.
    `aliases` are nouns of others that mean the same. `personal` marks data about persons: masked in
    tools. `control` marks what makes a device,
    a crew or a market participant act: see `Catalogue.commands`.
    """

    name: str
    namespaces: tuple[str, ...]
    home: str
    kind: NounKind
    profile: str | None
    schema: str | None
    key: str
    verbs: frozenset[str]
    planned_verbs: frozenset[str]
    patterns: tuple[str, ...]
    glossary: tuple[str, ...]
    partitions: int
    retention_ms: int
    personal: bool
    control: bool
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """An exchange pattern, and whether a message that follows it is answered."""

    name: str
    replies: bool


@dataclass(frozen=True, slots=True)
class PatternRow:
    """One row of patterns.toml. None: the row has no such condition."""

    why: str
    kinds: frozenset[str] | None
    verbs: frozenset[str] | None
    nouns: frozenset[str] | None
    noun_kind: NounKind | None
    ack_required: frozenset[bool | None] | None
    reply_address: bool | None
    destination: bool | None
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be.

    `config` holds the settings the catalogue decides (the cluster's own defaults decide the
    rest; replicas are the provisioner's). `writers` are the roles that may produce to it.
    `interface` and `noun` are "" where the topic belongs to none.
    """

    name: str
    purpose: Purpose
    partitions: int
    config: Mapping[str, str]
    writers: frozenset[str]
    interface: str = ""
    noun: str = ""
    context: str = "PRODUCTION"


@dataclass(frozen=True, slots=True)
class Sizing:
    """Limits and retentions that hold for all interfaces. Bytes and milliseconds."""

    message_bytes_max: int
    header_bytes_max: int
    dedup_horizon_ms: int
    dedup_slack_ms: int
    query_expiry_ms: int
    retention_ms: Mapping[str, int]
    audit_partitions: int
    file_positions_partitions: int
    rules_partitions: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All interfaces, nouns, patterns and topics. `contexts` are those beside PRODUCTION.

    `elsewhere` gives for nouns that have no home here those that say most of what they say.
    """

    interfaces: Mapping[str, Interface]
    nouns: Mapping[str, Noun]
    elsewhere: Mapping[str, tuple[str, ...]]
    contexts: tuple[str, ...]
    sizing: Sizing
    pattern_rows: tuple[PatternRow, ...]
    topic_specs: tuple[TopicSpec, ...]

    def noun(self, name: str) -> Noun | None:
        """Give the noun that a Header means by its name or an alias; None where there is none."""
        found = self.nouns.get(name)
        if found is None:
            found = next((noun for noun in self.nouns.values() if name in noun.aliases), None)
        return found

    def instead(self, name: str) -> str:
        """Say which nouns are meant where `name` is none of ours; "" where none comes to mind."""
        if name in self.elsewhere:
            return " or ".join(self.elsewhere[name])
        if len(name) > _SPELLING_MAX:
            return ""
        called = {x: n.name for n in self.nouns.values() for x in (n.name, *n.aliases)}
        folded = {known.casefold(): meant for known, meant in called.items()}
        near = difflib.get_close_matches(name.casefold(), folded, cutoff=_ALIKE)
        return " or ".join(dict.fromkeys(folded[known] for known in near))

    @property
    def message_bytes_max(self) -> int:
        """Largest message of any interface, in uncompressed bytes."""
        return max(map(self.bytes_max, self.interfaces))

    def bytes_max(self, interface: str) -> int:
        """Largest message of an interface, in uncompressed bytes."""
        found = self.interfaces.get(interface)
        return (found and found.message_bytes_max) or self.sizing.message_bytes_max

    @property
    def dedup_horizon_ms(self) -> int:
        """How long after its append time a message is recognised when it comes again."""
        return self.sizing.dedup_horizon_ms

    @property
    def dedup_slack_ms(self) -> int:
        """How much longer its mark is kept, against clocks that differ."""
        return self.sizing.dedup_slack_ms

    @property
    def query_expiry_ms(self) -> int:
        """How long after its append time a query is answered, unless it says so itself."""
        return self.sizing.query_expiry_ms

    def topics(self) -> tuple[TopicSpec, ...]:
        """Give every topic of cimstream, in order of name."""
        return self.topic_specs

    def context_of(self, interface: str, context: str) -> str:
        """Give the context whose topics an interface uses for a message of `context`.

        An interface has parallel topics once one of its nouns is live; until then, and for a
        context that is not ours, what there is to write (rejections, replies) goes to
        production's.
        """
        if context not in self.contexts:
            return "PRODUCTION"
        live = any(n.home == interface and n.profile is not None for n in self.nouns.values())
        return context if live else "PRODUCTION"

    def refusal(self, interface: str, noun: str, verb: str) -> str | None:
        """Say why a message may not enter, as a code of schemas/errors.toml; None if it may.

        `noun` is the name exactly as in the catalogue or an alias, `verb` lower case. The first
        reason counts, from the coarsest: noun_unknown, interface_not_allowed, noun_planned,
        verb_unknown, verb_not_allowed, verb_planned.

        Raises:
            KeyError: there is no such interface; whoever has a message knows where it came in.
        """
        entry = self.noun(noun)
        accepts = self.interfaces[interface].accepts
        if entry is None:
            return "noun_unknown"
        allowed = accepts.get(entry.name)
        if allowed is None:
            return "interface_not_allowed"
        if entry.profile is None:
            return "noun_planned"
        if verb not in VERBS:
            return "verb_unknown"
        if verb not in allowed:
            return "verb_not_allowed"
        return "verb_planned" if verb in entry.planned_verbs else None

    def about(self, interface: str, noun: str, verb: str) -> str:
        """Say what is refused, in words of the catalogue; of an unknown noun, what may be meant."""
        if self.noun(noun) is None:
            meant = self.instead(noun)
            return f"perhaps {meant} is meant" if meant else ""
        return f"{verb} {noun} on {interface}" if verb in VERBS else ""

    def commands(self, noun: str, verb: str) -> bool:
        """Say whether such a message makes somebody act, so that an old one does harm.

        `execute` always does, whatever the noun, known or not; a noun that the catalogue marks
        as a control does with every request but a query. `verb` in lower case.
        """
        entry = self.noun(noun)
        control = entry is not None and entry.control
        return verb == "execute" or (control and verb in _COMMANDING)

    def pattern(
        self,
        kind: str,
        verb: str,
        noun: str,
        ack_required: bool | None,
        reply_address: str,
        destination: str,
    ) -> Pattern:
        """Give the exchange pattern of a message: the first row of patterns.toml that fits.

        Args:
            kind: request, response, event or fault, in any case.
            verb: Lower case; "" where the message has none.
            noun: As in the catalogue, or an alias; an unknown one fits rows that name no nouns.
            ack_required: None where the header does not say.
            reply_address: "" where there is none.
            destination: "" where there is none.
        """
        entry = self.noun(noun)
        name = noun if entry is None else entry.name
        for row in self.pattern_rows:
            if (
                (row.kinds is None or kind.lower() in row.kinds)
                and (row.verbs is None or verb in row.verbs)
                and (row.nouns is None or name in row.nouns)
                and (row.noun_kind is None or (entry is not None and entry.kind == row.noun_kind))
                and (row.ack_required is None or ack_required in row.ack_required)
                and (row.reply_address is None or bool(reply_address) == row.reply_address)
                and (row.destination is None or bool(destination) == row.destination)
            ):
                return row.pattern
        raise AssertionError("the loader holds that the last row has no condition")

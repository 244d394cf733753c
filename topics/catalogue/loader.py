"""From the TOML files to a checked catalogue.

Lives here: reading and every check, with file, key and reason. Must not live here: meaning
that outlives the load (`model`), topic settings (`specs`).

Invariant: a mistake is refused with its place; nothing is guessed, defaulted or ignored
beyond what the files' own comments say.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

from schemas.avro import registered
from schemas.glossary import glossary
from topics.catalogue.model import (
    KINDS,
    PATTERNS,
    VERBS,
    Catalogue,
    CatalogueError,
    Interface,
    Noun,
    NounKind,
    Pattern,
    PatternRow,
    Sizing,
    TopicSpec,
)
from topics.catalogue.specs import topic_specs
from topics.catalogue.table import Table

_DAY_MS: Final = 86_400_000
_GENERAL: Final = "catalogue.toml"
_PATTERNS: Final = "patterns.toml"
_STANDING: Final = ("inbound", "accepted", "outbound", "rejected")
_RETENTIONS: Final = ("inbound", "accepted", "requests", "outbound", "rejected", "log", "audit")
# One dev broker is sized for some hundreds; more than this on one topic is a slip of the finger.
_PARTITIONS_MAX: Final = 512
_DAYS_MAX: Final = 36_500
# The broker's own ceiling for a request (socket.request.max.bytes) is 100 MiB.
_BYTES_MAX: Final = 64 * 1024 * 1024
# Also what a topic's name may hold; 249 characters are Kafka's limit and far away.
_NOUN_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{1,79}")
_INTERFACE_IDS: Final = tuple(f"I{number}" for number in range(1, 12))


def load_catalogue(folder: Path | None = None) -> Catalogue:
    """Read and check a catalogue folder; without one, the catalogue that ships with cimstream.

    Raises:
        CatalogueError: a file is missing or not TOML, a key is unknown, missing or of the
            wrong type, a value is out of bounds, or the whole does not hold together.
    """
    root: Traversable = files("topics.catalogue") if folder is None else folder
    general = _read(root, _GENERAL)
    sizing, contexts = _general(general)
    interfaces: dict[str, Interface] = {}
    nouns: dict[str, Noun] = {}
    owners: dict[str, str] = {}
    senders = _Senders()
    for table in (_read(root, name) for name in _interface_files(root)):
        interface = _interface(table)
        if interface.id in interfaces:
            raise table.error("interface.id", f"another file describes {interface.id} already")
        interfaces[interface.id] = interface
        for name, entry in table.tables("noun"):
            if name in nouns:
                home = nouns[name].home
                raise entry.error("", f"the noun has two homes, {home} and {interface.id}")
            nouns[name] = _noun(name, entry, interface.id, sizing)
            for called in (name, *nouns[name].aliases):
                if (other := owners.setdefault(called, name)) != name:
                    raise entry.error("aliases", f"{called} means {other} already")
            senders.read(nouns[name], entry)
    if missing := [name for name in _INTERFACE_IDS if name not in interfaces]:
        raise CatalogueError(str(root), "", f"no file describes interface {', '.join(missing)}")
    interfaces = {name: senders.fill(interface) for name, interface in interfaces.items()}
    specs = topic_specs(interfaces, nouns, contexts, sizing)
    _check_names(specs)
    return Catalogue(
        interfaces=MappingProxyType(interfaces),
        nouns=MappingProxyType(nouns),
        elsewhere=MappingProxyType(_elsewhere(general, nouns, owners)),
        contexts=contexts,
        sizing=sizing,
        pattern_rows=_patterns(_read(root, _PATTERNS), nouns),
        topic_specs=specs,
    )


def _read(root: Traversable, name: str) -> Table:
    try:
        text = (root / name).read_text(encoding="utf-8")
    except OSError as error:
        raise CatalogueError(name, "", f"the file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CatalogueError(name, "", "the file is not UTF-8") from error
    try:
        return Table(name, "", tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(name, "", f"the file is not TOML: {error}") from error


def _interface_files(root: Traversable) -> list[str]:
    if not root.is_dir():
        raise CatalogueError(str(root), "", "there is no such folder")
    names = sorted(entry.name for entry in root.iterdir() if entry.name.endswith(".toml"))
    return [name for name in names if name not in (_GENERAL, _PATTERNS)]


def _general(table: Table) -> tuple[Sizing, tuple[str, ...]]:
    table.only(
        "message_bytes_max", "header_bytes_max", "dedup_horizon_days", "dedup_slack_days",
        "query_expiry_s", "contexts", "retention_days", "partitions", "elsewhere",
    )  # fmt: skip
    horizon_days = table.integer("dedup_horizon_days", 1, _DAYS_MAX)
    retention = table.table("retention_days")
    retention.only(*_RETENTIONS)
    days = {name: retention.integer(name, 1, _DAYS_MAX) for name in _RETENTIONS}
    if days["inbound"] < horizon_days:
        raise retention.error(
            "inbound",
            f"{days['inbound']} days are less than the dedup horizon of {horizon_days}: a conflict"
            " is settled by reading the first message back from inbound",
        )
    partitions = table.table("partitions")
    partitions.only("audit", "file_positions", "rules")
    contexts = table.strings("contexts", empty=True)
    for context in contexts:
        if context != context.upper() or not context.isalpha() or context == "PRODUCTION":
            raise table.error("contexts", f"{context!r} is not a parallel context: capitals only")
    return Sizing(
        message_bytes_max=table.integer("message_bytes_max", 1024, _BYTES_MAX),
        header_bytes_max=table.integer("header_bytes_max", 1024, _BYTES_MAX),
        dedup_horizon_ms=horizon_days * _DAY_MS,
        dedup_slack_ms=table.integer("dedup_slack_days", 1, _DAYS_MAX) * _DAY_MS,
        query_expiry_ms=table.integer("query_expiry_s", 1, _DAYS_MAX) * 1000,
        retention_ms=MappingProxyType({name: value * _DAY_MS for name, value in days.items()}),
        audit_partitions=partitions.integer("audit", 1, _PARTITIONS_MAX),
        file_positions_partitions=partitions.integer("file_positions", 1, _PARTITIONS_MAX),
        rules_partitions=partitions.integer("rules", 1, _PARTITIONS_MAX),
    ), contexts


def _elsewhere(
    general: Table, nouns: Collection[str], known: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """By noun that has no home here: the nouns that say what it says."""
    if not general.has("elsewhere"):
        return {}
    table = general.table("elsewhere")
    found = {name: table.choices(name, nouns) for name in table.names()}
    if at_home := sorted(found.keys() & set(known)):
        raise table.error(at_home[0], "this noun has a home, or is the alias of one that has")
    return found


def _interface(table: Table) -> Interface:
    table.only("interface", "noun")
    entry = table.table("interface")
    entry.only(
        "id", "title", "abbreviation", "protocols", "partitions", "message_bytes_max"
    )  # fmt: skip
    partitions = entry.table("partitions")
    partitions.only(*_STANDING)
    return Interface(
        id=entry.choice("id", _INTERFACE_IDS),
        title=entry.string("title"),
        abbreviation=entry.string("abbreviation"),
        protocols=entry.strings("protocols"),
        accepts=MappingProxyType({}),
        partitions=MappingProxyType(
            {name: partitions.integer(name, 1, _PARTITIONS_MAX) for name in _STANDING}
        ),
        message_bytes_max=entry.integer("message_bytes_max", 1024, _BYTES_MAX)
        if entry.has("message_bytes_max")
        else None,
    )


def _check_names(specs: Iterable[TopicSpec]) -> None:
    owner: dict[str, TopicSpec] = {}
    for spec in specs:
        if (other := owner.setdefault(spec.name, spec)) is not spec:
            nouns = ", ".join(sorted(filter(None, {spec.noun, other.noun})))
            raise CatalogueError(
                _GENERAL, "", f"two topics would be named {spec.name}; rename the noun {nouns}"
            )


def _noun(name: str, entry: Table, home: str, sizing: Sizing) -> Noun:
    entry.only(
        "kind", "key", "namespaces", "profile", "schema", "verbs", "planned_verbs", "patterns",
        "glossary", "partitions", "retention_days", "personal", "control", "aliases", "senders",
    )  # fmt: skip
    if not _NOUN_NAME.fullmatch(name):
        raise entry.error("", "a noun is a word of letters, digits and underscores")
    profile = entry.string("profile")
    planned = profile == "planned"
    if planned and entry.has("schema"):
        raise entry.error("schema", "a planned noun has no schema yet")
    schema = None if planned else _schema(entry)
    verbs = frozenset(entry.choices("verbs", VERBS))
    later = frozenset(entry.choices("planned_verbs", VERBS) if entry.has("planned_verbs") else ())
    if both := verbs & later:
        raise entry.error("planned_verbs", f"in both lists of verbs: {', '.join(sorted(both))}")
    retention_ms = sizing.retention_ms["log"]
    if entry.has("retention_days"):
        retention_ms = entry.integer("retention_days", 1, _DAYS_MAX) * _DAY_MS
    return Noun(
        name=name,
        namespaces=entry.strings("namespaces"),
        home=home,
        kind=cast("NounKind", entry.choice("kind", ("history", "register"))),
        profile=None if planned else profile,
        schema=schema,
        key=entry.string("key"),
        verbs=verbs,
        planned_verbs=later,
        patterns=entry.choices("patterns", PATTERNS),
        glossary=_glossary(entry),
        partitions=entry.integer("partitions", 1, _PARTITIONS_MAX),
        retention_ms=retention_ms,
        personal=entry.boolean("personal"),
        control=entry.boolean("control") if entry.has("control") else False,
        aliases=entry.strings("aliases") if entry.has("aliases") else (),
    )


def _schema(entry: Table) -> str:
    schema = entry.string("schema")
    if schema not in {known.name for known in registered()}:
        raise entry.error("schema", f"schemas/avro/ids.toml names no schema {schema!r}")
    return schema


def _glossary(entry: Table) -> tuple[str, ...]:
    titles = entry.strings("glossary")
    for title in titles:
        if glossary().titled(title) is None:
            near = glossary().near(title)
            meant = f"; did you mean {' or '.join(near)}?" if near else ""
            raise entry.error("glossary", f"schemas/glossary has no term {title!r}{meant}")
    return titles


class _Senders:
    """Who may send a noun with which verbs: said by the noun, asked of the interface."""

    def __init__(self) -> None:
        self._accepts: dict[str, dict[str, frozenset[str]]] = {}

    def read(self, noun: Noun, entry: Table) -> None:
        table = entry.table("senders")
        known = noun.verbs | noun.planned_verbs
        sent: set[str] = set()
        for interface in table.names():
            if interface not in _INTERFACE_IDS:
                raise table.error(interface, "there is no such interface")
            verbs = frozenset(table.choices(interface, known))
            self._accepts.setdefault(interface, {})[noun.name] = verbs
            sent |= verbs
        if unsent := known - sent:
            raise table.error("", f"no interface may send it with {', '.join(sorted(unsent))}")

    def fill(self, interface: Interface) -> Interface:
        return replace(interface, accepts=MappingProxyType(self._accepts.get(interface.id, {})))


def _patterns(table: Table, nouns: Mapping[str, Noun]) -> tuple[PatternRow, ...]:
    table.only("pattern")
    rows = tuple(_pattern_row(entry, nouns) for entry in table.list_of_tables("pattern"))
    conditions = [_conditions(row) for row in rows]
    if not rows or any(conditions[-1]):
        raise table.error("pattern", "the last row must have no condition: every message fits")
    for index, unconditional in enumerate(not any(row) for row in conditions[:-1]):
        if unconditional:
            raise table.error(f"pattern[{index}]", "no row after one without conditions is reached")
    if unused := PATTERNS - {row.pattern.name for row in rows}:
        raise table.error("pattern", f"no row leads to {', '.join(sorted(unused))}")
    return rows


def _conditions(row: PatternRow) -> tuple[bool, ...]:
    values = (
        row.kinds, row.verbs, row.nouns, row.noun_kind, row.ack_required, row.reply_address,
        row.destination,
    )  # fmt: skip
    return tuple(value is not None for value in values)


def _pattern_row(entry: Table, nouns: Mapping[str, Noun]) -> PatternRow:
    entry.only(
        "why", "kind", "verb", "noun", "noun_kind", "ack_required", "reply_address", "destination",
        "pattern", "replies",
    )  # fmt: skip

    def chosen(key: str, allowed: Collection[str]) -> frozenset[str] | None:
        return frozenset(entry.choices(key, allowed)) if entry.has(key) else None

    def flag(key: str) -> bool | None:
        return entry.boolean(key) if entry.has(key) else None

    noun_kind = chosen("noun_kind", ("history", "register"))
    return PatternRow(
        why=entry.string("why"),
        kinds=chosen("kind", KINDS),
        verbs=chosen("verb", VERBS),
        nouns=chosen("noun", nouns),
        noun_kind=None if noun_kind is None else cast("NounKind", min(noun_kind)),
        ack_required=entry.tristate("ack_required") if entry.has("ack_required") else None,
        reply_address=flag("reply_address"),
        destination=flag("destination"),
        pattern=Pattern(entry.choice("pattern", PATTERNS), entry.boolean("replies")),
    )

"""Reading rules: one TOML file each, strictly, against the catalogue and the schemas.

Lives here: the keys of a file, and what is refused. Must not live here: when files are read again
(see `streams.runtime.rules`).

    version = 1                       grows whenever the rule is changed
    since = "2026-01-31T12:00:00Z"    events that the log took earlier are not its business
    description = "…"

    [match]
    noun = "Outages"
    verbs = ["create", "created"]     of the messages that the events came in
    interfaces = ["I1"]               left out: whichever the message came in on
    when = "event.outageKind == 'unplanned'"

    [window]                          left out: every event that matches makes it fire
    key = "…"                         the group that an event belongs to; none where null or empty
    member = "…"                      what is counted once; none where null or empty
    time = "event.createdDateTime"    left out: when the log took the event
    count = 5
    within_s = 120
    quiet_s = 3600

    [action]
    interface = "I4"
    noun = "WorkOrders"
    verb = "create"
    destination = "…"                 left out: none
    payload = \"\"\"<WorkOrders …>\"\"\"  see `templates`

The file's name is the rule's.

Invariant: a rule that was read can be evaluated, and what it sends may enter on its interface.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from schemas.profiles import DOCUMENTS, profile
from schemas.times import to_epoch_ms
from streams.processors.rules.expressions import Expression, ExpressionError, Language
from streams.processors.rules.fields import names_of
from streams.processors.rules.rule import (
    ACTION_NAMES,
    MESSAGE_NAMES,
    WINDOW_NAMES,
    Action,
    Match,
    Rule,
    Window,
)
from streams.processors.rules.templates import Template, TemplateError
from streams.processors.rules.windows import Span
from topics import Catalogue, Noun
from topics.catalogue.model import VERBS, CatalogueError
from topics.catalogue.table import Table
from topics.errors import EXIT_CONFIG, OperatorError

SHIPPED: Final = Path(__file__).parent / "shipped"
WITHIN_MAX_S: Final = 86_400
"""Longest window, and longest silence after it: what the state of a group is kept for."""

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_VERSION_MAX: Final = 1_000_000
_COUNT_MAX: Final = 1_000

Rules = Mapping[str, Rule]


class RuleFileError(OperatorError):
    """A rule's file has a mistake; `file` and `key` say where."""

    def __init__(self, file: str, key: str, reason: str) -> None:
        self.file = file
        self.key = key
        self.reason = reason
        super().__init__(
            "rule_invalid",
            what="a rule has a mistake",
            where=f"{file}, {key}" if key else file,
            why=reason,
            fix="correct the file; `cimstream rules check` tells of all that is wrong",
            exit_code=EXIT_CONFIG,
        )


def read_folder(folder: Path, catalogue: Catalogue) -> Rules:
    """The rules of all `*.toml` files of a folder, by name.

    Raises:
        RuleFileError: the first mistake; or there is no such folder.
    """
    rules: dict[str, Rule] = {}
    for file in files_of(folder):
        rule = read_file(file, catalogue)
        rules[rule.name] = rule
    return rules


def files_of(folder: Path) -> list[Path]:
    """The rules' files of a folder, in order of name. Raises RuleFileError: there is no folder."""
    if not folder.is_dir():
        raise RuleFileError(str(folder), "", "there is no such folder")
    return sorted(folder.glob("*.toml"))


def read_file(file: Path, catalogue: Catalogue) -> Rule:
    """The rule of one file.

    Raises:
        RuleFileError: it has a mistake.
    """
    try:
        text = file.read_text(encoding="utf-8")
        return _rule(file.stem, Table(file.name, "", tomllib.loads(text)), text, catalogue)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RuleFileError(file.name, "", f"it cannot be read as TOML: {error}") from error
    except CatalogueError as error:
        raise RuleFileError(error.file, error.key, error.reason) from error


def changed_in_place(before: Rules, after: Rules) -> RuleFileError | None:
    """The first rule that says something else under the version that it had."""
    for name, rule in after.items():
        old = before.get(name)
        if old is not None and old.version == rule.version and old.digest != rule.digest:
            reason = f"the rule was changed and still has version {rule.version}"
            return RuleFileError(f"{name}.toml", "version", reason)
    return None


def _rule(name: str, table: Table, text: str, catalogue: Catalogue) -> Rule:
    table.only("version", "since", "description", "match", "window", "action")
    if not _NAME.fullmatch(name):
        raise table.error("", f"{name!r} is no name: small letters, digits and hyphens")
    noun = _noun(table.table("match"), "noun", catalogue)
    language = Language({**names_of(noun.schema or ""), **MESSAGE_NAMES})
    match = _match(table.table("match"), noun, language, catalogue)
    window = _window(table.table("window"), language) if table.has("window") else None
    more = ACTION_NAMES if window is None else {**ACTION_NAMES, **WINDOW_NAMES}
    return Rule(
        name,
        table.integer("version", 1, _VERSION_MAX),
        _since(table),
        table.string("description"),
        match,
        window,
        _action(table.table("action"), language.with_names(more), catalogue),
        hashlib.sha256(text.encode()).hexdigest(),
    )


def _since(table: Table) -> int:
    try:
        return to_epoch_ms(table.string("since"))
    except ValueError as error:
        raise table.error("since", "expected a time with a zone, e.g. 2026-01-31T12:00:00Z") from (
            error
        )


def _noun(table: Table, key: str, catalogue: Catalogue) -> Noun:
    """The noun under this key, which has a schema."""
    live = [noun.name for noun in catalogue.nouns.values() if noun.schema is not None]
    noun = catalogue.nouns[table.choice(key, live)]
    if noun.profile in DOCUMENTS:
        raise table.error(key, "an event of a model has no fields that a rule could name")
    return noun


def _match(table: Table, noun: Noun, language: Language, catalogue: Catalogue) -> Match:
    table.only("noun", "verbs", "interfaces", "when")
    interfaces = (
        table.choices("interfaces", catalogue.interfaces) if table.has("interfaces") else ()
    )
    for interface in interfaces:
        if noun.name not in catalogue.interfaces[interface].accepts:
            raise table.error("interfaces", f"{noun.name} does not enter on {interface}")
    return Match(
        noun.name,
        frozenset(table.choices("verbs", noun.verbs)),
        frozenset(interfaces),
        _expression(table, "when", language, "bool") if table.has("when") else None,
    )


def _window(table: Table, language: Language) -> Window:
    table.only("key", "member", "time", "count", "within_s", "quiet_s")
    return Window(
        _expression(table, "key", language, "string"),
        _expression(table, "member", language, "string"),
        _expression(table, "time", language, "timestamp") if table.has("time") else None,
        Span(
            table.integer("count", 1, _COUNT_MAX),
            table.integer("within_s", 1, WITHIN_MAX_S) * 1000,
            table.integer("quiet_s", 0, WITHIN_MAX_S) * 1000,
        ),
    )


def _action(table: Table, language: Language, catalogue: Catalogue) -> Action:
    table.only("interface", "noun", "verb", "destination", "payload")
    interface = table.choice("interface", catalogue.interfaces)
    noun, verb = _noun(table, "noun", catalogue), table.choice("verb", VERBS)
    code = catalogue.refusal(interface, noun.name, verb)
    if code is not None:
        raise table.error("verb", f"{verb} {noun.name} may not enter on {interface}: {code}")
    try:
        payload = Template.parse(table.string("payload"), language)
    except TemplateError as error:
        raise table.error("payload", str(error)) from error
    if payload.tag != noun.name:
        raise table.error("payload", f"the payload is {payload.tag}, not {noun.name}")
    known = profile(noun.profile or "").namespaces
    if payload.namespace not in known:
        raise table.error("payload", f"its namespace is none of {', '.join(known)}")
    destination = table.string("destination") if table.has("destination") else ""
    return Action(interface, noun.name, verb, destination, payload)


def _expression(table: Table, key: str, language: Language, returns: str) -> Expression:
    try:
        expression = language.compile(table.string(key))
    except ExpressionError as error:
        raise table.error(key, str(error)) from error
    if expression.returns.lower() not in (returns, "dyn"):
        raise table.error(key, f"it gives {expression.returns}, not {returns}")
    return expression


def mistakes(folder: Path, catalogue: Catalogue) -> Iterator[RuleFileError]:
    """The first mistake of each file of a folder."""
    for file in files_of(folder):
        try:
            read_file(file, catalogue)
        except RuleFileError as error:
            yield error

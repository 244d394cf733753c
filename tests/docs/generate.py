"""The reference pages, made from what they describe: `python -m tests.docs.generate`.

With `--check` nothing is written; the exit status is 1 where a page is not what follows from the
code, or is left over from a time when it did.

Lives here: one function per page of docs/reference, but for the glossary's. Must not live here:
facts; they are in the settings model, the catalogue, errors.toml, the metrics and the commands'
help.
"""

from __future__ import annotations

import enum
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import typer
from prometheus_client import Counter, Gauge, Histogram
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from connectors.rest import openapi
from schemas.codes.names import KINDS, Entry, entries
from schemas.codes.tables import sources
from schemas.errors import CODES
from streams import cli
from streams.engine.kafka.settings import LOCKED
from streams.runtime import metrics
from streams.runtime.settings import Settings, Source
from tests.docs import glossary, nouns
from tests.docs.layout import code, page, table
from topics import Catalogue, Noun, asyncapi, load_catalogue, naming

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "docs" / "reference"


# --- settings -----------------------------------------------------------------------------------


def settings() -> str:
    """Every setting with type, default, bounds and meaning."""
    sections = []
    alone = []
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            rows = [_setting(name, key, entry) for key, entry in kind.model_fields.items()]
            head = ("key", "type", "default", "bounds", "meaning")
            about = inspect.getdoc(kind) or ""
            sections.append(f"## {name}\n\n{about}\n\n{table(head, rows)}")
        else:
            alone.append((name, field))
    rows = [_setting("", name, field) for name, field in alone]
    sections.append(f"## Others\n\n{table(('key', 'type', 'default', 'bounds', 'meaning'), rows)}")
    about = inspect.getdoc(Source) or ""
    sections.append(
        f"## sources.NAME\n\n{about} Those of the connector files are in\n"
        "[connectors/files/README.md](../../connectors/files/README.md).\n\n"
        + table(("key", "meaning"), [(code("type"), "the connector, e.g. `files`")])
    )
    locked = ", ".join(code(name) for name in sorted(LOCKED))
    return page(
        "Settings",
        "streams/runtime/settings.py",
        """One precedence, from the strongest:

    command line > environment > cimstream.toml in the working folder (or --config FILE) > default

In the file a setting is `key` in the table of its section. In the environment it is
`CIMSTREAM__SECTION__KEY`, lists as JSON (`CIMSTREAM__WORKER__INTERFACES='["I7"]'`). A name that is
no setting is refused, with the nearest one that is. `CIMSTREAM_BOOTSTRAP` names the cluster for
every command; it stands above `kafka.bootstrap_servers`.""",
        *sections,
        f"""## What cannot be set

The guarantees rest on these properties of librdkafka. Naming one in `kafka.properties` is refused:

{locked}""",
    )


def _setting(section: str, key: str, field: FieldInfo) -> tuple[str, str, str, str, str]:
    name = f"{section}.{key}" if section else key
    default = "" if field.is_required() else _default(field)
    return (code(name), _kind(field.annotation), default, _bounds(field), field.description or "")


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    return "" if value in (None, "", (), {}) else code(value)


def _kind(kind: object) -> str:
    text = getattr(kind, "__name__", None) if isinstance(kind, type) else str(kind)
    text = re.sub(r"\b(typing|collections\.abc|pathlib(?:\._local)?)\.", "", text or str(kind))
    for name, plain in (
        (r"Mapping\[str, .*", "table"), (r"tuple\[str, \.\.\.\]", "list of text"),
        (r"Literal\[(.*)\]", r"\1"), (r" \| None", ""), (r"\bstr\b", "text"), ("Path", "path"),
        (r"\bint\b", "integer"), (r"\bfloat\b", "number"), ("'", ""),
    ):  # fmt: skip
        text = re.sub(name, plain, text)
    return text


def _bounds(field: FieldInfo) -> str:
    found: dict[str, object] = {}
    for rule in field.metadata:
        found |= {n: getattr(rule, n) for n in ("ge", "le", "gt", "lt") if hasattr(rule, n)}
    low = f"{found['ge']}" if "ge" in found else f"> {found['gt']}" if "gt" in found else ""
    high = f"{found['le']}" if "le" in found else ""
    return (
        f"{low} to {high}"
        if low and high
        else (low if not low or ">" in low else f"at least {low}")
    )


# --- errors -------------------------------------------------------------------------------------

_FIRST_DIGIT: Final = {
    "0": "no error", "1": "an element is missing or bad", "2": "a parameter is invalid",
    "3": "too much", "4": "aborted without an answer", "5": "the application failed",
    "6": "a rule of business", "7": "security",
}  # fmt: skip


def errors() -> str:
    """Every stable code of a rejected message."""
    rows = [
        (code(slug), entry.iec_code, entry.level, entry.what, entry.fix)
        for slug, entry in sorted(CODES.items())
    ]
    digits = "; ".join(f"{digit} {what}" for digit, what in _FIRST_DIGIT.items())
    return page(
        "Error codes of messages",
        "schemas/errors.toml",
        f"""A code keeps its name and meaning for ever: it is the header `cimstream_code` of a
rejected record, the label `code` of the metric `cimstream_messages_rejected_total`, what
`cimstream dlq list --code` filters by, and part of a reply's `Error.details`. IEC is the
`Reply.Error.code` of IEC 61968-100, level its `Error.level`.
First digit: {digits}.

A reply that reports success has 0.0 (OK) or 0.2 (PARTIAL, nothing more follows).""",
        table(("code", "IEC", "level", "the message was rejected because …", "what to do"), rows),
    )


# --- interfaces ---------------------------------------------------------------------------------


def interfaces() -> str:
    """Interfaces, nouns, verbs, patterns and topics of the catalogue."""
    catalogue = load_catalogue()
    live = sum(noun.profile is not None for noun in catalogue.nouns.values())
    return page(
        "Interfaces",
        "topics/catalogue",
        f"{len(catalogue.interfaces)} interfaces, {len(catalogue.nouns)} nouns, {live} of them "
        "live.",
        """A message of a planned noun is rejected with `noun_planned`, one with a planned verb with
`verb_planned`. A noun has one home, and its log is there; other interfaces may send it.
*History*: what happened, each message adds. *Register*: what is, each message changes. *Control*:
a request about it makes a device, a crew or a market participant act, so it is never redriven.""",
        *(_interface(catalogue, interface_id) for interface_id in catalogue.interfaces),
        _patterns(catalogue),
        _topics(catalogue),
    )


def _interface(catalogue: Catalogue, interface_id: str) -> str:
    interface = catalogue.interfaces[interface_id]
    home = [n for n in catalogue.nouns.values() if n.home == interface_id]
    head = ("noun", "state", "kind", "verbs", "patterns", "log", "key")
    guests = sorted(set(interface.accepts) - {noun.name for noun in home})
    partitions = ", ".join(f"{name} {count}" for name, count in interface.partitions.items())
    lines = [
        f"## {interface_id} {interface.title} ({interface.abbreviation})",
        f"At the edge: {', '.join(interface.protocols)}. Partitions: {partitions}.",
        table(head, [_noun(noun) for noun in home]),
    ]
    if guests:
        names = ", ".join(
            f"{name} ({catalogue.nouns[name].home}: {', '.join(sorted(interface.accepts[name]))})"
            for name in guests
        )
        lines.append(f"Enter here too, and go to the log of their home: {names}.")
    return "\n\n".join(lines)


def _noun(noun: Noun) -> tuple[str, ...]:
    state = "**live**" if noun.profile else "planned"
    verbs = ", ".join(sorted(noun.verbs))
    if noun.planned_verbs:
        verbs += f"; planned: {', '.join(sorted(noun.planned_verbs))}"
    log = code(naming.noun_log(noun.home, noun.name))
    kind = f"{noun.kind}, control" if noun.control else noun.kind
    return (noun.name, state, kind, verbs, ", ".join(noun.patterns), log, noun.key)


def _patterns(catalogue: Catalogue) -> str:
    rows = []
    for row in catalogue.pattern_rows:
        said = {
            "kind": row.kinds, "verb": row.verbs, "noun": row.nouns, "noun kind": row.noun_kind,
            "AckRequired": row.ack_required, "ReplyAddress": row.reply_address,
            "Destination": row.destination,
        }  # fmt: skip
        when = "; ".join(f"{name} {_said(value)}" for name, value in said.items()
                         if value is not None)  # fmt: skip
        replies = "yes" if row.pattern.replies else "no"
        rows.append((when or "always", row.pattern.name, replies, row.why))
    return (
        "## Patterns\n\nWhich exchange pattern a message follows: the first row whose every "
        "condition holds "
        "([patterns.toml](../../topics/catalogue/patterns.toml)).\n\n"
        + table(("when", "pattern", "answered", "why"), rows)
    )


def _said(value: object) -> str:
    words = {True: "true", False: "false", None: "absent"}
    if isinstance(value, frozenset):
        return " or ".join(sorted(words.get(v, str(v)) for v in value))
    if isinstance(value, bool):
        return "given" if value else "not given"
    return str(value)


def _topics(catalogue: Catalogue) -> str:
    rows = []
    for spec in catalogue.topics():
        kept = spec.config.get("retention.ms")
        days = f"{int(kept) // 86_400_000} days" if kept else "newest per key"
        policy, writers = spec.config["cleanup.policy"], ", ".join(sorted(spec.writers))
        rows.append((code(spec.name), spec.purpose, str(spec.partitions), policy, days, writers))
    count = sum(spec.partitions for spec in catalogue.topics())
    return (
        f"## Topics\n\n{len(rows)} topics, {count} partitions. Writers are roles, for the ACLs of "
        "the cluster.\n\n"
        + table(("topic", "purpose", "partitions", "clean-up", "kept", "writers"), rows)
    )


# --- metrics ------------------------------------------------------------------------------------


def metric_rows() -> Iterator[tuple[str, str, str, str]]:
    """Name as Prometheus sees it, type, labels, meaning."""
    found = [v for v in vars(metrics).values() if isinstance(v, Counter | Gauge | Histogram)]
    for metric in (*metrics.COUNTS.values(), *found):
        (family,) = metric.describe()
        name = f"{family.name}_total" if isinstance(metric, Counter) else family.name
        labels = ", ".join(code(label) for label in metric._labelnames)
        yield code(name), family.type, labels, family.documentation


def metrics_page() -> str:
    """The metrics with their labels."""
    return page(
        "Metrics",
        "streams/runtime/metrics.py",
        """Served by every worker at `/metrics`, slot 0 on `http.port`, slot n on that port + n.
Counts of records come from committed transactions only. They count since the process started; the
totals over all time are in the counters changelogs, which `cimstream stats` adds up. Labels are
bounded: no identifier, no source, no peer. What to alert on:
[operating](../operating.md#what-to-watch).""",
        table(("name", "type", "labels", "meaning"), list(metric_rows())),
    )


# --- field codes --------------------------------------------------------------------------------


def field_codes() -> str:
    """Every number of every field that has a name, with its sources."""
    parts = []
    for kind, of_kind in groupby(entries(), key=lambda entry: entry.code):
        parts.append(f"## {KINDS[kind].title}")
        for field, found in groupby(of_kind, key=lambda entry: entry.field):
            head = ("number", "name", "meaning", "symbol", "sources", "confidence", "note")
            parts.append(f"### {KINDS[kind].title}.{field}\n\n{table(head, [*map(_named, found)])}")
    return page(
        "Field codes",
        "schemas/codes/tables",
        """The numbers of a ReadingType (18), an EndDeviceEventType or EndDeviceControlType (4), a
ReadingQualityType (3) and a reply's error (2), with their names. `cimstream codes` looks them up.
Interharmonic and argument are fractions. A number that is missing here is written with its field,
`measurementKind(99)`; so is a second number of one name, `S2N(272)`. The last field of a quality or
a reply means something behind the one before it only: 4.2 is number 2 of category 4.

Confidence: X read in a schema; R read in public source text, not in a schema; K general knowledge.
The tables of the standards were not at hand: what a contract depends on, check against them.""",
        table(("source", "what it is"), [(code(name), what) for name, what in sources().items()]),
        *parts,
    )


def _named(entry: Entry) -> tuple[str, ...]:
    row = entry.row
    number = f"{row.number}" if entry.basis is None else f"{entry.basis}.{row.number}"
    name = f"{row.name}({row.number})" if row.again else row.name
    origin = ", ".join(row.sources)
    return (number, code(name), row.text, row.symbol, origin, row.confidence, row.note)


# --- commands -----------------------------------------------------------------------------------


def commands(
    group: Any = None, words: tuple[str, ...] = ("cimstream",)
) -> Iterator[tuple[str, Any]]:
    """Every command by its words, groups before what is in them."""
    one = group or typer.main.get_command(cli.app)
    yield " ".join(words), one
    for name, child in getattr(one, "commands", {}).items():
        yield from commands(child, (*words, name))


def cli_page() -> str:
    """The help of every command."""
    parts = []
    for words, command in commands():
        about = inspect.cleandoc(command.help or "")
        body = [f"## {words}", re.sub(r"^(Example: )(.*)$", r"\1`\2`", about, flags=re.MULTILINE)]
        if children := getattr(command, "commands", None):
            rows = [
                (f"[{words} {name}](#{words.replace(' ', '-')}-{name})", _first(child.help))
                for name, child in children.items()
            ]
            body += [table(("command", "what it does"), rows), command.epilog or ""]
        else:
            options = [_parameter(parameter) for parameter in command.params]
            body.append(table(("argument or option", "default", "meaning"), options))
        parts.append("\n\n".join(part for part in body if part))
    return page("Commands", "streams/cli", *parts)


def _first(text: str | None) -> str:
    return (text or "").strip().partition("\n\n")[0]


def _parameter(parameter: Any) -> tuple[str, str, str]:
    text = parameter.help or ""
    if parameter.param_type_name == "argument":
        return code(parameter.metavar or parameter.name.upper()), "required", text
    kind = parameter.type_descriptor.annotation
    is_choice = isinstance(kind, type) and issubclass(kind, enum.Enum)
    values = ", ".join(str(choice.value) for choice in kind) if is_choice else ""
    plain = getattr(kind, "__name__", "").lower()
    shown = "" if parameter.is_flag else f" {parameter.metavar or values or plain}"
    default = "required" if parameter.required else _shown_default(parameter)
    if found := re.search(r"\s*\[default: (.*?)\]", text):
        default, text = code(found[1]), text.replace(found[0], "")
    if parameter.envvar:
        text += f" Also `{parameter.envvar}` of the environment."
    return code(", ".join(parameter.opts) + shown), default, text


def _shown_default(parameter: Any) -> str:
    value = getattr(parameter.default, "value", parameter.default)
    return "" if value in (None, False, (), []) else code(value)


# --- all of them --------------------------------------------------------------------------------


def asyncapi_page() -> str:
    """The document that `cimstream topics asyncapi` prints."""
    return asyncapi.render(asyncapi.document(load_catalogue(), version("cimstream")))


def openapi_page() -> str:
    """The document that the gateway serves."""
    return openapi.render(openapi.document(load_catalogue()))


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "asyncapi.json": asyncapi_page,
    "openapi.json": openapi_page,
    "settings.md": settings,
    "errors.md": errors,
    "interfaces.md": interfaces,
    "metrics.md": metrics_page,
    "codes.md": field_codes,
    "cli.md": cli_page,
    "glossary.md": glossary.glossary,
    **nouns.pages(load_catalogue()),
}


def stale(folder: Path) -> dict[str, str | None]:
    """What is to be written in the folder, by page; None for what is left over."""
    found = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.suffix in (".md", ".json")
    }
    made = {name: make() for name, make in PAGES.items()}
    return {
        name: made.get(name)
        for name in sorted(found.keys() | made.keys())
        if found.get(name) != made.get(name)
    }


def main(arguments: Sequence[str], folder: Path = FOLDER) -> int:
    """Write every page, or check that they are written."""
    check = list(arguments) == ["--check"]
    todo = stale(folder)
    if check and todo:
        names = ", ".join(todo)
        sys.stderr.write(f"docs/reference is not what the code says: {names}; run `make docs`\n")
        return 1
    for name, text in todo.items():
        path = folder / name
        if text is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

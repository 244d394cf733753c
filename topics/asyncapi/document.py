"""The document: head, server, channels and operations.

Lives here: what each topic of the catalogue becomes. Must not live here: messages (see `messages`).

The point of view is that of cimstream: it receives on inbound and sends on everything else.
Invariant: every production topic of an interface is there once, changelogs left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Final

from schemas.envelope.namespaces import KIND_OF_VERB
from topics import naming
from topics.asyncapi import messages
from topics.asyncapi.headers import XML
from topics.asyncapi.parts import BINDING, PLANNED, Part, marks, named, ref
from topics.catalogue import Catalogue, Interface, Noun, TopicSpec

# Changelogs are nobody's interface; audit and positions belong to none of the eleven.
_PURPOSES: Final[Mapping[str, str]] = {
    "inbound": "everything any system sends on this interface, as received",
    "accepted": "what intake let through for the registers of this interface",
    "requests": "queries that intake let through, for responders",
    "outbound": "everything that is addressed to a system",
    "rejected": "what could not be accepted, with the reason",
    "log": "events of one noun: what took effect",
    "current": "present state of a register",
}
_WIDTH: Final = 120
_ANSWERS: Final[Mapping[frozenset[bool], str]] = {
    frozenset({True}): "answered",
    frozenset({False}): "not answered",
    frozenset({True, False}): "answered if the header asks for it",
}
_ABOUT: Final = """\
The Interface Reference Model of IEC 61968-2 on Apache Kafka: eleven interfaces and their nouns.

Readers of any topic set `isolation.level=read_committed`. Values of `log` and `current` are in \
the Confluent wire format; `x-schema-id` is the id of the newest schema, older records may have \
an older one; the schemas are files, to which the document refers from docs/reference. \
A message of a noun with the tag `planned` is rejected with `noun_planned`. \
Paths (`x-xsd`) are those of cimstream's source tree."""


def document(catalogue: Catalogue, version: str) -> Part:
    """Describe the production topics of all interfaces; `version` is that of cimstream."""
    topics = [spec for spec in catalogue.topics() if _in_scope(spec)]
    return {
        "asyncapi": "3.0.0",
        "id": "urn:cimstream",
        "info": {
            "title": "cimstream",
            "version": version,
            "description": f"{_ABOUT}\n\n{_contexts(catalogue)}",
            "license": {"name": "Apache-2.0"},
            "tags": list(_tags(catalogue)),
        },
        "servers": {"kafka": _server()},
        "defaultContentType": XML,
        "channels": {spec.name: _channel(catalogue, spec) for spec in topics},
        "operations": dict(_operations(catalogue, topics)),
        "components": {
            "schemas": messages.schemas(catalogue),
            "messages": dict(messages.every(catalogue)),
            "correlationIds": {
                "correlation": {
                    "description": "Of a reply: that of its request, else the request's ID.",
                    "location": "$message.header#/ce_correlationid",
                }
            },
        },
    }


def render(made: Part) -> str:
    """Give the document as JSON, one form for one content; what fits in a line is on one."""
    return _laid_out(made, "") + "\n"


def _laid_out(node: object, margin: str) -> str:
    flat = json.dumps(node, ensure_ascii=False)
    if len(margin) + len(flat) <= _WIDTH:
        return flat
    inner = margin + " "
    if isinstance(node, dict):
        lines = [f"{json.dumps(key)}: {_laid_out(node[key], inner)}" for key in node]
        opening, closing = "{", "}"
    elif isinstance(node, list):
        lines = [_laid_out(item, inner) for item in node]
        opening, closing = "[", "]"
    else:
        return flat
    body = ",".join(f"\n{inner}{line}" for line in lines)
    return f"{opening}{body}\n{margin}{closing}"


def _in_scope(spec: TopicSpec) -> bool:
    return spec.purpose in _PURPOSES and spec.context == naming.PRODUCTION


def _contexts(catalogue: Catalogue) -> str:
    names = ", ".join(catalogue.contexts)
    return (
        f"Of each context beside production ({names}) the live nouns' topics and their homes'"
        " `outbound` and `rejected` exist again as `cim.<context>.…` in lower case, with one"
        " partition each and the same contents; all contexts share `inbound`, `accepted` and"
        " `requests`."
    )


def _server() -> Part:
    return {
        "host": "{bootstrap}",
        "protocol": "kafka",
        "description": "The cluster; TLS and SASL as it demands.",
        "variables": {
            "bootstrap": {
                "description": "Any broker of the cluster as host:port.",
                "examples": ["127.0.0.1:19092"],
            }
        },
    }


# --- tags -----------------------------------------------------------------------------------------


def _tags(catalogue: Catalogue) -> Iterator[Part]:
    for interface in catalogue.interfaces.values():
        yield {"name": interface.id, "description": interface.title}
    for purpose, said in _PURPOSES.items():
        yield {"name": purpose, "description": said}
    yield {"name": "personal", "description": "data about persons"}
    yield {"name": "control", "description": "requests make somebody act; never redriven"}
    yield {"name": PLANNED, "description": "in the catalogue, not carried yet"}


# --- channels -------------------------------------------------------------------------------------


def _channel(catalogue: Catalogue, spec: TopicSpec) -> Part:
    noun = catalogue.nouns.get(spec.noun)
    interface = catalogue.interfaces[spec.interface]
    about = f"{noun.name}, a {noun.kind}. " if noun else ""
    said = _PURPOSES[spec.purpose]
    return {
        "address": spec.name,
        "title": f"{interface.id} {spec.noun or interface.title}: {spec.purpose}",
        "description": f"{about}{said[0].upper()}{said[1:]}.",
        "messages": {
            name: ref("components", "messages", component)
            for name, component in _held(catalogue, spec)
        },
        "tags": named(interface.id, spec.purpose, *(marks(noun) if noun else ())),
        "bindings": {
            "kafka": {
                "partitions": spec.partitions,
                "topicConfiguration": {k: _value(k, v) for k, v in sorted(spec.config.items())},
                "bindingVersion": BINDING,
            }
        },
    }


def _value(key: str, text: str) -> object:
    if key == "cleanup.policy":
        return text.split(",")
    return int(text) if text.isdigit() else text


def _held(catalogue: Catalogue, spec: TopicSpec) -> Iterator[tuple[str, str]]:
    """What lies in a topic: name there, name among the components."""
    if spec.purpose == "inbound":
        for noun in catalogue.interfaces[spec.interface].accepts:
            yield noun, messages.received(spec.interface, noun)
    elif spec.purpose == "accepted":
        for register in _registers(catalogue, spec.interface):
            yield register.name, messages.accepted(register.name)
    elif spec.purpose == "requests":
        yield messages.QUERY, messages.QUERY
    elif spec.purpose == "outbound":
        for kind in (messages.REPLY, messages.ADDRESSED, messages.FATE):
            yield kind, kind
    elif spec.purpose == "rejected":
        yield messages.REJECTION, messages.REJECTION
    else:
        name = messages.event if spec.purpose == "log" else messages.current
        yield spec.noun, name(spec.noun)


def _registers(catalogue: Catalogue, home: str) -> Iterator[Noun]:
    for noun in catalogue.nouns.values():
        if noun.home == home and noun.kind == "register":
            yield noun


# --- operations -----------------------------------------------------------------------------------


def _operations(catalogue: Catalogue, topics: Sequence[TopicSpec]) -> Iterator[tuple[str, Part]]:
    for spec in topics:
        interface = catalogue.interfaces[spec.interface]
        if spec.purpose == "inbound":
            for name in interface.accepts:
                noun = catalogue.nouns[name]
                yield f"receive.{interface.id}.{name}", _receive(catalogue, spec, interface, noun)
        else:
            yield f"send.{spec.name}", _send(catalogue, spec)


def _receive(catalogue: Catalogue, spec: TopicSpec, interface: Interface, noun: Noun) -> Part:
    answers = _answers(catalogue, noun, interface.accepts[noun.name])
    lines = [
        f"- {', '.join(verbs)}: {' or '.join(patterns)}, {_ANSWERS[replies]}"
        for (patterns, replies), verbs in answers.items()
    ]
    later = sorted(interface.accepts[noun.name] & noun.planned_verbs)
    if later and noun.profile is not None:
        lines.append(f"\nPlanned, until then rejected with `verb_planned`: {', '.join(later)}.")
    operation: Part = {
        "action": "receive",
        "channel": ref("channels", spec.name),
        "title": f"{noun.name} on {interface.id}",
        "description": "\n".join([f"{_writers(spec)} What follows, by verb:\n", *lines]),
        "messages": [ref("channels", spec.name, "messages", noun.name)],
        "tags": named(interface.id, "inbound", *marks(noun)),
        "x-writers": sorted(spec.writers),
    }
    if any(True in replies for _, replies in answers):
        answering = naming.outbound(noun.home)
        operation["reply"] = {
            "channel": ref("channels", answering),
            "messages": [ref("channels", answering, "messages", messages.REPLY)],
        }
    return operation


def _answers(
    catalogue: Catalogue, noun: Noun, verbs: frozenset[str]
) -> dict[tuple[tuple[str, ...], frozenset[bool]], list[str]]:
    """Verbs by the patterns they may follow and whether these answer, whatever a header says."""
    found: dict[tuple[tuple[str, ...], frozenset[bool]], list[str]] = {}
    for verb in sorted(verbs):
        patterns = {
            catalogue.pattern(KIND_OF_VERB[verb].value, verb, noun.name, ack, address, destination)
            for ack, address, destination in product((True, False, None), ("", "x"), ("", "x"))
        }
        names = tuple(sorted({pattern.name for pattern in patterns}))
        replies = frozenset(pattern.replies for pattern in patterns)
        found.setdefault((names, replies), []).append(verb)
    return found


def _send(catalogue: Catalogue, spec: TopicSpec) -> Part:
    held = [name for name, _ in _held(catalogue, spec)]
    noun = catalogue.nouns.get(spec.noun)
    return {
        "action": "send",
        "channel": ref("channels", spec.name),
        "title": f"{spec.interface} {spec.noun}".rstrip() + f": {spec.purpose}",
        "description": _writers(spec),
        "messages": [ref("channels", spec.name, "messages", name) for name in held],
        "tags": named(spec.interface, spec.purpose, *(marks(noun) if noun else ())),
        "x-writers": sorted(spec.writers),
    }


def _writers(spec: TopicSpec) -> str:
    return f"May be written by: {', '.join(sorted(spec.writers))}."

"""Reading a payload object by object: the good ones pass, each bad one is rejected alone.

As long as the message's allowance lasts; beyond it they are only found, and rejected together.

Lives here: the loop and the numbering. Must not live here: anything about one noun.
Invariant: items are numbered in the order of the payload, from 0, without gaps.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from lxml import etree

from schemas.errors import Problem
from schemas.profiles.model import Allowance, Item, Outcome, RejectedObject
from schemas.profiles.places import Findings, Paths, xpath
from schemas.profiles.validation import ObjectSchema


class Draft(NamedTuple):
    """An item that has no number yet."""

    noun: str
    key: bytes
    body: bytes
    xpath: str | None = None
    line: int | None = None


ReadObject = Callable[[etree._Element, Findings], list[Draft]]  # noqa: SLF001 - its name in lxml


def read_objects(
    payload: etree._Element,
    schema: ObjectSchema,
    carrier: str,
    read: ReadObject,
    allowance: Allowance,
) -> Outcome:
    """Check each child of the payload and map those named `carrier` (a full tag).

    `read` is called for elements that the XSD accepts; where it adds to the findings, its
    drafts are dropped and the object is rejected. Other children are type definitions, which
    are objects only when they are invalid, and then rejected.

    Raises:
        MessageError: `noun_unknown`, `payload_namespace_unknown`, from `schema`.
    """
    namespace = schema.namespace_of(payload)
    outcome, paths = Outcome(), Paths(payload)
    for position, element in enumerate(payload):
        path = partial(paths.of_child, position)
        findings = Findings(element, path, told=not allowance.exceeded)
        problems = schema.problems(element, namespace, findings)
        if element.tag == carrier:
            problems = problems or _take(outcome, element, findings, read)
        if element.tag == carrier or problems:
            outcome.objects += 1
        if problems:
            _reject(outcome, element, position, problems, namespace, allowance)
    return outcome


def read_whole(
    payload: etree._Element, schema: ObjectSchema, read: ReadObject, allowance: Allowance
) -> Outcome:
    """Check and map a payload that is itself the one object, as market documents are.

    Raises:
        MessageError: `noun_unknown`, `payload_namespace_unknown`, from `schema`.
    """
    namespace = schema.namespace_of(payload)
    outcome, findings = Outcome(objects=1), Findings(payload, partial(xpath, payload))
    problems = schema.problems(payload, namespace, findings)
    problems = problems or _take(outcome, payload, findings, read)
    if problems:
        _reject(outcome, payload, 0, problems, namespace, allowance)
    return outcome


def reject(
    outcome: Outcome,
    element: etree._Element,
    position: int,
    code: str,
    namespace: str,
    allowance: Allowance,
) -> None:
    """Reject an element at this position of the payload for what only the whole can tell."""
    findings = Findings(element, partial(xpath, element), told=not allowance.exceeded)
    findings.add(code, element)
    outcome.objects += 1
    _reject(outcome, element, position, tuple(findings.problems), namespace, allowance)


def _take(
    outcome: Outcome, element: etree._Element, findings: Findings, read: ReadObject
) -> tuple[Problem, ...]:
    """Map a valid object; what is wrong with it beyond the XSD, if anything."""
    drafts = read(element, findings)
    if not findings.problems:
        first = len(outcome.items)
        outcome.items += [
            Item(noun, key, body, first + n, xpath=at, line=line)
            for n, (noun, key, body, at, line) in enumerate(drafts)
        ]
    return tuple(findings.problems)


def _reject(
    outcome: Outcome,
    element: etree._Element,
    position: int,
    problems: tuple[Problem, ...],
    namespace: str,
    allowance: Allowance,
) -> None:
    if not allowance.left:
        allowance.exceeded = True
        outcome.rest.add(position, problems)
        return
    # Not ASCII, lxml's default: it would write references into names, too.
    xml = etree.tostring(element, encoding="UTF-8", with_tail=False)
    allowance.spend(xml)
    outcome.rejected.append(RejectedObject(position, problems, xml, namespace))

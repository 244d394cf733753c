"""An object where its payload should stand: what senders mean by a noun in the singular.

`<Payload><EndDeviceEvent>…` says of one event what `<EndDeviceEvents><EndDeviceEvent>…` says.

Lives here: putting the payload around it, and its places as they were sent. Must not live here:
which nouns are known in the singular (see the catalogue's `aliases`), what an object says.

Invariant: an object alone gives the same record as within its payload.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from lxml import etree

from schemas.errors import Problem
from schemas.profiles.model import Allowance, Outcome, Profile
from schemas.profiles.places import local_name
from schemas.profiles.revisions import path_above, stand_where


def read(
    profile: Profile, payload: etree._Element, verb: str, allowance: Allowance | None = None
) -> Outcome:
    """What a payload says, or an object in its place. Raises as `Profile.read`."""
    if local_name(payload) not in profile.objects:
        return profile.read(payload, verb, allowance)
    above = path_above(payload)
    outcome = profile.read(_enclosed(payload, profile.noun), verb, allowance)
    outcome.items = [
        item if item.xpath is None else replace(item, xpath=_as_sent(item.xpath, above))
        for item in outcome.items
    ]
    outcome.rejected = [
        replace(rejected, problems=_of_sent(rejected.problems, above))
        for rejected in outcome.rejected
    ]
    outcome.rest.problems = _of_sent(outcome.rest.problems, above)
    return outcome


def count(profile: Profile, payload: etree._Element) -> int:
    """How many elements there are that may be objects."""
    return 1 if local_name(payload) in profile.objects else len(payload)


def _enclosed(element: etree._Element, noun: str) -> etree._Element:
    """The payload that holds the object; it stands where the object stood."""
    payload = etree.Element(
        etree.QName(etree.QName(element).namespace, noun), nsmap=cast("Any", element.nsmap)
    )
    stand_where(payload, element)
    parent = element.getparent()
    if parent is not None:
        parent.replace(element, payload)
    payload.append(element)
    return payload


def _of_sent(problems: tuple[Problem, ...], above: str) -> tuple[Problem, ...]:
    return tuple(
        problem if problem.xpath is None else replace(problem, xpath=_as_sent(problem.xpath, above))
        for problem in problems
    )


def _as_sent(path: str, above: str) -> str:
    """The path without its first step below `above`, which nobody sent."""
    _, slash, rest = path.removeprefix(f"{above}/").partition("/")
    return f"{above}{slash}{rest}"

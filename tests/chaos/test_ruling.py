"""The judge's own reading of messages agrees with expectations that were written by hand."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal

from streams.demo.scenario import REPEAT_EVERY, Sent, scenario
from tests.chaos.ruling import Refused, rule

BULK = re.compile(r"\d+-readings-(\d+)")


def thinned() -> list[Sent]:
    """The demonstration's messages, with fewer of the many that are alike.

    Of 25 large ones the first three stay: they have repeats in both forms, and a conflict.
    """
    return [
        sent
        for sent in scenario("HES-1")
        if not (bulk := BULK.match(sent.name)) or int(bulk[1]) % REPEAT_EVERY < 3
    ]


def test_the_judge_and_the_demonstrations_expectations_agree_on_every_message() -> None:
    """Two texts by two hands: rulings from the documentation, expectations per message."""
    first: dict[bytes, bytes] = {}
    for sent in thinned():
        ruling, expected = rule(sent.data), sent.expected
        if isinstance(ruling, Refused):
            assert {ruling.code: 1} == expected.rejected, sent.kind
            continue
        before = first.setdefault(ruling.identity, ruling.content)
        if before != ruling.content:
            assert expected.rejected == {"identity_conflict": 1}, sent.kind
        elif expected.repeats:
            assert expected.events == {}, sent.kind
        else:
            events = Counter(ruling.log(event) for event in ruling.events)
            energy = [event.readings.kwh for event in ruling.events if event.readings]
            assert dict(events) == expected.events, sent.kind
            assert sum(energy, Decimal(0)) == expected.kwh, sent.kind
            assert Counter(code for _, code in ruling.rejected) == expected.rejected, sent.kind

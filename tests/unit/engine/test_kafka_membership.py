"""Who has a slot: one who has just fenced us may need a moment to show in the group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from streams.engine.kafka import KafkaSettings, membership
from streams.engine.kafka.membership import Membership

US, RIVAL = {"slot-0": "us"}, {"slot-0": "rival"}


def answering(monkeypatch: pytest.MonkeyPatch, *answers: Mapping[str, str]) -> Membership:
    """One whose coordinator gives these answers, the last one for ever."""
    left: Iterator[Mapping[str, str]] = iter(answers)
    monkeypatch.setattr(membership, "_LOOK_S", 0.0)
    monkeypatch.setattr(Membership, "members", lambda _: next(left, answers[-1]))
    return Membership(KafkaSettings("localhost:1"), "group")


def test_a_rival_that_joins_a_moment_after_it_fenced_us_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert answering(monkeypatch, US, {}, US, RIVAL).taken("slot-0", "us")


def test_where_nobody_shows_up_the_slot_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "_RIVAL_S", 0.0)
    assert not answering(monkeypatch, US).taken("slot-0", "us")

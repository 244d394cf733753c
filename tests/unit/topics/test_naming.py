"""Names of topics."""

from __future__ import annotations

import re

import pytest

from topics import Catalogue, load_catalogue, naming


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("MeterReadings", "meter-readings"),
        ("EndDeviceEvents", "end-device-events"),
        ("DERGroups", "der-groups"),
        ("DERGroupForecasts", "der-group-forecasts"),
        ("ReserveBid_MarketDocument", "reserve-bid-market-document"),
        ("Crews", "crews"),
    ],
)
def test_a_noun_becomes_words_with_hyphens(noun: str, expected: str) -> None:
    assert naming.kebab(noun) == expected


def test_production_names_carry_no_context() -> None:
    assert naming.inbound("I7") == "cim.i7.inbound"
    assert naming.accepted("I7") == "cim.i7.accepted"
    assert naming.outbound("I7") == "cim.i7.outbound"
    assert naming.rejected("I7", context="PRODUCTION") == "cim.i7.rejected"
    assert naming.noun_log("I7", "MeterReadings") == "cim.i7.meter-readings"
    assert naming.current_log("I2", "Assets") == "cim.i2.assets.current"
    assert naming.changelog("intake", "dedup-i7") == "cim.intake.dedup-i7.changelog"


def test_a_parallel_context_comes_first() -> None:
    assert naming.outbound("I7", context="TRAINING") == "cim.training.i7.outbound"
    assert naming.rejected("I7", context="STUDY") == "cim.study.i7.rejected"
    assert naming.noun_log("I7", "MeterReadings", "TESTING") == "cim.testing.i7.meter-readings"
    assert naming.current_log("I2", "Assets", "TESTING") == "cim.testing.i2.assets.current"


def test_a_side_log_of_a_replay_is_named_like_the_log_and_no_topic_of_the_catalogue(
    catalogue: Catalogue,
) -> None:
    names = {spec.name for spec in catalogue.topics()}
    side = {naming.replayed("x-1", name) for name in names}
    assert naming.replayed("x-1", "cim.i7.meter-readings") == "cim.replay-x-1.i7.meter-readings"
    assert len(side) == len(names)
    assert not side & names


def test_every_name_of_the_catalogue_is_a_legal_topic_name(catalogue: Catalogue) -> None:
    legal = re.compile(r"[a-z0-9.-]{1,249}")
    assert all(legal.fullmatch(spec.name) for spec in catalogue.topics())


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()

"""Files that are payloads without an envelope, and the messages they become."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from connectors.payloads import wrap
from schemas.envelope import read
from tests.unit.registers.driver import CATALOGUE, House

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "nouns"
DOCUMENT = EXAMPLES / "i10" / "reserve-bid-market-document-created.xml"
TYPES = EXAMPLES / "i2" / "asset-catalogue-create.xml"


def bare(file: Path) -> bytes:
    """The payload of an example, as a file of its own."""
    payload = read(file.read_bytes()).payload
    assert payload is not None
    return etree.tostring(payload, xml_declaration=True, encoding="UTF-8", with_tail=False)


def wrapped(data: bytes, verb: str = "") -> bytes:
    message = wrap(data, CATALOGUE, verb)
    assert message is not None
    return message


@pytest.mark.parametrize(
    ("file", "noun", "interface"),
    [(DOCUMENT, "ReserveBid_MarketDocument", "I10"), (TYPES, "AssetCatalogue", "I2")],
)
def test_a_payload_alone_says_what_it_says_in_a_message(
    file: Path, noun: str, interface: str
) -> None:
    house = House()
    house.send(wrapped(bare(file)), interface)
    told = house.events(noun)
    other = House()
    other.send(file.read_bytes(), interface)
    assert house.codes(interface) == []
    assert told
    assert [{**one, "provenance": None} for one in told] == [
        {**one, "provenance": None} for one in other.events(noun)
    ]


def test_the_same_file_is_the_same_message_and_another_one_is_not() -> None:
    house = House()
    for data in (bare(DOCUMENT), bare(DOCUMENT), bare(DOCUMENT) + b"\n"):
        house.send(wrapped(data), "I10")
    assert len(house.events("ReserveBid_MarketDocument")) == 2


def test_the_verb_follows_the_kind_of_the_noun_and_can_be_said() -> None:
    verbs = [
        message.header.verb
        for data, verb in ((bare(DOCUMENT), ""), (bare(TYPES), ""), (bare(TYPES), "change"))
        if (message := read(wrapped(data, verb))).header is not None
    ]
    assert verbs == ["created", "create", "change"]


@pytest.mark.parametrize(
    "data",
    [
        DOCUMENT.read_bytes(),
        bare(DOCUMENT)[:-99],
        b"<Toasters/>",
        b'<MeterReadings xmlns="urn:x"><Header/><Payload/></MeterReadings>',
        b"",
    ],
    ids=["a message", "cut off", "no noun", "a message named like its noun", "nothing"],
)
def test_what_is_no_payload_goes_in_as_it_is(data: bytes) -> None:
    assert wrap(data, CATALOGUE) is None

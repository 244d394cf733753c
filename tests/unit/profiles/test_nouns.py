"""What holds for every noun whose profile its folder declares, and for its examples."""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lxml import etree

from schemas.avro import decode, encode_fields, encode_provenance, frame, wire
from schemas.envelope import Message, read
from schemas.errors import MessageError
from schemas.profiles import DeclaredProfile, declared, declared_names
from schemas.profiles.mapping import DECIMAL_SCALE, EXACT
from schemas.profiles.shapes import INTERVALS, NAME, DataType, Field, Scalar, Shape
from schemas.times import EPOCH_MS_MAX, EPOCH_MS_MIN
from tests.unit.registers.driver import CATALOGUE, House
from topics import Noun, naming

ROOT = Path(__file__).resolve().parents[3]
NOUNS = [noun for noun in CATALOGUE.nouns.values() if noun.profile in declared_names()]
by_noun = pytest.mark.parametrize("noun", NOUNS, ids=[noun.name for noun in NOUNS])


def examples(noun: Noun) -> dict[str, bytes]:
    """The noun's example messages by what stands behind its name: create, change and so on."""
    prefix = naming.kebab(noun.name)
    folder = ROOT / "examples" / "nouns" / noun.home.lower()
    return {
        file.stem.removeprefix(f"{prefix}-"): file.read_bytes()
        for file in sorted(folder.glob(f"{prefix}-*.xml"))
        if "-" not in file.stem.removeprefix(f"{prefix}-")
    }


def sent(noun: Noun, house: House, example: str) -> None:
    """Send an example on an interface that may send it."""
    house.send(examples(noun)[example], noun.home)


def test_every_declared_profile_is_a_noun_of_the_catalogue_of_the_same_kind() -> None:
    assert sorted(str(noun.profile) for noun in NOUNS) == declared_names()
    for noun in NOUNS:
        profile = declared(noun.profile or "")
        assert (profile.noun, profile.schema) == (noun.name, noun.schema)
        assert profile.register == (noun.kind == "register"), noun.name


@by_noun
def test_a_noun_has_an_example_of_each_step_of_its_life(noun: Noun) -> None:
    there = examples(noun).keys()
    if noun.kind == "register":
        first = "execute" if "execute" in noun.verbs and "create" not in there else "create"
        wanted = {first, "change", "reply", "invalid"} if "change" in noun.verbs else {"invalid"}
        assert there & ({"delete", "close", "cancel", "executed"} & noun.verbs), noun.name
    else:
        wanted = {"created", "invalid"}
    assert wanted <= there


@by_noun
def test_the_examples_do_what_they_show(noun: Noun) -> None:
    """In the order of an object's life; the invalid one is refused with the code that it names."""
    house = House()
    order = ["create", "created", "execute", "change", "changed", "executed"]
    end = ["close", "closed", "cancel", "canceled", "delete", "deleted"]
    there = examples(noun)
    chosen = [name for name in order if name in there] + [name for name in end if name in there][:1]
    for name in chosen:
        sent(noun, house, name)
        assert house.codes(noun.home) == [], name
    assert len(house.events(noun.name)) >= len(chosen)
    sent(noun, house, "invalid")
    named = re.search(
        r"<!--.*?\b([a-z]+(?:_[a-z]+)+)\b.*?-->", there["invalid"].decode(), re.DOTALL
    )
    assert named is not None, "the comment names the code"
    assert named[1] in house.codes(noun.home)


@by_noun
def test_the_example_of_a_reply_is_one_and_its_objects_are_valid(noun: Noun) -> None:
    data = examples(noun).get("reply")
    if data is None:
        pytest.skip(f"{noun.name} is not asked for")
    message = read(data)
    assert message.reply is not None
    outcome = declared(noun.profile or "").read(payload_of(message), "")
    assert outcome.items
    assert not outcome.rejected


def payload_of(message: Message) -> etree._Element:
    assert message.payload is not None
    return message.payload


@by_noun
def test_xml_to_record_to_xml_says_the_same(noun: Noun) -> None:
    profile = declared(noun.profile or "")
    for name, data in examples(noun).items():
        message = read(data)
        if name == "invalid" or message.payload is None:
            continue
        first = profile.read(message.payload, "").items
        again = profile.read(profile.write([whole(profile, item.body) for item in first]), "")
        assert not again.rejected, name
        assert [item.body for item in again.items] == [item.body for item in first], name


def whole(profile: DeclaredProfile, body: bytes) -> dict[str, Any]:
    """The record as a reader of the log gets it."""
    of_register = wire.long(1) + wire.long(0) if profile.register else b""
    value = frame(profile.schema) + encode_provenance("t", 0, 0, "m", "s", 0) + of_register + body
    name, record = decode(value)
    assert name == profile.schema
    return record


# ------------------------------------------------------------------------ any object of a shape


_TEXT = st.text(string.ascii_letters + string.digits + " äß<&>'\"/-_", min_size=1).map(
    lambda text: text.strip(" ") or "x"
)
_DURATION = st.sampled_from(["PT15M", "P1Y", "-P1DT0.5S"])
_INSTANT = st.integers(EPOCH_MS_MIN, EPOCH_MS_MAX)


def leaf(kind: DataType) -> st.SearchStrategy[Any]:
    if kind.values:
        return st.sampled_from(kind.values)
    match kind.scalar:
        case Scalar.BOOLEAN:
            return st.booleans()
        case Scalar.INTEGER:
            return st.integers(1, 2**31 - 1)
        case Scalar.DECIMAL:
            digits = st.integers(-(10**38) + 1, 10**38 - 1) | st.integers(-(10**6), 10**6)
            return digits.map(lambda n: Decimal(n).scaleb(-DECIMAL_SCALE, EXACT))
        case Scalar.DOUBLE:
            return st.floats(allow_nan=False)
        case Scalar.DATE:
            return st.dates(date(1900, 1, 1))
        case Scalar.DATE_TIME | Scalar.MINUTE:
            return _INSTANT
        case _:
            return _DURATION if kind.scalar is Scalar.DURATION else _TEXT


def value(field: Field) -> st.SearchStrategy[Any]:
    one = leaf(field.type) if isinstance(field.type, DataType) else record(field.type)
    if field.many:
        return st.lists(one, min_size=int(field.required), max_size=2)
    return one if field.required else st.none() | one


def record(shape: Shape) -> st.SearchStrategy[dict[str, Any]]:
    if shape.name == NAME:
        absent: Callable[[str], st.SearchStrategy[Any]] = lambda _: st.none() | _TEXT  # noqa: E731
        fields = ("type", "typeDescription", "authority", "authorityDescription")
        return st.fixed_dictionaries({"name": _TEXT, **{f: absent(f) for f in fields}}).map(_kinded)
    if shape.name in INTERVALS:
        return st.tuples(_INSTANT, _INSTANT).map(lambda p: {"start": min(p), "end": max(p)})
    return st.fixed_dictionaries({field.key: value(field) for field in shape.fields})


def _kinded(name: dict[str, Any]) -> dict[str, Any]:
    """A name has a kind before anything is said of the kind, and an authority likewise."""
    if name["type"] is None:
        return {"name": name["name"]} | dict.fromkeys(name.keys() - {"name"})
    if name["authority"] is None:
        return {**name, "authorityDescription": None}
    return name


@by_noun
@settings(max_examples=25)
@given(data=st.data())
def test_any_record_of_the_shape_is_valid_xml_that_says_the_same(
    noun: Noun, data: st.DataObject
) -> None:
    profile = declared(noun.profile or "")
    made = data.draw(record(profile.shape))
    assume(profile.key(made) is not None)
    body = profile.encode(made)
    fields = profile.shape.fields
    assert body == encode_fields(profile.schema, fields[0].key, fields[-1].key, made)
    outcome = profile.read(profile.write([whole(profile, body)]), "")
    assert [str(problem) for one in outcome.rejected for problem in one.problems] == []
    assert [item.body for item in outcome.items] == [body]


@pytest.mark.parametrize(
    ("inside", "why"),
    [
        ('<type xsi:nil="true"/>', "xsi:nil"),
        ('<type a="1">x</type>', "an attribute"),
        ('<shift xsi:type="Foo"/>', "an xsi:type"),
        ("<type><b/></type>", "element"),
    ],
)
def test_what_is_wrong_is_said_in_words(inside: str, why: str) -> None:
    text = (
        '<Crews xmlns="urn:cimstream:Crews:1" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<Crew><mRID>a</mRID>{inside}</Crew></Crews>"
    )
    (rejected,) = declared("crews").read(etree.fromstring(text)).rejected
    assert why in rejected.problems[0].detail


def test_a_payload_in_the_namespace_of_something_else_is_told_with_the_one_it_should_have() -> None:
    payload = etree.fromstring('<Crews xmlns="http://www.multispeak.org/Version_5.0_Release"/>')
    with pytest.raises(MessageError) as caught:
        declared("crews").read(payload)
    (problem,) = caught.value.problems
    assert problem.code == "payload_namespace_unknown"
    assert (problem.xpath, problem.line) == ("/Crews", 1)
    assert "urn:cimstream:Crews:1" in problem.detail


def test_white_space_around_a_time_says_nothing() -> None:
    """As pretty printers write it; libxml2 alone would refuse what stands before a time."""
    text = (
        '<UsagePointConfig xmlns="http://iec.ch/TC57/2011/UsagePointConfig#"><UsagePoint>'
        "<mRID>u</mRID><ConfigurationEvents><createdDateTime>{}</createdDateTime>"
        "</ConfigurationEvents></UsagePoint></UsagePointConfig>"
    )
    said = "2017-09-06T20:35:45.0000012+05:00"
    found, spaced = (
        declared("usage_point_config").read(etree.fromstring(text.format(time)), "create")
        for time in (said, f" \n\t{said}\n")
    )
    assert found.items
    assert spaced.items == found.items


def test_a_fault_is_found_where_it_is_whatever_prefixes_its_siblings_have() -> None:
    names = [
        '<Names><name>1</name></Names><x:Names xmlns:x="urn:cimstream:Crews:1">',
        "<x:name>2</x:name><x:NameType/></x:Names>",
    ]
    text = (
        f'<Crews xmlns="urn:cimstream:Crews:1"><Crew><mRID>a</mRID>{"".join(names)}</Crew></Crews>'
    )
    (rejected,) = declared("crews").read(etree.fromstring(text)).rejected
    assert (rejected.problems[0].xpath or "").startswith("/Crews/Crew/Names")
    assert "NameType" in (rejected.problems[0].xpath or "")

"""Objects that are written, and differences that are applied, lead back to the same."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from schemas.avro.codec import decode, encode_body, encode_provenance, frame
from schemas.errors import MessageError
from schemas.rdf import CimObject, Kind, ModelHeader, Part, read
from schemas.rdf.differences import apply
from schemas.rdf.records import SCHEMA, object_of, record_of
from schemas.rdf.writer import write

CIM = "http://iec.ch/TC57/CIM100#"
MD = "{http://iec.ch/TC57/61970-552/ModelDescription/1#}"

texts = st.text(
    st.characters(min_codepoint=0x20, exclude_categories=["Cs"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\r<>&\"'"),
    max_size=12,
)
words = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,6}", fullmatch=True)
spaces = st.sampled_from(["", "{http://a.b/c/d.e#}", "{urn:x}"])
classes = st.builds("{}{}".format, spaces, words)
names = st.builds("{}{}.{}".format, spaces, words, words)
keys = st.builds("{}{}".format, names, st.sampled_from(["", "@en", "@de-at", "^^http://t/x#int"]))
paths = st.builds("{}/{}/{}".format, names, classes | st.just(""), keys)
mrids = st.uuids().map(str) | st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,8}", fullmatch=True)
header_names = words.map(lambda word: f"{MD}Model.{word}")
iris = st.builds("http://example.org/{}".format, words)
literals = st.builds("{}{}.{}".format, st.sampled_from(["", "{http://a.b/c/d.e#}"]), words, words)


def values(key: st.SearchStrategy[str], value: st.SearchStrategy[str]) -> st.SearchStrategy:
    return st.dictionaries(key, st.lists(value, min_size=1, max_size=3).map(tuple), max_size=4)


def without_two_compounds(item: CimObject) -> bool:
    """One attribute has one compound, and no literal beside it."""
    found: dict[str, str] = {}
    for key in item.attributes:
        head, _, _ = key.rpartition("/")
        if head:
            owner = head.rpartition("/")[0]
            if found.setdefault(owner, head) != head:
                return False
    return True


objects = st.builds(
    CimObject,
    classes,
    mrids,
    values(keys | paths, texts),
    values(names, literals),
    values(names, mrids | iris),
    st.booleans(),
).filter(without_two_compounds)
headers = st.builds(
    ModelHeader,
    st.just(Kind.FULL),
    st.just(CIM),
    st.none() | st.uuids().map(str),
    values(header_names, texts),
    values(header_names, mrids),
)


@given(headers, st.lists(objects, max_size=5))
def test_what_was_written_reads_as_the_same(header: ModelHeader, items: list[CimObject]) -> None:
    found = read(write(header, items))
    assert found.header == header
    assert list(found) == items


@given(objects)
def test_a_record_gives_back_the_object(item: CimObject) -> None:
    body = encode_body(SCHEMA, record_of(item, "v", CIM))
    value = frame(SCHEMA) + encode_provenance("t", 0, 1, "m", "s", 0) + body
    assert object_of(decode(value)[1]) == item


letters = st.sampled_from("xyz")
one_value = letters.map(lambda letter: (letter,))
several = st.lists(letters, min_size=1, max_size=3, unique=True).map(tuple)
small = st.fixed_dictionaries(
    {}, optional={"A.a": one_value, "A.b": one_value, "TopologicalIsland.TopologicalNodes": several}
)
sides = st.lists(
    st.builds(CimObject, st.sampled_from(["", "A", "B"]), st.sampled_from("123"), small),
    max_size=4,
)
models = st.dictionaries(st.sampled_from("123"), st.tuples(st.sampled_from("AB"), small)).map(
    lambda found: {mrid: CimObject(cls, mrid, said) for mrid, (cls, said) in found.items()}
)


def sorted_values(model: dict[str, CimObject]) -> dict[str, CimObject]:
    """Several values of one attribute have no order of their own."""
    return {
        mrid: replace(item, attributes={k: tuple(sorted(v)) for k, v in item.attributes.items()})
        for mrid, item in model.items()
    }


@given(models, sides, sides)
def test_a_difference_that_fits_leads_back_the_other_way_round(
    model: dict[str, CimObject], forward: list[CimObject], reverse: list[CimObject]
) -> None:
    there = [replace(item, part=Part.FORWARD) for item in forward]
    there += [replace(item, part=Part.REVERSE) for item in reverse]
    back = [replace(item, part=Part.REVERSE) for item in forward]
    back += [replace(item, part=Part.FORWARD) for item in reverse]
    try:
        after = apply(model, there)
    except MessageError:
        return  # it did not fit
    given = {item.mrid for item in forward if item.cls}
    if given & model.keys() - {item.mrid for item in reverse if item.cls}:
        return  # a class is repeated, which the other way round would be taken away
    assert sorted_values(apply(after, back)) == sorted_values(model)


@given(st.dictionaries(st.sampled_from("12"), st.sampled_from(["", UUID(int=1).hex])))
def test_an_empty_difference_changes_nothing(said: dict[str, str]) -> None:
    model = {mrid: CimObject("A", mrid, {"A.a": (text,)}) for mrid, text in said.items()}
    assert apply(model, []) == model

"""A difference is applied as a whole, or refused with what does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import MessageError
from schemas.rdf import CimObject
from schemas.rdf.differences import PROBLEMS_MAX, apply
from tests.unit.rdf.documents import ONE, THREE, TWO, difference, objects, read_all


def island(node: str) -> str:
    said = f'<cim:TopologicalIsland.TopologicalNodes rdf:resource="#{node}"/>'
    return f'<cim:TopologicalIsland rdf:ID="i">{said}</cim:TopologicalIsland>'


LINE = (
    f'<cim:ACLineSegment rdf:ID="_{ONE}"><cim:Conductor.length>10</cim:Conductor.length>'
    f'<cim:ConductingEquipment.BaseVoltage rdf:resource="#_{TWO}"/></cim:ACLineSegment>'
)
VOLTAGE = f'<cim:BaseVoltage rdf:ID="_{TWO}"/>'
MODEL = {item.mrid: item for item in objects(LINE + VOLTAGE)}


def described(said: str, mrid: str = ONE) -> str:
    return f'<rdf:Description rdf:about="#_{mrid}">{said}</rdf:Description>'


def typed(said: str) -> str:
    return f'<cim:ACLineSegment rdf:about="#_{ONE}">{said}</cim:ACLineSegment>'


def length(value: str) -> str:
    return f"<cim:Conductor.length>{value}</cim:Conductor.length>"


def applied(**parts: str) -> dict[str, CimObject]:
    return apply(MODEL, read_all(difference(**parts))[1])


def refused(**parts: str) -> list[str]:
    before = dict(MODEL)
    with pytest.raises(MessageError) as caught:
        applied(**parts)
    assert caught.value.code == "model_difference_mismatch"
    assert before == MODEL
    return [problem.detail for problem in caught.value.problems]


def test_a_value_is_changed() -> None:
    found = applied(forward=described(length("12")), reverse=described(length("10")))
    assert found[ONE].attributes == {"Conductor.length": ("12",)}
    assert found[ONE].references == MODEL[ONE].references
    assert found[TWO] == MODEL[TWO]


def test_the_order_of_forward_and_reverse_does_not_count() -> None:
    items = read_all(difference(forward=described(length("12")), reverse=described(length("10"))))[
        1
    ]
    assert apply(MODEL, items) == apply(MODEL, list(reversed(items)))


def test_a_value_is_added_and_taken_away() -> None:
    named = applied(forward=described("<cim:IdentifiedObject.name>n</cim:IdentifiedObject.name>"))
    assert named[ONE].attributes["IdentifiedObject.name"] == ("n",)
    assert "Conductor.length" not in applied(reverse=described(length("10")))[ONE].attributes


def test_an_object_comes() -> None:
    found = applied(forward=f'<cim:Fuse rdf:ID="_{THREE}"/>')
    assert found == {**MODEL, THREE: CimObject("Fuse", THREE)}


def test_an_object_that_comes_may_be_spoken_of_before_its_class_is_said() -> None:
    found = applied(
        forward=described("<cim:Switch.open>true</cim:Switch.open>", THREE)
        + f'<cim:Fuse rdf:ID="_{THREE}"/>'
    )
    assert found[THREE] == CimObject("Fuse", THREE, {"Switch.open": ("true",)})


def test_an_object_goes_with_everything_that_it_says() -> None:
    assert applied(reverse=LINE) == {TWO: MODEL[TWO]}


def test_an_object_that_changes_may_be_written_as_a_typed_element() -> None:
    found = applied(forward=typed(length("12")), reverse=typed(length("10")))
    assert found[ONE].attributes == {"Conductor.length": ("12",)}
    assert found[ONE].cls == "ACLineSegment"


def test_an_attribute_of_which_there_may_be_several_gets_another_value() -> None:
    model = {item.mrid: item for item in objects(island("a"))}
    found = apply(model, read_all(difference(forward=island("b")))[1])
    assert found["i"].references == {"TopologicalIsland.TopologicalNodes": ("a", "b")}


def test_preconditions_that_hold_change_nothing() -> None:
    held = applied(preconditions=LINE + described(length("10")), forward="", reverse="")
    assert held == MODEL


@pytest.mark.parametrize("value", ["11", "10.0", " 10"])
def test_a_precondition_that_does_not_hold_letter_by_letter_is_refused(value: str) -> None:
    assert refused(preconditions=described(length(value))) == [
        f"object {ONE}: Conductor.length is not so in the model"
    ]


def test_a_precondition_looks_at_the_model_before_the_difference() -> None:
    both = {"reverse": described(length("10")), "forward": described(length("12"))}
    assert applied(preconditions=described(length("10")), **both)
    assert refused(preconditions=described(length("12")), **both)


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ({"reverse": described(length("9"))}, "Conductor.length is not so in the model"),
        ({"reverse": described(length("10") * 2)}, "Conductor.length is not so in the model"),
        ({"reverse": described("", THREE)}, "the object is not in the model"),
        ({"forward": described(length("9"), THREE)}, "an object that is not in the model, without"),
        ({"preconditions": described("", THREE)}, "the object of a precondition is not in"),
        ({"forward": described(length("12"))}, "has a value that the difference does not take"),
        ({"forward": f'<cim:Fuse rdf:about="#_{ONE}"/>'}, "the object is a ACLineSegment"),
        ({"reverse": f'<cim:Fuse rdf:about="#_{ONE}"/>'}, "the object is a ACLineSegment"),
        (
            {"reverse": typed(length("10"))},
            "would leave something behind",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(parts: dict[str, str], what: str) -> None:
    assert any(what in detail for detail in refused(**parts))


def test_everything_that_does_not_fit_is_told_with_its_line_up_to_a_limit() -> None:
    many = "\n".join(described("", f"x{number}") for number in range(PROBLEMS_MAX + 10))
    with pytest.raises(MessageError) as caught:
        applied(reverse=many)
    assert len(caught.value.problems) == PROBLEMS_MAX
    assert [problem.line for problem in caught.value.problems[:2]] == [2, 3]


def test_the_difference_the_other_way_round_leads_back() -> None:
    forward = described(length("12")) + f'<cim:Fuse rdf:ID="_{THREE}"/>'
    reverse = described(length("10"))
    there = applied(forward=forward, reverse=reverse)
    back = read_all(difference(forward=reverse, reverse=forward))[1]
    assert apply(there, back) == MODEL


def test_the_example_difference_fits_the_example_feeder() -> None:
    folder = Path(__file__).resolve().parents[3] / "examples" / "i2"
    feeder = {item.mrid: item for item in read_all((folder / "feeder-eq.xml").read_bytes())[1]}
    found, changes = read_all((folder / "feeder-difference.xml").read_bytes())
    header = read_all((folder / "feeder-eq.xml").read_bytes())[0].header
    assert found.header.supersedes == (header.mrid,)
    after = apply(feeder, changes)
    assert len(after) == len(feeder) - 1
    (line,) = (item for item in after.values() if item.cls == "ACLineSegment")
    assert line.attributes["Conductor.length"] == ("431.0",)


def test_an_object_of_a_full_model_is_no_difference() -> None:
    with pytest.raises(ValueError, match="full model"):
        apply({}, [CimObject("Fuse", ONE)])

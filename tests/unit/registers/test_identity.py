"""Which object a message means, whatever it is called there."""

from __future__ import annotations

import re

import pytest

from schemas.errors import XPATH_CHARS_MAX
from streams.demo import messages as m
from streams.processors.registers.directory import NAMESAKES_MAX
from tests.unit.registers.driver import House, header

UUID = "3f7d9a11-58e2-4b77-a0c6-90d1e2f3abcd"


def name(text: str, kind: str = "", authority: str = "") -> str:
    gives = f"<NameTypeAuthority><name>{authority}</name></NameTypeAuthority>" if authority else ""
    said = f"<NameType><name>{kind}</name>{gives}</NameType>" if kind or authority else ""
    return f"<Names><name>{text}</name>{said}</Names>"


def order(mrid: str = "", *names: str, more: str = "<kind>repair</kind>") -> str:
    identity = f"<mRID>{mrid}</mRID>" if mrid else ""
    return f"<WorkOrder>{identity}{more}{''.join(names)}</WorkOrder>"


def message(message_id: str, verb: str, *objects: str) -> bytes:
    payload = f'<WorkOrders xmlns="urn:cimstream:WorkOrders:1">{"".join(objects)}</WorkOrders>'
    return m.envelope(payload, message_id=message_id, verb=verb, noun="WorkOrders", source="EAM")


def ids(message_id: str, verb: str, *elements: str, where: str = "Request") -> bytes:
    """A message that names its objects in the envelope and carries no payload."""
    data = m.envelope("here", message_id=message_id, verb=verb, noun="WorkOrders", source="EAM")
    named = f"<{where}>{''.join(elements)}</{where}>".encode()
    return re.sub(rb"<Payload>.*</Payload>", named, data, flags=re.DOTALL)


@pytest.fixture
def house() -> House:
    return House()


def send(house: House, *messages: bytes) -> list[str]:
    """Send them and give the codes of what was rejected."""
    for one in messages:
        house.send(one, "I4")
    return house.codes("I4")


@pytest.mark.parametrize(
    "spelling",
    [UUID.upper(), f"urn:uuid:{UUID}", f"URN:UUID:{UUID}", f"_{UUID}", f"#_{UUID}"],
)
def test_an_mrid_is_one_object_in_every_spelling_and_stays_as_its_first_sender_wrote_it(
    house: House, spelling: str
) -> None:
    codes = send(
        house,
        message("1", "create", order(spelling)),
        message("2", "create", order(UUID)),
        message("3", "change", order(UUID, more="<kind>inspection</kind>")),
    )
    assert codes == ["object_exists"]
    assert {one.key for one in house.logs["cim.i4.work-orders"]} == {UUID.encode()}
    assert house.current("WorkOrders")[UUID.encode()]["mRID"] == spelling


def test_a_name_is_another_one_under_another_kind_or_authority(house: House) -> None:
    """Two systems number their orders from 1: that makes two orders 17."""
    kinds = [("",), ("order",), ("order", "EAM"), ("order", "GIS")]
    names = [name("17", *kind) for kind in kinds]
    made = [message(str(n), "create", order("", one)) for n, one in enumerate(names)]
    assert send(house, *made) == []
    assert len(house.current("WorkOrders")) == 4
    assert send(house, message("x", "close", order("", name("17", "order", "GIS"), more=""))) == []
    closed = [k for k, o in house.current("WorkOrders").items() if o["lifeCycle"] == "closed"]
    assert closed == [b"GIS|order|17"]


def test_an_object_is_found_by_any_of_its_names_in_any_order_and_keeps_all(house: House) -> None:
    first, second = name("17", "order", "EAM"), name("A-9", "order", "GIS")
    codes = send(
        house,
        message("1", "create", order("", first, second)),
        message("2", "create", order("", second, first)),
        message("3", "create", order("", second)),
        message("4", "close", order("", second, more="")),
    )
    assert codes == ["object_exists", "object_exists"]
    ((key, there),) = house.current("WorkOrders").items()
    assert (key, there["lifeCycle"]) == (b"EAM|order|17", "closed")
    assert [one["name"] for one in there["names"]] == ["17", "A-9"]


def test_an_object_that_came_without_mrid_takes_one_and_is_found_by_both(house: House) -> None:
    known = name("17", "order", "EAM")
    codes = send(
        house,
        message("1", "create", order("", known)),
        message("2", "create", order(UUID, known)),
        message("3", "change", order(UUID, known)),
        message("4", "change", order(UUID, more="<kind>inspection</kind>")),
        message("5", "change", order("", known)),
        message("6", "change", order("another", known)),
    )
    assert codes == ["object_exists", "object_missing"]
    ((key, there),) = house.current("WorkOrders").items()
    assert (key, there["mRID"], there["revision"]) == (b"EAM|order|17", UUID, 4)


def test_an_object_with_mrid_is_found_by_its_name_alone(house: House) -> None:
    codes = send(
        house,
        message("1", "create", order(UUID, name("17"))),
        message("2", "create", order("", name("17"))),
        message("3", "close", order("", name("17"), more="")),
    )
    assert codes == ["object_exists"]
    ((key, there),) = house.current("WorkOrders").items()
    assert (key, there["mRID"], there["lifeCycle"]) == (UUID.encode(), UUID, "closed")


def test_objects_with_mrids_may_share_a_name_and_then_it_means_neither(house: House) -> None:
    codes = send(
        house,
        message("1", "create", order("a", name("Main Street"))),
        message("2", "create", order("b", name("Main Street"))),
        message("3", "close", order("", name("Main Street"), more="")),
        message("4", "close", order("a", name("Main Street"), more="")),
    )
    assert codes == ["object_ambiguous"]
    assert [o["lifeCycle"] for o in house.current("WorkOrders").values()] == ["open", "closed"]


def test_what_shares_a_label_is_told_apart_by_the_names_that_it_does_not_share(
    house: House,
) -> None:
    label = name("pole", "model")
    many = [order("", label, name(str(n), "serial")) for n in range(NAMESAKES_MAX + 3)]
    assert send(house, message("1", "create", *many)) == []
    again = order("", label, name("5", "serial"), more="")
    assert send(house, message("2", "close", again)) == []
    closed = [k for k, o in house.current("WorkOrders").items() if o["lifeCycle"] == "closed"]
    assert closed == [b"|serial|5"]
    assert list(house.current("WorkOrders"))[:2] == [b"|model|pole", b"|serial|1"]
    assert send(house, message("3", "close", order("", label, more=""))) == ["object_ambiguous"]


def test_a_name_that_was_given_up_still_finds_the_object_whose_key_it_is(house: House) -> None:
    """Otherwise a second object would get the key of the first."""
    codes = send(
        house,
        message("1", "create", order("", name("A"), name("B"))),
        message("2", "change", order("", name("B"))),
        message("3", "create", order("", name("A"))),
    )
    assert codes == ["object_exists"]
    assert list(house.current("WorkOrders")) == [b"||A"]


def test_of_what_is_deleted_no_name_is_left() -> None:
    house = House()
    first = "<Asset><kind>pole</kind>{}</Asset>".format(name("A") + name("B"))
    second = "<Asset><kind>pole</kind>{}</Asset>".format(name("B"))
    for number, (verb, one) in enumerate(
        [("create", first), ("delete", second), ("create", second)]
    ):
        payload = f'<Assets xmlns="urn:cimstream:Assets:1">{one}</Assets>'
        house.send(m.envelope(payload, message_id=str(number), verb=verb, noun="Assets"), "I2")
    assert house.codes("I2") == []
    assert list(house.current("Assets")) == [b"||B"]


@pytest.mark.parametrize("where", ["Request", "Payload"])
@pytest.mark.parametrize(
    "element",
    [
        f"<ID>{UUID}</ID>",
        f'<ID kind="uuid" objectType="WorkOrder">{UUID.upper()}</ID>',
        '<ID kind="name" idType="order" idAuthority="EAM">17</ID>',
        '<ID idType="order" idAuthority="EAM" objectType="WorkOrders">17</ID>',
        f'<ID kind="transaction">t-1</ID><ID kind="other">{UUID}</ID>',
    ],
)
def test_an_id_in_the_envelope_is_enough_to_close_or_cancel(
    house: House, where: str, element: str
) -> None:
    codes = send(
        house,
        message("1", "create", order(UUID, name("17", "order", "EAM"))),
        ids("2", "close", element, where=where),
    )
    assert codes == []
    (there,) = house.current("WorkOrders").values()
    assert (there["lifeCycle"], there["kind"]) == ("closed", "repair")
    assert [r.reply.result for r in house.replies("I4") if r.reply] == ["OK", "OK"]


def test_several_ids_are_several_objects_and_each_that_is_wrong_is_told_of(house: House) -> None:
    codes = send(
        house,
        message("1", "create", order("a"), order("b")),
        ids("2", "cancel", "<ID>a</ID>", "<ID>x</ID>", "<ID>b</ID>", "<ID>y</ID>"),
        ids("3", "cancel", "<ID>a</ID>", "<ID>b</ID>"),
    )
    assert codes == ["object_missing"]
    (rejected,) = house.logs["cim.i4.rejected"]
    assert "/RequestMessage/Request/ID[2] line" in header(rejected, "cimstream_where")
    assert header(rejected, "cimstream_why").endswith("(and 1 more)")
    assert {o["lifeCycle"] for o in house.current("WorkOrders").values()} == {"canceled"}


@pytest.mark.parametrize(
    ("verb", "element", "code"),
    [
        ("create", "<ID>a</ID>", "payload_missing"),
        ("change", "<ID>a</ID>", "payload_missing"),
        ("close", "", "payload_missing"),
        ("close", '<ID kind="transaction">a</ID>', "payload_missing"),
        ("close", '<ID objectType="Meter">a</ID>', "object_id_invalid"),
        ("close", '<ID kind="nickname">a</ID>', "object_id_invalid"),
        ("close", "<ID> </ID>", "object_id_invalid"),
    ],
)
def test_an_id_that_says_too_little_or_means_something_else_is_refused(
    house: House, verb: str, element: str, code: str
) -> None:
    send(house, message("1", "create", order("a")))
    assert send(house, ids("2", verb, element)) == [code]
    assert [o["lifeCycle"] for o in house.current("WorkOrders").values()] == ["open"]


def test_every_refused_object_is_told_of_with_its_place_and_identity(house: House) -> None:
    send(house, message("1", "create", order("a"), order("", name("17", "order", "EAM"))))
    bad = message("2", "create", order("new"), order("a"), order("", name("17", "order", "EAM")))
    assert send(house, bad) == ["object_exists"]
    (rejected,) = house.logs["cim.i4.rejected"]
    assert header(rejected, "cimstream_where").endswith(
        "/RequestMessage/Payload/WorkOrders/WorkOrder[2] line 2"
    )
    assert header(rejected, "cimstream_why").endswith("(and 1 more)")
    answer = house.replies("I4")[-1].reply
    assert answer is not None
    told = [
        (e.code, e.object_id.value, e.object_id.kind, e.object_id.id_type, e.object_id.id_authority)
        for e in answer.errors
        if e.object_id
    ]
    assert told == [("5.3", "a", "uuid", "", ""), ("5.3", "17", "name", "order", "EAM")]
    assert "WorkOrder[3]" in answer.errors[1].details
    assert answer.errors[1].xpath == "WorkOrder", "a name, as its schema wants"
    assert len(answer.errors[0].details) < XPATH_CHARS_MAX
    assert list(house.current("WorkOrders")) == [b"a", b"EAM|order|17"]

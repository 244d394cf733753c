"""What a register takes, what it refuses, and what it says."""

from __future__ import annotations

import pytest

from streams.demo import messages as m
from streams.engine.processor import Buffer, Context
from streams.engine.record import Record
from streams.processors.registers import Registers
from streams.processors.registers.life_cycle import Life, refusal, transition
from streams.processors.understand import REGISTER_OBJECTS_MAX
from tests.unit.registers.driver import CATALOGUE, START_MS, House, header

SPACE = "urn:cimstream:Outages:1"
LOG = "cim.i1.outages"


def outage(mrid: str = "o1", kind: str = "unplanned", more: str = "") -> str:
    what = f"<outageKind>{kind}</outageKind>" if kind else ""
    return f"<Outage><mRID>{mrid}</mRID>{more}{what}</Outage>"


def outages(*objects: str) -> str:
    return f'<Outages xmlns="{SPACE}">{"".join(objects)}</Outages>'


def message(
    message_id: str, verb: str, *objects: str, source: str = "OMS", extra: str = ""
) -> bytes:
    return m.envelope(
        outages(*objects), message_id=message_id, verb=verb, noun="Outages", source=source,
        extra=extra,
    )  # fmt: skip


@pytest.fixture
def house() -> House:
    return House()


def test_an_object_is_created_changed_and_closed_and_log_state_and_reply_say_the_same(
    house: House,
) -> None:
    cause = "<cause>tree</cause>"
    house.send(message("1", "create", outage()), "I1")
    house.send(message("2", "change", outage(more=cause)), "I1")
    house.send(message("3", "close", outage(kind="")), "I1")
    seen = [(e["revision"], e["lifeCycle"], e["cause"]) for e in house.events("Outages")]
    assert seen == [(1, "open", None), (2, "open", "tree"), (3, "closed", "tree")]
    assert [header(one, "ce_verb") for one in house.logs[LOG]] == ["create", "change", "close"]
    assert house.current("Outages")[b"o1"] == house.events("Outages")[-1]
    replies = house.replies("I1")
    assert [(r.reply.result, r.reply.ids[0].value) for r in replies if r.reply] == [
        ("OK", "o1")
    ] * 3


def test_a_change_is_the_whole_object_and_of_an_element_operation_what_is_there(
    house: House,
) -> None:
    house.send(message("1", "create", outage(more="<cause>tree</cause>")), "I1")
    house.send(message("2", "change", outage(more="<metersAffected>7</metersAffected>")), "I1")
    assert house.events("Outages")[-1]["cause"] is None
    part = outage(kind="", more="<cause>storm</cause>")
    operation = f"""<msg:OperationSet xmlns:msg="http://iec.ch/TC57/2011/schema/message">
      <msg:Operation><msg:operationId>1</msg:operationId><msg:verb>change</msg:verb>
      <msg:elementOperation>true</msg:elementOperation>{outages(part)}</msg:Operation>
      </msg:OperationSet>"""
    house.send(m.envelope(operation, message_id="3", verb="change", noun="Outages"), "I1")
    last = house.events("Outages")[-1]
    assert (last["cause"], last["metersAffected"], last["outageKind"]) == ("storm", 7, "unplanned")


@pytest.mark.parametrize(
    ("before", "verb", "code"),
    [
        ([], "change", "object_missing"),
        ([], "close", "object_missing"),
        (["create"], "create", "object_exists"),
        (["create", "close"], "change", "transition_illegal"),
        (["create", "cancel"], "close", "transition_illegal"),
        (["create", "close"], "create", "object_exists"),
    ],
)
def test_what_the_register_refuses_is_rejected_and_answered_with_a_code(
    house: House, before: list[str], verb: str, code: str
) -> None:
    for number, earlier in enumerate(before):
        house.send(message(f"b{number}", earlier, outage()), "I1")
    there = house.current("Outages")
    house.send(message("x", verb, outage()), "I1")
    assert house.current("Outages") == there
    assert house.codes("I1") == [code]
    answer = house.replies("I1")[-1].reply
    assert answer is not None
    assert answer.result == "FAILED"
    assert answer.errors[0].code in ("5.3", "5.7", "6.1")


def test_a_message_with_one_wrong_object_changes_nothing(house: House) -> None:
    house.send(message("1", "create", outage("o1")), "I1")
    house.send(message("2", "create", outage("o2"), outage("o1"), outage("o3")), "I1")
    assert list(house.current("Outages")) == [b"o1"]
    assert house.codes("I1") == ["object_exists"]


def test_an_object_of_a_message_sees_what_was_done_before_it_in_the_same_message(
    house: House,
) -> None:
    house.send(message("1", "create", outage("o1"), outage("o1", more="<cause>a</cause>")), "I1")
    assert (house.events("Outages"), house.codes("I1")) == ([], ["object_exists"])
    house.send(message("2", "create", outage("o1")), "I1")
    changes = [outage("o1", more=f"<cause>{cause}</cause>") for cause in "ab"]
    house.send(message("3", "change", *changes), "I1")
    seen = [(e["revision"], e["cause"]) for e in house.events("Outages")]
    assert seen == [(1, None), (2, "a"), (3, "b")]


def test_a_deleted_object_is_gone_and_its_name_is_free(house: House) -> None:
    """From the present state by a tombstone; the log keeps all of its life."""

    def crew(message_id: str, verb: str) -> bytes:
        payload = (
            '<Crews xmlns="urn:cimstream:Crews:1"><Crew><mRID>c1</mRID>'
            "<availability>free</availability></Crew></Crews>"
        )
        return m.envelope(payload, message_id=message_id, verb=verb, noun="Crews", source="WFM")

    house.send(crew("1", "create"), "I4")
    house.send(crew("2", "delete"), "I4")
    assert house.current("Crews") == {}
    house.send(crew("3", "change"), "I4")
    assert house.codes("I4") == ["object_missing"]
    house.send(crew("4", "create"), "I4")
    assert list(house.current("Crews")) == [b"c1"]
    lives = [(e["revision"], e["lifeCycle"]) for e in house.events("Crews")]
    assert lives == [(1, "open"), (2, "deleted"), (1, "open")]


def test_an_invalid_object_spoils_its_message_before_any_register_sees_it(house: House) -> None:
    house.send(message("1", "create", outage("o1"), outage("o2", kind="sometimes")), "I1")
    assert house.events("Outages") == []
    assert house.codes("I1") == ["transaction_aborted"]


def test_what_must_be_said_when_an_object_is_created_need_not_when_it_is_closed(
    house: House,
) -> None:
    house.send(message("1", "create", outage(kind="")), "I1")
    assert house.codes("I1") == ["field_required"]
    house.send(message("2", "create", outage()), "I1")
    house.send(message("3", "close", outage(kind="")), "I1")
    assert [e["lifeCycle"] for e in house.events("Outages")] == ["open", "closed"]


def test_a_repeat_has_no_second_effect_and_gets_the_same_reply_byte_for_byte(house: House) -> None:
    first = message("1", "create", outage())
    house.send(first, "I1")
    house.send(first, "I1")
    house.send(first.replace(b"<mRID>", b"<mRID >"), "I1")
    assert len(house.events("Outages")) == 1
    assert len({one.value for one in house.logs["cim.i1.outbound"]}) == 1
    assert len(house.logs["cim.i1.outbound"]) == 3
    assert house.counts["duplicates", "I1", "PRODUCTION", "Outages", ""] == 2


def test_the_same_identity_with_other_content_is_a_conflict_and_the_first_stands(
    house: House,
) -> None:
    house.send(message("1", "create", outage("o1")), "I1")
    house.send(message("1", "create", outage("o2")), "I1")
    assert list(house.current("Outages")) == [b"o1"]
    assert house.codes("I1") == ["identity_conflict"]
    assert header(house.logs["cim.i1.rejected"][0], "__connect.errors.topic") == "cim.i1.inbound"


def test_a_refused_change_leaves_no_mark_so_that_it_can_be_sent_again(house: House) -> None:
    change = message("2", "change", outage(more="<cause>tree</cause>"))
    house.send(change, "I1")
    house.send(message("1", "create", outage()), "I1")
    house.send(change, "I1")
    assert house.codes("I1") == ["object_missing"]
    assert house.current("Outages")[b"o1"]["cause"] == "tree"


def test_what_enters_on_another_interface_is_in_the_log_of_the_home(house: House) -> None:
    house.send(message("1", "create", outage(), source="CIS"), "I6")
    house.send(message("2", "change", outage(more="<cause>tree</cause>")), "I1")
    events = house.events("Outages")
    assert [e["provenance"]["topic"] for e in events] == ["cim.i6.inbound", "cim.i1.inbound"]
    assert [e["revision"] for e in events] == [1, 2]


def test_what_is_refused_is_rejected_where_it_entered_and_answered_from_the_home(
    house: House,
) -> None:
    house.send(message("1", "create", outage(), source="OMS"), "I1")
    house.send(message("2", "create", outage(), source="CIS"), "I6")
    assert (house.codes("I6"), house.codes("I1")) == (["object_exists"], [])
    destinations = [answer.header.destination for answer in house.replies("I1") if answer.header]
    assert destinations == ["OMS", "CIS"]
    assert house.counts["rejected", "I6", "PRODUCTION", "Outages", "object_exists"] == 1


def test_a_change_that_is_based_on_an_older_revision_is_refused(house: House) -> None:
    house.send(message("1", "create", outage()), "I1")
    seen = "<Property><Name>ExpectedRevision</Name><Value>{}</Value></Property>"
    for number, expected in (("2", 1), ("3", 1), ("4", 2)):
        more = f"<cause>{number}</cause>"
        house.send(message(number, "change", outage(more=more), extra=seen.format(expected)), "I1")
    assert [e["cause"] for e in house.events("Outages")] == [None, "2", "4"]
    assert house.codes("I1") == ["revision_outdated"]


def test_a_document_of_an_older_revision_number_does_not_replace_a_newer_one(house: House) -> None:
    number = "<revisionNumber>{}</revisionNumber>"
    house.send(message("1", "create", outage(more=number.format(9))), "I1")
    house.send(message("2", "change", outage(more=number.format(10))), "I1")
    house.send(message("3", "change", outage(more=number.format(9))), "I1")
    assert [e["revisionNumber"] for e in house.events("Outages")] == ["9", "10"]
    assert house.codes("I1") == ["revision_outdated"]


def test_a_training_message_has_a_register_of_its_own(house: House) -> None:
    house.send(message("1", "create", outage(), extra="<Context>TRAINING</Context>"), "I1")
    assert house.current("Outages") == {}
    assert list(house.current("Outages", "TRAINING")) == [b"o1"]
    house.send(message("2", "create", outage()), "I1")
    house.send(message("3", "change", outage(), extra="<Context>TRAINING</Context>"), "I1")
    assert house.codes("I1") == []
    assert house.current("Outages", "TRAINING")[b"o1"]["revision"] == 2
    assert house.current("Outages")[b"o1"]["revision"] == 1
    house.send(message("4", "create", outage("o2")), "I1")
    house.send(message("5", "create", outage("o2"), extra="<Context>TRAINING</Context>"), "I1")
    assert house.codes("I1", "TRAINING") == []


def test_events_of_another_system_do_the_same_as_requests(house: House) -> None:
    for number, verb in enumerate(("created", "changed", "closed")):
        house.send(message(str(number), verb, outage()), "I1")
    assert [e["lifeCycle"] for e in house.events("Outages")] == ["open", "open", "closed"]
    assert house.replies("I1") == []


def test_a_control_that_was_executed_is_over_and_a_study_is_not() -> None:
    assert transition("executed", control=True).target is Life.CLOSED
    assert transition("executed", control=False).target is Life.OPEN
    assert refusal(transition("executed", control=True), None) is None
    assert refusal(transition("delete", control=False), Life.CLOSED) is None


def test_every_verb_that_a_register_takes_has_a_transition() -> None:
    for noun in CATALOGUE.nouns.values():
        if noun.kind == "register" and noun.profile is not None:
            for verb in noun.verbs - {"get"}:
                transition(verb, control=noun.control)


def test_a_record_on_accepted_that_intake_did_not_write_is_rejected_like_any_bad_record() -> None:
    """The engine calls `reject` for what breaks `prepare`; it must not fail in turn."""
    registers = Registers(CATALOGUE, ["I1"])
    stray = Record("cim.i1.accepted", 0, 7, START_MS, b"Outages", b"<x/>", ())
    with pytest.raises(ValueError, match="does not say where it came in"):
        registers.prepare([stray])
    context = Context({}, Buffer(), House(), House())
    registers.reject(stray, "processing_failed", "ValueError", context, with_value=True)
    (rejected,) = context.outputs
    assert (rejected.topic, header(rejected, "cimstream_code")) == (
        "cim.i1.rejected",
        "processing_failed",
    )


@pytest.mark.parametrize("verb", ["created", "changed", "closed"])
def test_an_event_about_a_register_needs_a_message_id_too(house: House, verb: str) -> None:
    """Known by its content, the second change to a cause that it had before would be a repeat."""
    house.send(message("1", "create", outage()), "I1")
    house.send(message("", verb, outage()), "I1")
    assert house.codes("I1") == ["message_id_missing"]
    assert len(house.events("Outages")) == 1


def operations(*parts: tuple[str, str]) -> str:
    steps = "".join(
        f"<msg:Operation><msg:operationId>{n}</msg:operationId><msg:verb>{verb}</msg:verb>{payload}"
        "</msg:Operation>"
        for n, (verb, payload) in enumerate(parts)
    )
    space = "http://iec.ch/TC57/2011/schema/message"
    return f'<msg:OperationSet xmlns:msg="{space}">{steps}</msg:OperationSet>'


@pytest.mark.parametrize(
    "payload",
    [
        operations(("create", outages(outage("o2"))), ("close", "")),
        operations(("create", outages(outage("o2"))), ("close", outages())),
        operations(),
        outages(),
    ],
    ids=["an operation without payload", "one without object", "no operation", "no object"],
)
def test_a_change_that_names_no_object_is_refused_and_not_answered_as_done(
    house: House, payload: str
) -> None:
    house.send(message("1", "create", outage("o1")), "I1")
    house.send(m.envelope(payload, message_id="2", verb="change", noun="Outages"), "I1")
    assert house.codes("I1") == ["payload_missing"]
    assert list(house.current("Outages")) == [b"o1"]
    assert [r.reply.result for r in house.replies("I1") if r.reply] == ["OK", "FAILED"]


def test_what_takes_effect_as_a_whole_is_rejected_as_a_whole_if_every_object_is_bad(
    house: House,
) -> None:
    """Taken apart, each object would have the header's verb, and an ID of its own."""
    bad = outages(outage("o1", kind="sometimes"))
    data = m.envelope(
        operations(("create", bad), ("close", bad)), message_id="1", verb="change", noun="Outages"
    )
    house.send(data, "I1")
    (rejected,) = house.logs["cim.i1.rejected"]
    assert rejected.value == data
    assert header(rejected, "cimstream_why").endswith("(and 1 more)")
    (answer,) = house.replies("I1")
    assert answer.reply is not None
    assert [e.object_id.value for e in answer.reply.errors if e.object_id] == ["0", "1"]


def test_an_aborted_message_says_how_much_is_wrong_and_answers_with_each_bad_object(
    house: House,
) -> None:
    bad = [outage(f"b{n}", kind="sometimes") for n in range(3)]
    house.send(message("1", "create", outage("o1"), *bad), "I1")
    (rejected,) = house.logs["cim.i1.rejected"]
    assert header(rejected, "cimstream_code") == "transaction_aborted"
    assert header(rejected, "cimstream_why").endswith("(and 2 more)")
    (answer,) = house.replies("I1")
    assert answer.reply is not None
    assert [e.code for e in answer.reply.errors] == ["5.9", "1.8", "1.8", "1.8"]


@pytest.mark.parametrize(
    ("known", "told", "codes"),
    [
        ("010", "9", ["revision_outdated"]),
        ("9", "0010", []),
        ("2" * 5000, "1" * 5000, ["revision_outdated"]),
        ("0" * 5000, "1", []),
    ],
    ids=["zeros before", "zeros behind", "long", "long zero"],
)
def test_revision_numbers_of_any_length_are_compared_as_numbers(
    house: House, known: str, told: str, codes: list[str]
) -> None:
    for verb, number in (("create", known), ("change", told)):
        more = f"<revisionNumber>{number}</revisionNumber>"
        house.send(message(verb, verb, outage(more=more)), "I1")
    assert house.codes("I1") == codes


def test_the_expected_revision_counts_in_whatever_capitals_it_is_named(house: House) -> None:
    house.send(message("1", "create", outage()), "I1")
    seen = "<Property><Name>expectedrevision</Name><Value>7</Value></Property>"
    house.send(message("2", "change", outage(), extra=seen), "I1")
    assert house.codes("I1") == ["revision_outdated"]


def test_who_closes_something_by_its_end_leaves_its_start_as_it_was(house: House) -> None:
    started = "<actualPeriod><start>2026-03-02T05:38:00Z</start></actualPeriod>"
    ended = "<actualPeriod><end>2026-03-02T07:10:00Z</end></actualPeriod>"
    house.send(message("1", "create", outage(more=started)), "I1")
    house.send(message("2", "close", outage(kind="", more=ended)), "I1")
    period = house.events("Outages")[-1]["actualPeriod"]
    assert (period["end"] - period["start"]).total_seconds() == 92 * 60


def test_a_message_of_more_objects_than_a_transaction_holds_is_refused_whole(house: House) -> None:
    objects = [outage(f"o{number}") for number in range(REGISTER_OBJECTS_MAX + 1)]
    house.send(message("1", "create", *objects), "I1")
    assert house.codes("I1") == ["too_many_objects"]
    house.send(message("2", "create", *objects[1:]), "I1")
    assert len(house.events("Outages")) == REGISTER_OBJECTS_MAX


def test_a_control_that_begins_with_its_execution_says_all_that_a_new_one_must(
    house: House,
) -> None:
    """What `execute` makes is a new object; what it finds is not."""
    control = (
        '<Controls xmlns="urn:cimstream:Controls:1"><Control><mRID>c</mRID></Control></Controls>'
    )
    bare = m.envelope(control, message_id="1", verb="execute", noun="Controls", source="SCADA")
    house.send(bare, "I9")
    assert house.codes("I9") == ["field_required"]
    assert house.events("Controls") == []

"""What a rule makes of events, what it leaves alone, and that it is once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro import decode
from schemas.envelope import read
from streams.demo import messages as m
from streams.engine.processor import Buffer, Context
from streams.engine.record import Output, Record
from streams.processors.replay.outlets import REPLAY_ID
from streams.processors.rules import Rules
from streams.processors.rules.chain import DEPTH_MAX, Chain
from streams.processors.rules.rules import RuleProcessor
from tests.unit.rules.driver import (
    ALWAYS,
    CATALOGUE,
    START_MS,
    Utility,
    header,
    outage,
    rule_of,
    rules_of,
    shipped,
)
from topics.chains import CHAIN

LOG, FAILED, GATHERED = "cim.i1.outages", "cim.rules.failed", "cim.rules.gathered"
SHIPPED = ("outage-work-order", "outage-notification", "last-gasp-cluster", "voltage-excursion")

# Every outage gives a work order, without counting.
PLAIN = f"""
version = 1
since = "{ALWAYS}"
description = "every outage"
[match]
noun = "Outages"
verbs = ["create", "change"]
[action]
interface = "I4"
noun = "WorkOrders"
verb = "create"
payload = '''<WorkOrders xmlns="urn:cimstream:WorkOrders:1"><WorkOrder>
<mRID>${{action.id}}</mRID><kind>repair</kind><title>${{event.mRID}} ${{message.interface}}</title>
</WorkOrder></WorkOrders>'''
"""
# An outage makes an outage: whatever it makes would make the next one.
ECHO = (
    PLAIN.replace('interface = "I4"\nnoun = "WorkOrders"', 'interface = "I1"\nnoun = "Outages"')
    .replace("WorkOrder>", "Outage>").replace("WorkOrders", "Outages")
    .replace("<kind>repair</kind>", "<outageKind>planned</outageKind>")
    .replace("<title>${event.mRID} ${message.interface}</title>", "")
)  # fmt: skip


def plain(tmp_path: Path, **changes: str) -> Rules:
    text = PLAIN
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return {"plain": rule_of(tmp_path, "plain", text)}


def gasps(number: int, meters: range, at: str = "2026-01-17T04:20:58Z", tr: str = "TR-7") -> bytes:
    events = "".join(
        f"<EndDeviceEvent><createdDateTime>{at}</createdDateTime>"
        f"<Assets><mRID>meter-{meter}</mRID></Assets>"
        f"<EndDeviceEventDetails><name>transformer</name><value>{tr}</value>"
        '</EndDeviceEventDetails><EndDeviceEventType ref="3.26.0.85"/></EndDeviceEvent>'
        for meter in meters
    )
    body = f'<EndDeviceEvents xmlns="http://iec.ch/TC57/2011/EndDeviceEvents#">{events}</EndDeviceEvents>'
    return m.envelope(
        body, message_id=f"g{number}", verb="created", noun="EndDeviceEvents", source="HES"
    )


def voltage(number: int, value: str) -> bytes:
    body = (
        '<Measurements xmlns="urn:cimstream:Measurements:1"><MeasurementValue>'
        f"<analogValue>{value}</analogValue><timeStamp>2026-01-17T04:20:{number:02}Z</timeStamp>"
        "<Measurement><mRID>m1</mRID><kind>Analog</kind><maxValue>253</maxValue>"
        "<minValue>207</minValue><unitSymbol>V</unitSymbol>"
        "<PowerSystemResource><mRID>regulator-1</mRID></PowerSystemResource></Measurement>"
        "<MeasurementValueQuality><validity>GOOD</validity></MeasurementValueQuality>"
        "</MeasurementValue></Measurements>"
    )
    return m.envelope(
        body, message_id=f"v{number}", verb="created", noun="Measurements", source="SCADA"
    )


# --- what is shipped --------------------------------------------------------------------------


def test_a_confirmed_outage_makes_a_work_order_and_a_ticket_for_each_usage_point(
    tmp_path: Path,
) -> None:
    utility = Utility(rules_of(tmp_path, *SHIPPED))
    points = "".join(f"<UsagePoints><mRID>u{n}</mRID></UsagePoints>" for n in range(3))
    utility.send(outage("1", more=f"<cause>tree</cause>{points}"), "I1")
    (order,) = utility.events("WorkOrders")
    assert (order["orderKind"], order["description"]) == ("troubleOrder", "tree")
    assert [one["mRID"] for one in order["outages"]] == ["o1"]
    tickets = utility.events("TroubleTickets")
    assert [one["usagePoint"]["mRID"] for one in tickets] == ["u0", "u1", "u2"]
    assert {one["outage"]["mRID"] for one in tickets} == {"o1"}
    assert utility.codes("I4") == utility.codes("I6") == []


def test_an_outage_makes_them_once_a_day_and_not_before_it_is_confirmed(tmp_path: Path) -> None:
    utility = Utility(rules_of(tmp_path, "outage-work-order"))
    predicted = outage("1").replace(b"confirmed", b"predicted")
    utility.send(predicted, "I1")
    assert utility.events("WorkOrders") == []
    utility.send(outage("2", "change"), "I1")
    utility.send(outage("3", "change", "<cause>tree</cause>"), "I1")
    assert len(utility.events("WorkOrders")) == 1
    utility.now_ms += 86_400_000
    utility.send(outage("4", "change", "<cause>wind</cause>"), "I1")
    assert len(utility.events("WorkOrders")) == 2


def test_last_gasps_of_five_meters_behind_one_transformer_make_one_candidate(
    tmp_path: Path,
) -> None:
    """Though the meters lie on different partitions of the log, and say it in several messages."""
    utility = Utility(rules_of(tmp_path, *SHIPPED))
    utility.send(gasps(1, range(4)), "I7")
    utility.send(gasps(2, range(2)), "I7")  # said again: no more meters than before
    utility.send(gasps(3, range(20, 24), tr="TR-8"), "I7")
    assert utility.events("Outages") == []
    utility.send(gasps(4, range(4, 30)), "I7")
    (candidate,) = utility.events("Outages")
    assert (candidate["statusKind"], candidate["originalMetersAffected"]) == ("predicted", 5)
    assert candidate["equipments"][0]["names"][0]["name"] == "TR-7"
    assert utility.outcomes("last-gasp-cluster") == {"counted": 10, "fired": 1, "quiet": 25}
    assert utility.codes("I1") == []


def test_last_gasps_that_are_far_apart_make_nothing(tmp_path: Path) -> None:
    utility = Utility(rules_of(tmp_path, "last-gasp-cluster"))
    for number in range(8):
        utility.send(gasps(number, range(number, number + 1), f"2026-01-17T0{number}:00:00Z"), "I7")
    assert utility.events("Outages") == []


def test_a_meter_whose_clock_is_ahead_does_not_make_the_others_late(tmp_path: Path) -> None:
    utility = Utility(rules_of(tmp_path, "last-gasp-cluster"))
    utility.now_ms = 1_768_623_660_000  # 2026-01-17T04:21:00Z
    utility.send(gasps(1, range(1), "2036-01-01T00:00:00Z"), "I7")
    utility.send(gasps(2, range(1, 5)), "I7")
    assert len(utility.events("Outages")) == 1


@pytest.mark.parametrize(("value", "direction"), [("254.5", "lower"), ("206.9", "raise")])
def test_three_voltages_outside_their_limits_make_one_order_that_expires(
    tmp_path: Path, value: str, direction: str
) -> None:
    utility = Utility(rules_of(tmp_path, "voltage-excursion"))
    for number in range(9):
        utility.send(voltage(number, "230.0" if number % 2 else value), "I9")
    (order,) = utility.events("Controls")
    assert order["raiseLowerCommand"]["direction"] == direction
    assert order["powerSystemResource"]["mRID"] == "regulator-1"
    assert order["expiryDateTime"].timestamp() * 1000 == START_MS + 300_000
    assert utility.codes("I9") == []


def test_each_shipped_rule_sends_what_intake_accepts_and_a_part_of_it_too(tmp_path: Path) -> None:
    """Of an outage that says nearly nothing, too: what has no value is left out."""
    utility = Utility(rules_of(tmp_path, "outage-work-order", "outage-notification"))
    utility.send(
        outage("1", more="<UsagePoints><Names><name>99</name></Names></UsagePoints>"), "I1"
    )
    assert utility.codes("I4") == utility.codes("I6") == []
    assert len(utility.events("TroubleTickets")) == 1


# --- what a message says ----------------------------------------------------------------------


def test_the_message_is_a_function_of_rule_version_and_event(tmp_path: Path) -> None:
    def made(text: str) -> Output:
        rules = {"plain": rule_of(tmp_path, "plain", text)}
        outputs = Utility(rules).send(outage("1"), "I1")
        return next(one for one in outputs if one.topic == "cim.i4.inbound")

    first = made(PLAIN)
    assert made(PLAIN) == first
    other = made(PLAIN.replace("version = 1", "version = 2"))
    assert header(other, "ce_id") != header(first, "ce_id")
    message = read(first.value or b"").header
    assert message is not None
    assert (message.source, message.correlation_id) == ("cimstream", "1")
    assert message.comment == "rule plain, version 1"
    assert message.properties == (("Chain", f"{LOG}/0@0>plain@1"),)


def test_a_repeat_of_what_a_rule_sent_has_no_second_effect(tmp_path: Path) -> None:
    """Were an event evaluated again, intake would know the message."""
    utility = Utility(plain(tmp_path))
    utility.send(outage("1"), "I1")
    event = utility.logs[LOG][0]
    utility.append(event)
    assert utility.outcomes("plain") == {"fired": 2}
    assert len(utility.events("WorkOrders")) == 1
    assert utility.codes("I4") == []


@given(verbs=st.lists(st.sampled_from(["create", "change", "close"]), min_size=1, max_size=8))
def test_each_event_of_the_log_that_matches_has_made_one_message(verbs: list[str]) -> None:
    with TemporaryDirectory() as folder:
        utility = Utility(plain(Path(folder)))
    for number, verb in enumerate(verbs):
        for _ in range(2):  # each is sent twice
            utility.send(outage(str(number), verb), "I1")
    matching = [one for one in utility.logs[LOG] if header(one, "ce_verb") != "close"]
    assert len(utility.events("WorkOrders")) == len(matching)
    assert utility.outcomes("plain").get("fired", 0) == len(matching)


# --- what a rule is not about ------------------------------------------------------------------


def test_only_events_of_its_verbs_interfaces_and_time_are_its_business(tmp_path: Path) -> None:
    only_i6 = 'noun = "Outages"\nverbs = ["create"]\ninterfaces = ["I6"]'
    old = 'noun = "Outages"\nverbs = ["create", "change"]'
    assert old in PLAIN
    utility = Utility({"plain": rule_of(tmp_path, "plain", PLAIN.replace(old, only_i6))})
    utility.send(outage("1", mrid="a"), "I1")
    utility.send(outage("2", mrid="b"), "I6")
    utility.send(outage("3", "change", mrid="b"), "I1")
    (order,) = utility.events("WorkOrders")
    assert order["title"] == "b I6"


def test_events_that_the_log_took_before_the_rule_make_nothing(tmp_path: Path) -> None:
    (rule,) = plain(tmp_path).values()
    utility = Utility({"plain": replace(rule, since_ms=START_MS + 1)})
    utility.send(outage("1", mrid="a"), "I1")
    utility.now_ms += 1
    utility.send(outage("2", mrid="b"), "I1")
    assert [one["title"] for one in utility.events("WorkOrders")] == ["b I1"]


def test_events_that_are_older_than_what_intake_remembers_make_nothing(tmp_path: Path) -> None:
    processor = RuleProcessor(CATALOGUE, plain(tmp_path), not_before_ms=START_MS + 1)
    record = event_of(Utility({}), outage("1"))
    assert processor.prepare([record, record._replace(timestamp_ms=START_MS + 1)])[0] is None
    assert processor.prepare([record._replace(timestamp_ms=START_MS + 1)])[0] is not None


def test_what_a_replay_wrote_makes_nothing(tmp_path: Path) -> None:
    processor = RuleProcessor(CATALOGUE, plain(tmp_path))
    record = event_of(Utility({}), outage("1"))
    replayed = record._replace(headers=(*record.headers, (REPLAY_ID, b"r1")))
    assert processor.prepare([record])[0] is not None
    assert processor.prepare([replayed]) == [None]


def test_only_production_is_read(tmp_path: Path) -> None:
    utility = Utility(rules_of(tmp_path, *SHIPPED))
    assert not [topic for topic in utility.rules.inputs if ".training." in topic]
    training = outage("1").replace(b"</Noun>", b"</Noun><Context>TRAINING</Context>")
    utility.send(training, "I1")
    assert len(utility.events("Outages", "TRAINING")) == 1
    assert utility.events("WorkOrders") == []


def event_of(utility: Utility, data: bytes) -> Record:
    """The event of a message, as it lies on the log."""
    outputs = utility.send(data, "I1")
    (event,) = [one for one in outputs if one.topic == LOG]
    return Record(LOG, 0, 0, START_MS, event.key, event.value, event.headers)


# --- loops ------------------------------------------------------------------------------------


def test_a_rule_never_acts_on_what_it_caused(tmp_path: Path) -> None:
    utility = Utility({"echo": rule_of(tmp_path, "echo", ECHO)})
    utility.send(outage("1"), "I1")
    assert len(utility.events("Outages")) == 2
    assert utility.outcomes("echo") == {"fired": 1, "own_effect": 1}
    chain = dict(utility.logs[LOG][1].headers)[CHAIN].decode()
    assert chain == f"{LOG}/0@0>echo@1"


def test_rules_that_cause_each_other_come_to_an_end(tmp_path: Path) -> None:
    names = [f"echo-{n}" for n in range(DEPTH_MAX + 2)]
    utility = Utility({name: rule_of(tmp_path, name, ECHO) for name in names})
    utility.send(outage("1"), "I1")
    depths = [dict(one.headers).get(CHAIN, b"").count(b">") for one in utility.logs[LOG]]
    assert max(depths) == DEPTH_MAX
    assert sum(utility.outcomes(name).get("too_deep", 0) for name in names) > 0


def test_a_chain_in_the_message_of_a_sender_is_not_believed(tmp_path: Path) -> None:
    utility = Utility(plain(tmp_path))
    claimed = "<Property><Name>Chain</Name><Value>x/0@0&gt;plain@1</Value></Property></Header>"
    utility.send(outage("1").replace(b"</Header>", claimed.encode()), "I1")
    assert utility.outcomes("plain") == {"fired": 1}


def test_the_chain_is_kept_by_what_is_rejected_and_may_be_redriven(tmp_path: Path) -> None:
    bad = PLAIN.replace("<kind>repair</kind>", "<kind>nonsense</kind>")
    utility = Utility({"plain": rule_of(tmp_path, "plain", bad)})
    utility.send(outage("1"), "I1")
    (rejected,) = utility.logs["cim.i4.rejected"]
    assert header(rejected, CHAIN) == f"{LOG}/0@0>plain@1"


def test_a_chain_counts_a_rule_in_any_version() -> None:
    chain = Chain().with_link("t/0@1", "a", 1).with_link("t/0@2", "b-a", 2)
    assert str(chain) == "t/0@1>a@1,t/0@2>b-a@2"
    assert chain.has("a")
    assert chain.has("b-a")
    assert not chain.has("b")


# --- failures ---------------------------------------------------------------------------------


def test_an_expression_without_value_is_kept_with_rule_and_place_and_the_line_goes_on(
    tmp_path: Path,
) -> None:
    guardless = PLAIN.replace("[action]", "when = 'event.metersAffected > 5'\n[action]")
    utility = Utility({"bad": rule_of(tmp_path, "bad", guardless), **plain(tmp_path)})
    utility.send(outage("1", mrid="secret-1"), "I1")
    (failed,) = utility.logs[FAILED]
    assert header(failed, "cimstream_code") == "rule_failed"
    assert header(failed, "cimstream_why") == "rule bad@1: UNKNOWN"
    assert header(failed, "cimstream_where") == f"{LOG}/0@0"
    assert decode(failed.value or b"")[1]["mRID"] == "secret-1"
    told = {name: value for name, value in failed.headers if name.startswith("cimstream_")}
    assert not [name for name, value in told.items() if b"secret" in value]
    assert utility.outcomes("bad") == {"failed": 1}
    assert utility.outcomes("plain") == {"fired": 1}


def test_a_payload_without_value_fails_too(tmp_path: Path) -> None:
    text = PLAIN.replace("${event.mRID} ", "${string(event.metersAffected)}")
    utility = Utility({"plain": rule_of(tmp_path, "plain", text)})
    utility.send(outage("1"), "I1")
    assert utility.outcomes("plain") == {"failed": 1}
    assert len(utility.logs[FAILED]) == 1


def test_what_the_engine_could_not_process_is_kept(tmp_path: Path) -> None:
    processor = RuleProcessor(CATALOGUE, plain(tmp_path))
    record = Record(LOG, 0, 7, START_MS, b"k", b"value", (("ce_id", b"1#0"),))
    for with_value, kept in ((True, b"value"), (False, b"")):
        buffer = Buffer()
        context = Context({}, buffer, Utility({}), Utility({}))
        processor.reject(record, "processing_failed", "KeyError", context, with_value=with_value)
        context.accept()
        (output,) = context.outputs
        assert (output.topic, output.value) == (FAILED, kept)
        assert header(output, "cimstream_inbound") == f"{LOG}/0@7"
        assert buffer.counts == {("ruled", "", "failed"): 1}


# --- other rules ------------------------------------------------------------------------------


def test_events_are_evaluated_by_the_rules_that_are_used_when_they_come(tmp_path: Path) -> None:
    utility = Utility(plain(tmp_path))
    utility.rules.use({})
    utility.send(outage("1", mrid="a"), "I1")
    utility.rules.use(plain(tmp_path))
    utility.send(outage("2", mrid="b"), "I1")
    assert [one["title"] for one in utility.events("WorkOrders")] == ["b I1"]


def test_what_was_gathered_for_another_version_is_not_counted(tmp_path: Path) -> None:
    utility = Utility(rules_of(tmp_path, "outage-work-order"))
    utility.send(outage("1"), "I1")
    gathered = utility.logs[GATHERED][0]
    newer = shipped("outage-work-order").replace("version = 1", "version = 2")
    utility.rules.use({"outage-work-order": rule_of(tmp_path, "outage-work-order", newer)})
    before = dict(utility.counts)
    utility.append(gathered)
    assert dict(utility.counts) == before


def test_the_logs_of_all_nouns_are_read_and_what_was_gathered(tmp_path: Path) -> None:
    """So that a rule about another noun needs no other assignment."""
    processor = RuleProcessor(CATALOGUE, rules_of(tmp_path, "outage-work-order"))
    assert len(processor.inputs) == len(CATALOGUE.nouns)  # but network models
    assert GATHERED in processor.inputs
    assert processor.logs == {LOG}
    processor.use(rules_of(tmp_path, "last-gasp-cluster"))
    assert processor.logs == {"cim.i7.end-device-events"}


def test_every_topic_of_a_rule_is_in_the_catalogue(tmp_path: Path) -> None:
    processor = RuleProcessor(CATALOGUE, rules_of(tmp_path, *SHIPPED))
    specs = {spec.name: spec for spec in CATALOGUE.topics()}
    for topic, stores in processor.inputs.items():
        for store in stores:
            assert specs[store.changelog].partitions == specs[topic].partitions
    assert {FAILED, GATHERED} <= specs.keys()

"""MeterReadings: what the reference reader makes of each thing a MeterReading can say."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from lxml import etree

from schemas import avro, xml
from schemas.errors import MessageError
from schemas.profiles import Outcome, profile

KWH = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
TYPE = f'<ReadingType ref="{KWH}"/>'
METER = "<Meter><mRID>m-1</mRID></Meter>"
NAMESPACE = "http://iec.ch/TC57/2011/MeterReadings#"


def read(objects: str, namespace: str = NAMESPACE) -> Outcome:
    text = f'<MeterReadings xmlns="{namespace}">{objects}</MeterReadings>'
    return profile("meter_readings").read(xml.parse(text.encode()))


def records(outcome: Outcome) -> list[dict[str, Any]]:
    assert not outcome.rejected, outcome.rejected[0].problems
    names = {"MeterReadings": "MeterReadingSeries", "EndDeviceEvents": "EndDeviceEvent"}
    provenance = avro.encode_provenance("t", 0, 0, "m", "s", 0)
    return [
        avro.decode(avro.frame(names[item.noun]) + provenance + item.body)[1]
        for item in outcome.items
    ]


def the_record(meter_reading: str) -> dict[str, Any]:
    [record] = records(read(f"<MeterReading>{meter_reading}</MeterReading>"))
    return record


def reading(time: str = "2026-01-01T00:15:00Z", value: str = "1.5", more: str = "") -> str:
    return f"<Readings><timeStamp>{time}</timeStamp><value>{value}</value>{more}{TYPE}</Readings>"


def interval(time: str, value: str = "1.5", more: str = "") -> str:
    return (
        f"<IntervalReadings><timeStamp>{time}</timeStamp><value>{value}</value>{more}"
        "</IntervalReadings>"
    )


def code_of(meter_reading: str) -> str:
    outcome = read(f"<MeterReading>{meter_reading}</MeterReading>")
    assert outcome.items == []
    [rejected] = outcome.rejected
    return rejected.problems[0].code


# --- the two shapes --------------------------------------------------------------------------


def test_readings_of_one_type_are_one_regular_series() -> None:
    times = ["2026-01-01T00:15:00Z", "2026-01-01T00:30:00Z", "2026-01-01T00:45:00Z"]
    record = the_record(METER + "".join(map(reading, times, ["1.5", "0", "-3"])))
    assert record["shape"] == "READINGS"
    assert record["readingType"] == KWH
    assert record["readingTypeFields"] == [int(part) for part in KWH.split(".")]
    assert record["firstTimeStamp"] == datetime(2026, 1, 1, 0, 15, tzinfo=UTC)
    assert record["intervalMs"] == 900_000
    assert record["timeStamps"] == []
    assert record["values"] == [1.5, 0.0, -3.0]
    assert record["valueTexts"] == []


def test_readings_of_several_types_are_a_series_each_in_order_of_appearance() -> None:
    other = reading(value="7").replace(KWH, "3.0.129.160")
    outcome = read(f"<MeterReading>{METER}{reading()}{other}{reading(value='2')}</MeterReading>")
    first, second = records(outcome)
    assert (first["readingType"], first["values"]) == (KWH, [1.5, 2.0])
    assert (second["readingType"], second["values"]) == ("3.0.129.160", [7.0])
    assert second["readingTypeFields"] == []
    assert [item.index for item in outcome.items] == [0, 1]


def test_each_interval_block_is_a_series_and_its_pending_calculation_is_kept() -> None:
    pending = (
        "<PendingCalculation><multiplyBeforeAdd>true</multiplyBeforeAdd><offset>-2</offset>"
        "<scalarDenominator>10</scalarDenominator><scalarFloat>0.1</scalarFloat>"
        f"<scalarNumerator>3</scalarNumerator>{TYPE}</PendingCalculation>"
    )
    one = f"<IntervalBlocks>{interval('2026-01-01T00:15:00Z')}{pending}{TYPE}</IntervalBlocks>"
    two = f"<IntervalBlocks>{interval('2026-01-01T00:30:00Z')}{TYPE}</IntervalBlocks>"
    first, second = records(read(f"<MeterReading>{one}{two}{METER}</MeterReading>"))
    assert first["shape"] == second["shape"] == "INTERVAL_BLOCK"
    assert first["pendingCalculation"] == {
        "multiplyBeforeAdd": True,
        "offset": -2,
        "scalarDenominator": 10,
        "scalarFloat": 0.1,
        "scalarNumerator": 3,
        "readingType": KWH,
    }
    assert second["pendingCalculation"] is None


def test_a_block_without_readings_is_no_event_and_no_error() -> None:
    outcome = read(f"<MeterReading><IntervalBlocks>{TYPE}</IntervalBlocks>{METER}</MeterReading>")
    assert (outcome.items, outcome.rejected, outcome.objects) == ([], [], 1)


# --- time ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "hours"),
    [("+01:00", "+02:00", 23), ("+02:00", "+01:00", 25)],
    ids=["spring", "autumn"],
)
def test_a_local_day_of_23_or_25_hours_is_regular_in_utc(
    before: str, after: str, hours: int
) -> None:
    day = "2026-03-29" if hours == 23 else "2026-10-25"
    marks = [(0, before), (1, before)]
    marks += [(2, before)] if hours == 25 else []
    marks += [(hour, after) for hour in range(3 if hours == 23 else 2, 24)]
    readings = [reading(f"{day}T{hour:02d}:00:00{zone}") for hour, zone in marks]
    record = the_record(METER + "".join(readings))
    assert len(record["values"]) == hours
    assert record["intervalMs"] == 3_600_000


@pytest.mark.parametrize(
    "minutes",
    [(15,), (15, 30, 50), (30, 15), (15, 15), (15, 15, 15), (45, 30, 15)],
    ids=["one", "uneven", "descending", "twice", "thrice", "descending evenly"],
)
def test_times_that_do_not_ascend_in_equal_steps_are_kept_one_by_one(
    minutes: tuple[int, ...],
) -> None:
    readings = [reading(f"2026-01-01T00:{minute}:00Z", str(minute)) for minute in minutes]
    record = the_record(METER + "".join(readings))
    assert record["intervalMs"] == 0
    assert [moment.minute for moment in record["timeStamps"]] == list(minutes)
    assert record["values"] == list(map(float, minutes))


def test_a_reading_without_time_stamp_has_the_end_of_its_period() -> None:
    period = "<end>2026-01-02T00:00:00Z</end><start>2026-01-01T00:00:00Z</start>"
    record = the_record(
        f"{METER}<Readings><value>5</value>{TYPE}<timePeriod>{period}</timePeriod></Readings>"
    )
    assert record["firstTimeStamp"] == datetime(2026, 1, 2, tzinfo=UTC)
    [note] = record["annotations"]
    assert note["periodStart"] == datetime(2026, 1, 1, tzinfo=UTC)
    assert note["periodEnd"] == datetime(2026, 1, 2, tzinfo=UTC)


# --- values ----------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", ["<value/>", "<value> </value>", ""])
def test_a_reading_without_value_is_a_gap_and_never_a_zero(empty: str) -> None:
    gap = f"<Readings><timeStamp>2026-01-01T00:30:00Z</timeStamp>{empty}{TYPE}</Readings>"
    record = the_record(METER + reading() + gap)
    assert math.isnan(record["values"][1])
    assert record["valueTexts"] == []


@pytest.mark.parametrize(
    "text",
    ["123456789012345", "0.000123456789012345", "-99999999999.9999", "1e3", "+.5", "5.", "1E-5"],
)
def test_values_of_up_to_15_digits_are_doubles_only(text: str) -> None:
    record = the_record(METER + reading(value=text))
    assert record["values"] == [float(text)]
    assert record["valueTexts"] == []


@pytest.mark.parametrize("text", ["1234567890.123456", "1e-320", "0.1234567890123456"])
def test_longer_values_keep_all_texts_of_their_block_beside(text: str) -> None:
    record = the_record(METER + reading(value=text) + reading(value="") + reading(value=" 1.50 "))
    assert record["valueTexts"] == [text, "", "1.50"]
    assert record["values"][0] == float(text)


def test_a_value_beyond_a_double_is_kept_as_text() -> None:
    record = the_record(METER + reading(value="1e999"))
    assert math.isnan(record["values"][0])
    assert record["valueTexts"] == ["1e999"]


@pytest.mark.parametrize(
    "text", ["x", "NaN", "INF", "-INF", "1,5", "1 000", "0x10", "--1", ".", "1_0", "٣"]
)
def test_a_value_that_is_no_number_is_refused(text: str) -> None:
    assert code_of(METER + reading(value=text)) == "value_not_number"


# --- qualities and annotations ---------------------------------------------------------------


def quality(ref: str, inner: str = "") -> str:
    return f'<ReadingQualities>{inner}<ReadingQualityType ref="{ref}"/></ReadingQualities>'


def test_qualities_are_runs_over_readings_that_follow_each_other() -> None:
    good, bad = quality("1.0.0"), quality("5.4.260")
    extras = [good, good + bad, good + bad, "", good]
    readings = [reading(f"2026-01-01T0{n}:00:00Z", more=more) for n, more in enumerate(extras)]
    runs = the_record(METER + "".join(readings))["qualities"]
    assert [(run["ref"], run["from"], run["count"]) for run in runs] == [
        ("1.0.0", 0, 3),
        ("5.4.260", 1, 2),
        ("1.0.0", 4, 1),
    ]


def test_what_a_quality_says_more_is_kept_and_divides_runs() -> None:
    told = "<comment>c</comment><source>s</source><timeStamp>2026-01-01T00:00:00Z</timeStamp>"
    readings = [reading(more=quality("5.4.260", told)), reading(more=quality("5.4.260"))]
    first, second = the_record(METER + "".join(readings))["qualities"]
    assert (first["comment"], first["source"]) == ("c", "s")
    assert first["timeStamp"] == datetime(2026, 1, 1, tzinfo=UTC)
    assert (second["comment"], second["from"], second["count"]) == (None, 1, 1)


def test_the_same_quality_twice_on_one_reading_is_two_runs() -> None:
    runs = the_record(METER + reading(more=quality("1.0.0") * 2) * 2)["qualities"]
    assert [(run["from"], run["count"]) for run in runs] == [(0, 2), (0, 2)]


def test_annotations_are_sparse_and_complete() -> None:
    said = (
        "<Readings><reason>billing</reason><reportedDateTime>2026-01-01T01:00:00Z"
        "</reportedDateTime><source>manual</source><timeStamp>2026-01-01T00:30:00Z</timeStamp>"
        f"<value>2</value>{TYPE}</Readings>"
    )
    [note] = the_record(METER + reading() + said)["annotations"]
    assert note == {
        "index": 1,
        "reportedDateTime": datetime(2026, 1, 1, 1, tzinfo=UTC),
        "source": "manual",
        "reason": "billing",
        "periodStart": None,
        "periodEnd": None,
    }


# --- who -------------------------------------------------------------------------------------

NAME = (
    "<Names><name>4|2%</name><NameType><name>door</name><description>d</description>"
    "<NameTypeAuthority><name>city</name><description>e</description></NameTypeAuthority>"
    "</NameType></Names>"
)


@pytest.mark.parametrize(
    ("who", "key"),
    [
        (METER, "m-1"),
        (f"<Meter>{NAME}</Meter>", "city|door|4%7C2%25"),
        ("<Meter><Names><name>n</name></Names></Meter>", "||n"),
        ("<Meter><serialNumber>9</serialNumber></Meter>", "|serialNumber|9"),
        ("<Meter><mRID> m|1 </mRID><serialNumber>9</serialNumber></Meter>", "m%7C1"),
        (f"<Meter><mRID> </mRID>{NAME}</Meter>", "city|door|4%7C2%25"),
    ],
)
def test_the_key_is_the_meters_mrid_or_name_or_serial_number(who: str, key: str) -> None:
    outcome = read(f"<MeterReading>{who}{reading()}</MeterReading>")
    assert [item.key for item in outcome.items] == [key.encode()]


def test_the_key_is_the_usage_point_where_there_is_one() -> None:
    outcome = read(
        f"<MeterReading>{METER}{reading()}<UsagePoint><mRID>u</mRID></UsagePoint></MeterReading>"
        f"<MeterReading>{METER}{reading()}<UsagePoint/></MeterReading>"
        f"<MeterReading>{reading()}<UsagePoint>{NAME}</UsagePoint></MeterReading>"
    )
    assert [item.key for item in outcome.items] == [b"u", b"m-1", b"city|door|4%7C2%25"]


def test_everything_that_identifies_is_kept() -> None:
    status = (
        "<status><dateTime>2026-01-01T00:00:00Z</dateTime><reason>r</reason>"
        "<remark>k</remark><value>on</value></status>"
    )
    record = the_record(
        f"<isCoincidentTrigger>true</isCoincidentTrigger>"
        f"<Meter><mRID>m</mRID><serialNumber>9</serialNumber>{NAME}{status}</Meter>{reading()}"
        "<UsagePoint><mRID>u</mRID></UsagePoint>"
        "<valuesInterval><start>2026-01-01T00:00:00Z</start></valuesInterval>"
    )
    assert record["meter"] == {
        "mRID": "m",
        "serialNumber": "9",
        "names": [
            {
                "name": "4|2%",
                "type": "door",
                "typeDescription": "d",
                "authority": "city",
                "authorityDescription": "e",
            }
        ],
        "status": {
            "dateTime": datetime(2026, 1, 1, tzinfo=UTC),
            "reason": "r",
            "remark": "k",
            "value": "on",
        },
    }
    assert record["usagePoint"] == {"mRID": "u", "names": []}
    assert record["valuesInterval"] == {"start": datetime(2026, 1, 1, tzinfo=UTC), "end": None}
    assert record["isCoincidentTrigger"] is True


@pytest.mark.parametrize("who", ["", "<Meter/>", "<Meter><mRID/></Meter>", "<UsagePoint/>"])
def test_a_reading_of_nobody_is_refused(who: str) -> None:
    parts = (reading(), who) if "Usage" in who else (who, reading())
    assert code_of("".join(parts)) == "meter_missing"


# --- definitions and events in the same payload ----------------------------------------------


def test_definitions_in_the_payload_go_with_the_series_that_use_them() -> None:
    types = (
        "<ReadingQualityType><mRID>5.4.260</mRID><category>v</category><Names><name>q</name>"
        "</Names></ReadingQualityType><ReadingQualityType><mRID>1.0.0</mRID>"
        "<Names><name>unused</name></Names></ReadingQualityType>"
        "<ReadingType><mRID>other</mRID><unit>Wh</unit><argument><numerator>1</numerator>"
        f"</argument><Names><name>{KWH}</name></Names></ReadingType>"
    )
    [record] = records(
        read(f"<MeterReading>{METER}{reading(more=quality('5.4.260'))}</MeterReading>{types}")
    )
    definition = record["readingTypeDefinition"]
    assert (definition["mRID"], definition["unit"]) == ("other", "Wh")
    assert definition["argument"] == {"denominator": None, "numerator": "1"}
    [used] = record["readingQualityTypes"]
    assert (used["mRID"], used["category"]) == ("5.4.260", "v")


def test_events_in_a_meter_reading_become_end_device_events_of_its_meter() -> None:
    event = (
        "<EndDeviceEvents><createdDateTime>2026-01-01T00:00:00Z</createdDateTime>"
        '<EndDeviceEventType ref="3.26.0.85"/></EndDeviceEvents>'
    )
    outcome = read(f"<MeterReading>{event}{METER}{reading()}</MeterReading>")
    assert [(item.noun, item.key, item.index) for item in outcome.items] == [
        ("EndDeviceEvents", b"m-1", 0),
        ("MeterReadings", b"m-1", 1),
    ]
    record = records(outcome)[0]
    assert record["meter"]["mRID"] == "m-1"
    assert record["endDeviceEventTypeFields"] == [3, 26, 0, 85]


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("meter_reading", "code"),
    [
        (METER + reading("2026-01-01T00:00:00"), "timestamp_without_zone"),
        (METER + reading("yesterday"), "timestamp_invalid"),
        (METER + reading("2026-02-30T00:00:00Z"), "timestamp_invalid"),
        (METER + reading().replace(TYPE, ""), "reading_type_missing"),
        (METER + reading().replace(TYPE, "<ReadingType/>"), "reading_type_missing"),
        (METER + reading().replace(TYPE, '<ReadingType ref=" "/>'), "reading_type_missing"),
        ("<IntervalBlocks/>" + METER, "reading_type_missing"),
        (f"{METER}<Readings><value>1</value>{TYPE}</Readings>", "profile_violation"),
        (
            METER
            + reading()
            + "<valuesInterval><end>2026-01-01T00:00:00Z</end><start>2026-01-02T00:00:00Z</start>"
            "</valuesInterval>",
            "interval_reversed",
        ),
        (
            METER
            + reading().replace(
                TYPE,
                f"{TYPE}<timePeriod><end>2026-01-01T00:00:00Z</end>"
                "<start>2026-01-01T00:00:01Z</start></timePeriod>",
            ),
            "interval_reversed",
        ),
        (METER + reading(more="<unknown/>"), "profile_violation"),
        (METER + reading(more='<v:x xmlns:v="urn:vendor"/>'), "profile_violation"),
        (METER + METER + reading(), "profile_violation"),
        (METER + "text" + reading(), "profile_violation"),
        (METER + reading().replace("<value>", "<value unit='Wh'>"), "profile_violation"),
        (
            METER + reading().replace("<timeStamp>", "<reason>curiosity</reason><timeStamp>"),
            "profile_violation",
        ),
        (
            (
                "<EndDeviceEvents><createdDateTime>2026-01-01T00:00:00Z</createdDateTime>"
                f"</EndDeviceEvents>{METER}"
            ),
            "event_type_missing",
        ),
    ],
)
def test_what_is_wrong_has_its_own_code(meter_reading: str, code: str) -> None:
    assert code_of(meter_reading) == code


def test_good_meters_pass_and_each_bad_one_is_rejected_by_itself_with_its_place() -> None:
    good = f"<MeterReading>{METER}{reading()}</MeterReading>"
    bad = f"<MeterReading>{METER}\n{reading()}\n{reading(value='n/a')}</MeterReading>"
    outcome = read(good + bad + good)
    assert [item.index for item in outcome.items] == [0, 1]
    assert outcome.objects == 3
    [rejected] = outcome.rejected
    [problem] = rejected.problems
    assert rejected.index == 1
    assert problem.code == "value_not_number"
    assert problem.xpath == "/MeterReadings/MeterReading[2]/Readings[2]/value"
    assert problem.line == 3
    assert "n/a" not in str(problem)
    assert etree.fromstring(rejected.element).tag == f"{{{NAMESPACE}}}MeterReading"


def test_a_problem_of_the_xsd_has_its_place_and_no_value() -> None:
    bad = f"<MeterReading>{METER}{reading()}\n{reading('soon')}</MeterReading>"
    [problem] = read(f"<ReadingType/>{bad}").rejected[1].problems
    assert problem.xpath == "/MeterReadings/MeterReading/Readings[2]/timeStamp"
    assert problem.line == 2
    assert "soon" not in str(problem)


def test_an_element_that_is_no_object_of_the_noun_is_rejected_by_itself() -> None:
    good = f"<MeterReading>{METER}{reading()}</MeterReading>"
    outcome = read(f"<LoadProfile/>{good}<v:x xmlns:v='urn:v'>{METER}</v:x>")
    assert len(outcome.items) == 1
    assert [rejected.index for rejected in outcome.rejected] == [0, 2]
    assert {r.problems[0].code for r in outcome.rejected} == {"profile_violation"}
    assert outcome.objects == 3


def test_a_rejected_object_keeps_the_namespaces_it_needs() -> None:
    text = (
        f'<p:MeterReadings xmlns:p="{NAMESPACE}" xmlns:q="urn:q"><p:MeterReading><q:x/>'
        "</p:MeterReading></p:MeterReadings>"
    )
    [rejected] = profile("meter_readings").read(xml.parse(text.encode())).rejected
    assert etree.fromstring(rejected.element)[0].tag == "{urn:q}x"


def test_problems_of_one_object_are_listed_up_to_a_limit() -> None:
    readings = "".join(reading(value="x") for _ in range(100))
    [rejected] = read(f"<MeterReading>{METER}{readings}</MeterReading>").rejected
    assert len(rejected.problems) == 20


@pytest.mark.parametrize("year", range(2009, 2018))
def test_the_namespaces_of_all_years_are_read_alike(year: int) -> None:
    namespace = f"http://iec.ch/TC57/{year}/MeterReadings#"
    objects = f"<MeterReading>{METER}{reading()}</MeterReading>"
    assert read(objects, namespace).items == read(objects).items
    [rejected] = read("<MeterReading><Meter/><x/></MeterReading>", namespace).rejected
    assert rejected.problems[0].code == "profile_violation"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ('<MeterReadings xmlns="http://naesb.org/espi"/>', "payload_namespace_unknown"),
        (f'<GetMeterReadings xmlns="{NAMESPACE}"/>', "noun_unknown"),
    ],
)
def test_another_payload_is_refused_as_a_whole(payload: str, code: str) -> None:
    with pytest.raises(MessageError) as caught:
        profile("meter_readings").read(xml.parse(payload.encode()))
    assert caught.value.code == code


# --- order -----------------------------------------------------------------------------------


def test_children_mean_the_same_in_any_order() -> None:
    quality = '<ReadingQualities><ReadingQualityType ref="1.0.0"/></ReadingQualities>'
    period = "<end>2026-01-02T00:00:00Z</end>", "<start>2026-01-01T00:00:00Z</start>"
    time, value = "<timeStamp>2026-01-01T00:15:00Z</timeStamp>", "<value>1.5</value>"
    ordered = (
        f"{METER}<Readings>{time}{value}{quality}{TYPE}</Readings>"
        f"<valuesInterval>{period[0]}{period[1]}</valuesInterval>"
    )
    mixed = (
        f"<valuesInterval>{period[1]}{period[0]}</valuesInterval>"
        f"<Readings>{quality}{TYPE}{value}{time}</Readings>{METER}"
    )

    assert the_record(mixed) == the_record(ordered)


def test_elements_of_one_name_keep_their_order_when_others_are_moved() -> None:
    readings = "".join(reading(f"2026-01-01T0{hour}:00:00Z", str(hour)) for hour in (3, 1, 2))

    assert the_record(readings + METER)["values"] == [3.0, 1.0, 2.0]


def test_an_object_out_of_order_and_wrong_is_rejected_for_what_is_wrong() -> None:
    assert code_of(reading(more="<unknown/>") + METER) == "profile_violation"
    assert code_of(reading("2026-01-01T00:00:00") + METER) == "timestamp_without_zone"

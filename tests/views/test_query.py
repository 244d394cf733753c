"""Questions to a view, on both databases."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from streams.engine.record import TopicPartition
from streams.views.criteria import CriteriaError
from streams.views.query import Gap, Page
from streams.views.store import Position
from tests.views.rig import (
    ALARMS,
    DEVICE_EVENTS,
    KW,
    KWH,
    METERS,
    MIDNIGHT,
    OUTAGES,
    QUARTER,
    READINGS,
    USAGE_POINTS,
    Bench,
    alarm,
    event,
    named,
    outage,
    series,
)

DAY = 96 * QUARTER
UP, METER = {"mRID": "up-1"}, {"mRID": "m-1"}


def all_pages(bench: Bench, noun: str, limit: int, **how: Any) -> list[Page]:
    pages = [bench.page(noun, limit=limit, **how)]
    while pages[-1].cursor is not None:
        pages.append(bench.page(noun, limit=limit, cursor=pages[-1].cursor, **how))
    return pages


# --- registers ----------------------------------------------------------------------------------


def test_an_object_is_found_by_mrid_name_feeder_status_and_life_cycle(bench: Bench) -> None:
    bench.add(
        OUTAGES, "o-1",
        outage("o-1", statusKind="confirmed", names=[named("Mill Lane")],
               feeder={"mRID": "f-1", "names": [named("F12")]}),
    )  # fmt: skip
    bench.add(OUTAGES, "o-2", outage("o-2", "closed", statusKind="predicted"))

    for how in (
        {"mrids": ("o-1", "nobody")},
        {"names": ("Mill Lane",)},
        {"feeders": ("f-1",)},
        {"feeders": ("F12",)},
        {"statuses": ("confirmed",)},
        {"lives": ("open",)},
    ):
        assert bench.keys("Outages", **how) == ["o-1"], how
    assert bench.keys("Outages") == ["o-1", "o-2"]
    assert bench.keys("Outages", mrids=("o-1",), lives=("closed",)) == []


def test_a_change_replaces_the_object_and_what_it_was_found_by(bench: Bench) -> None:
    bench.add(OUTAGES, "o-1", outage("o-1", names=[named("old")]))
    bench.add(OUTAGES, "o-1", outage("o-1", "closed", 2, names=[named("new")]))

    assert bench.keys("Outages", names=("old",)) == []
    (row,) = bench.page("Outages", names=("new",)).rows
    assert (row.revision, row.event()["lifeCycle"]) == (2, "closed")


def test_a_deleted_object_is_gone_and_can_be_created_again(bench: Bench) -> None:
    bench.add(OUTAGES, "o-1", outage("o-1"))
    bench.add(OUTAGES, "o-1", None)
    assert bench.keys("Outages") == bench.keys("Outages", mrids=("o-1",)) == []

    bench.add(OUTAGES, "o-1", outage("o-1"))
    assert bench.keys("Outages", mrids=("o-1",)) == ["o-1"]


def test_an_object_answers_for_the_period_it_holds(bench: Bench) -> None:
    start, end = MIDNIGHT + 100, MIDNIGHT + 200
    bench.add(OUTAGES, "ended", outage("ended", actualPeriod={"start": start, "end": end}))
    bench.add(OUTAGES, "lasting", outage("lasting", actualPeriod={"start": start, "end": None}))
    bench.add(OUTAGES, "timeless", outage("timeless"))

    assert bench.keys("Outages", after_ms=MIDNIGHT, until_ms=start) == ["ended", "lasting"]
    assert bench.keys("Outages", after_ms=end, until_ms=end + 1) == ["lasting"]
    assert bench.keys("Outages", until_ms=start - 1) == []


def test_contexts_are_apart(bench: Bench) -> None:
    training = OUTAGES.replace("cim.", "cim.training.")
    bench.add(OUTAGES, "real", outage("real"))
    bench.add(training, "exercise", outage("exercise"))
    bench.add(READINGS, "m-1", series([1.0], meter=METER))

    assert bench.keys("Outages") == ["real"]
    assert bench.keys("Outages", context="TRAINING") == ["exercise"]
    assert bench.values(mrids=("m-1",), context="TRAINING") == []


# --- other histories ----------------------------------------------------------------------------


def test_alarms_come_by_time_and_are_found_by_what_they_are_about(bench: Bench) -> None:
    about = {"mRID": "breaker-1", "names": [named("B1")]}
    bench.add(ALARMS, "a-2", alarm("a-2", MIDNIGHT + 2, powerSystemResource=about))
    bench.add(ALARMS, "a-1", alarm("a-1", MIDNIGHT + 1, "closed", feeder={"mRID": "f-1"}))

    assert bench.keys("Alarms") == ["a-1", "a-2"]
    assert bench.keys("Alarms", mrids=("breaker-1",)) == bench.keys("Alarms", names=("B1",))
    assert bench.keys("Alarms", mrids=("breaker-1",)) == ["a-2"]
    assert bench.keys("Alarms", feeders=("f-1",), statuses=("closed",)) == ["a-1"]
    assert bench.keys("Alarms", after_ms=MIDNIGHT + 1, until_ms=MIDNIGHT + 2) == ["a-2"]
    assert bench.keys("Alarms", after_ms=MIDNIGHT + 2) == []


def test_an_event_of_a_meter_is_found_by_the_meters_mrid(bench: Bench) -> None:
    value = event(
        "EndDeviceEvent", createdDateTime=MIDNIGHT, endDeviceEventType="3.26.0.85",
        assets={"mRID": "m-1", "names": []},
    )  # fmt: skip
    bench.add(DEVICE_EVENTS, "m-1", value)
    assert bench.keys("EndDeviceEvents", mrids=("m-1",)) == ["m-1"]


# --- readings -----------------------------------------------------------------------------------


def test_days_asked_one_by_one_share_nothing_and_lack_nothing(bench: Bench) -> None:
    values = [float(n) for n in range(2 * 96)]
    bench.add(READINGS, "up-1", series(values, first=MIDNIGHT + QUARTER, usage_point=UP))
    first = bench.values(mrids=("up-1",), after_ms=MIDNIGHT, until_ms=MIDNIGHT + DAY)
    second = bench.values(mrids=("up-1",), after_ms=MIDNIGHT + DAY, until_ms=MIDNIGHT + 2 * DAY)
    assert (first, second) == (values[:96], values[96:])


def test_readings_are_asked_by_type(bench: Bench) -> None:
    bench.add(READINGS, "up-1", series([1.0], usage_point=UP, reading_type=KWH))
    bench.add(READINGS, "up-1", series([2.0], usage_point=UP, reading_type=KW))
    assert bench.values(mrids=("up-1",), reading_types=(KW,)) == [2.0]


def test_a_meter_is_answered_with_its_own_readings_and_not_with_its_successors(
    bench: Bench,
) -> None:
    bench.add(READINGS, "up-1", series([1.0], usage_point=UP, meter=METER))
    later = MIDNIGHT + QUARTER
    bench.add(READINGS, "up-1", series([2.0], first=later, usage_point=UP, meter={"mRID": "m-2"}))

    assert bench.values(mrids=("m-1",)) == [1.0]
    assert bench.values(mrids=("m-2",)) == [2.0]
    assert bench.values(mrids=("up-1",)) == [1.0, 2.0]
    assert bench.values(mrids=("m-1", "up-1")) == [1.0, 2.0]


def test_readings_are_found_by_names_that_series_or_registers_say(bench: Bench) -> None:
    said = {"mRID": "up-1", "names": [named("said by series")]}
    bench.add(READINGS, "up-1", series([1.0], usage_point=said))
    bench.add(READINGS, "m-2", series([2.0], meter={"mRID": "m-2"}))
    meter = {"revision": 1, "lifeCycle": "open", "mRID": "m-2"}
    bench.add(METERS, "m-2", event("Meter", **meter, names=[named("said by register")]))

    assert bench.values(names=("said by series",)) == [1.0]
    assert bench.values(names=("said by register",)) == [2.0]
    assert bench.values(names=("said by nobody",)) == []


def test_readings_are_found_by_the_feeder_of_their_usage_point(bench: Bench) -> None:
    for number, feeder in ((1, "f-1"), (2, "f-2"), (3, "f-1")):
        mrid = f"up-{number}"
        point = {"revision": 1, "lifeCycle": "open", "mRID": mrid, "feeder": {"mRID": feeder}}
        bench.add(USAGE_POINTS, mrid, event("UsagePoint", **point))
        bench.add(READINGS, mrid, series([float(number)], usage_point={"mRID": mrid}))
    assert bench.values(feeders=("f-1",)) == [1.0, 3.0]
    assert bench.values(feeders=("f-1",), mrids=("up-3", "up-2")) == [3.0]


def test_the_newest_value_of_a_time_counts_and_each_once(bench: Bench) -> None:
    """A repeat of a block, a correction of part of it, and a value that was taken back."""
    nan = float("nan")
    bench.add(READINGS, "up-1", series([1.0, 2.0, 3.0, 4.0], usage_point=UP))
    bench.add(READINGS, "up-1", series([1.0, 2.0, 3.0, 4.0], usage_point=UP))
    correction = series([20.0, nan], first=MIDNIGHT + QUARTER, usage_point=UP)
    bench.add(READINGS, "up-1", correction)

    values = bench.values(mrids=("up-1",))
    assert [value for value in values if not math.isnan(value)] == [1.0, 4.0, 20.0]
    assert len(values) == 4


def test_a_correction_at_odd_times_replaces_those_times_only(bench: Bench) -> None:
    bench.add(READINGS, "up-1", series([1.0, 2.0, 3.0], usage_point=UP))
    odd = [MIDNIGHT + QUARTER, MIDNIGHT + QUARTER + 1]
    bench.add(READINGS, "up-1", series([20.0, 21.0], stamps=odd, usage_point=UP))
    assert bench.values(mrids=("up-1",)) == [1.0, 3.0, 20.0, 21.0]


def test_what_is_sent_again_is_kept_once(bench: Bench) -> None:
    """However often, and wherever a batch ends; an irregular one as often as it comes."""
    odd = [MIDNIGHT + 1, MIDNIGHT + 2, MIDNIGHT + 5]
    for value in range(5):
        bench.add(READINGS, "up-1", series([float(value)] * 3, usage_point=UP))
        bench.add(READINGS, "up-1", series([float(value)], usage_point=UP, reading_type=KW))
        bench.add(READINGS, "up-2", series([float(value)] * 3, stamps=odd))
    assert bench.reader.status().rows == {("PRODUCTION", "MeterReadings"): 1 + 1 + 5}
    assert bench.values(mrids=("up-1",)) == [4.0] * 4
    assert bench.values(mrids=("up-2",)) == [4.0] * 3


def test_long_names_and_identities_are_found(bench: Bench) -> None:
    """No index of a database takes texts of any length."""
    chance = random.Random(1)
    # At random, because PostgreSQL compresses.
    mrid, name = (f"{chance.getrandbits(40_000):x}" for _ in range(2))
    bench.add(OUTAGES, mrid, outage(mrid, names=[named(name)], status={"value": name}))
    bench.add(ALARMS, mrid, alarm(mrid, MIDNIGHT, names=[named(name)]))
    point = {"mRID": mrid, "names": [named(name)]}
    long = series([1.0], usage_point=point, meter={"mRID": mrid + "x"}, reading_type=name)
    bench.add(READINGS, mrid, long)
    asked: list[dict[str, Any]] = [{"mrids": (mrid,)}, {"names": (name,)}]
    for how in asked:
        for noun in ("Outages", "Alarms"):
            (row,) = bench.page(noun, **how).rows
            assert row.event()["mRID"] == mrid
        assert bench.values(**how) == bench.values(reading_types=(name,), **how) == [1.0]
    assert bench.values(mrids=(mrid + "x",)) == [1.0]
    assert len(bench.page("Outages", statuses=(name,)).rows) == 1


def test_a_correction_of_another_type_replaces_nothing(bench: Bench) -> None:
    bench.add(READINGS, "up-1", series([1.0], usage_point=UP, reading_type=KWH))
    bench.add(READINGS, "up-1", series([2.0], usage_point=UP, reading_type=KW))
    assert bench.values(mrids=("up-1",)) == [1.0, 2.0]


# --- pages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("noun", ["Outages", "Alarms", "MeterReadings"])
def test_pages_give_each_row_once_while_the_view_moves(bench: Bench, noun: str, limit: int) -> None:
    def add(key: str, time_ms: int) -> None:
        bench.add(OUTAGES, key, outage(key))
        bench.add(ALARMS, key, alarm(key, time_ms))
        bench.add(READINGS, "up-0", series([9.0], first=time_ms))

    for number in range(5):
        add(f"m-{number}", MIDNIGHT + number)
    how: dict[str, Any] = {"mrids": ("up-0",)} if noun == "MeterReadings" else {}
    there = [(row.key, row.body) for row in bench.page(noun, **how).rows]
    assert len(there) == 5
    seen, cursor = [], None
    for turn in range(10):
        page = bench.page(noun, limit=limit, cursor=cursor, **how)
        seen += [(row.key, row.body) for row in page.rows]
        add(f"before-{turn}", MIDNIGHT - turn - 1)
        add(f"x-behind-{turn}", MIDNIGHT + 100 + turn)
        if (cursor := page.cursor) is None:
            break
    assert [row for row in seen if row in there] == there
    assert len(seen) == len(set(seen))


def test_a_page_with_more_behind_it_has_a_cursor_and_code_0_1(bench: Bench) -> None:
    for mrid in ("o-1", "o-2"):
        bench.add(OUTAGES, mrid, outage(mrid))
    first, second = all_pages(bench, "Outages", 1)
    assert [row.key for row in first.rows + second.rows] == ["o-1", "o-2"]
    assert (first.code, second.code) == ("0.1", "0.0")


def test_rows_that_newer_ones_replaced_leave_no_holes_in_pages(bench: Bench) -> None:
    for value in range(6):
        odd = [MIDNIGHT, MIDNIGHT + 1 + value]
        bench.add(READINGS, "up-1", series([float(value)] * 2, stamps=odd, usage_point=UP))
    bench.add(READINGS, "up-1", series([8.0] * 7, stamps=[MIDNIGHT + n for n in range(7)]))
    later = series([7.0], first=MIDNIGHT + QUARTER, usage_point=UP)
    bench.add(READINGS, "up-1", later)
    pages = all_pages(bench, "MeterReadings", 1, mrids=("up-1",))
    assert [row.event()["values"] for page in pages for row in page.rows] == [[8.0] * 7, [7.0]]
    assert [len(page.rows) for page in pages] == [1, 1]


@pytest.mark.parametrize("cursor", ["x", "!!", "W10", "WyJhIiwxXQ"])
def test_a_cursor_that_is_none_of_this_question_is_refused(file_bench: Bench, cursor: str) -> None:
    with pytest.raises(CriteriaError, match="cursor_invalid"):
        file_bench.page("Outages", cursor=cursor)


def test_a_cursor_of_another_question_is_refused(bench: Bench) -> None:
    for number in range(2):
        bench.add(OUTAGES, f"o-{number}", outage(f"o-{number}"))
    cursor = bench.page("Outages", limit=1).cursor
    with pytest.raises(CriteriaError, match="cursor_invalid"):
        bench.page("Outages", cursor=cursor, lives=("open",))


# --- completeness -------------------------------------------------------------------------------


def test_an_answer_of_a_view_that_is_up_to_date_is_whole(bench: Bench) -> None:
    page = bench.page("Outages")
    assert (page.code, page.gaps) == ("0.0", ())


def test_an_answer_of_a_view_that_is_behind_says_so_with_its_lag(bench: Bench) -> None:
    bench.now_ms += 60_000
    page = bench.page("MeterReadings", names=("x",), after_ms=MIDNIGHT)
    assert (page.code, page.gaps) == ("0.2", (Gap.BEHIND,))
    # The names come from the registers, so their lag is the answer's, too.
    assert set(page.lag) == {READINGS, METERS, USAGE_POINTS}


def test_an_answer_of_a_view_that_is_being_built_says_so(bench: Bench) -> None:
    bench.writer.forget_register(OUTAGES, "PRODUCTION", "Outages")
    bench.writer.begin({TopicPartition(OUTAGES, 0): Position("id", 0, 9, bench.now_ms)})
    page = bench.page("Outages")
    assert (page.code, page.gaps, page.lag[OUTAGES].offsets) == ("0.2", (Gap.BEHIND,), 9)


def test_an_answer_about_a_time_before_the_window_says_so(bench: Bench) -> None:
    bench.writer.trim(MIDNIGHT, 100)
    late = bench.page("Alarms", after_ms=MIDNIGHT)
    early = bench.page("Alarms", after_ms=MIDNIGHT - 1)
    assert (late.gaps, early.gaps) == ((), (Gap.WINDOW,))
    assert bench.page("Alarms").gaps == (Gap.WINDOW,)
    assert bench.page("Outages").gaps == ()


@pytest.mark.parametrize(
    ("noun", "how", "code"),
    [
        ("Nothing", {}, "noun_unknown"),
        ("Outages", {"context": "MOON"}, "noun_unknown"),
        ("MeterReadings", {}, "criteria_too_wide"),
        ("MeterReadings", {"mrids": ("m",), "statuses": ("x",)}, "criteria_unfit"),
        ("Outages", {"reading_types": (KWH,)}, "criteria_unfit"),
        ("Alarms", {"lives": ("open",)}, "criteria_unfit"),
        ("Alarms", {"after_ms": 2, "until_ms": 2}, "criteria_unfit"),
        ("Alarms", {"limit": 0}, "limit_invalid"),
        ("Alarms", {"limit": 1001}, "limit_invalid"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_with_a_code(
    file_bench: Bench, noun: str, how: dict[str, object], code: str
) -> None:
    with pytest.raises(CriteriaError) as caught:
        file_bench.page(noun, **how)  # type: ignore[arg-type]
    assert caught.value.code == code

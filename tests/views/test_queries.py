"""The port of questions on a real view: SQLite, and PostgreSQL where it is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from connectors.queries import NotAnsweredError, Question, QuestionError
from streams.runtime.gateway import queries
from streams.runtime.gateway.queries import ViewQueries
from streams.runtime.settings import Views
from tests.views.conftest import Open
from tests.views.rig import MIDNIGHT, QUARTER, Bench, outage, series
from topics import load_catalogue

CATALOGUE = load_catalogue()
OUTAGES = "cim.i1.outages.current"
READINGS = "cim.i7.meter-readings"


def asked(
    settings: Views, test: Callable[[ViewQueries], Awaitable[Any]], within_s: float = 60.0
) -> Any:
    async def all_of_it() -> Any:
        asking = ViewQueries(settings, CATALOGUE, timeout_s=within_s)
        try:
            return await test(asking)
        finally:
            await asking.stop()

    return asyncio.run(all_of_it())


@pytest.fixture
def settings(database_url: str) -> Views:
    return Views(database=database_url)


def test_questions_are_answered_by_pages(bench: Bench, settings: Views) -> None:
    for n in range(3):
        bench.add(OUTAGES, f"o-{n}", outage(f"o-{n}", revision=n + 1))

    async def test(asking: ViewQueries) -> list[Any]:
        first = await asking.page(Question("Outages"), 2, "")
        assert first.code == "0.1"
        rest = await asking.page(Question("Outages"), 2, first.cursor or "")
        assert rest.cursor is None
        return [(one.key, one.revision, one.record["mRID"]) for one in (*first.found, *rest.found)]

    assert asked(settings, test) == [(f"o-{n}", n + 1, f"o-{n}") for n in range(3)]


def test_a_page_of_large_rows_has_fewer_of_them_and_none_is_lost(
    bench: Bench, settings: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [outage(f"o-{n}", cause="x" * 100 * n) for n in range(8)]
    for n, row in enumerate(rows):
        bench.add(OUTAGES, f"o-{n}", row)
    monkeypatch.setattr(queries, "PAGE_BYTES_MAX", len(rows[-1]) + 1)

    async def test(asking: ViewQueries) -> list[list[str]]:
        pages, cursor = [], ""
        while True:
            answer = await asking.page(Question("Outages"), 8, cursor)
            pages.append([one.key for one in answer.found])
            if answer.cursor is None:
                return pages
            cursor = answer.cursor

    pages = asked(settings, test)
    assert [key for page in pages for key in page] == [f"o-{n}" for n in range(8)]
    assert len(pages) > 2
    assert len(pages[-1]) == 1


def test_an_object_is_found_by_its_uuid_in_whatever_spelling_it_was_sent(
    bench: Bench, settings: Views
) -> None:
    uuid = "7b1f0f6e-2f6e-4d8c-9f0a-1c5b3a9e0001"
    spellings = (uuid, f"_{uuid.upper()}", f"urn:uuid:{uuid}")
    for n, spelling in enumerate(spellings):
        bench.add(OUTAGES, f"{n}", outage(spelling))

    async def test(asking: ViewQueries) -> list[str]:
        return [
            one.key for one in (await asking.page(Question("Outages", mrids=(uuid,)), 9, "")).found
        ]

    assert asked(settings, test) == ["0", "1", "2"]


def test_many_ask_at_once_and_each_gets_its_own_answer(bench: Bench, settings: Views) -> None:
    for n in range(20):
        bench.add(OUTAGES, f"o-{n}", outage(f"o-{n}"))

    async def test(asking: ViewQueries) -> list[str]:
        questions = [asking.page(Question("Outages", mrids=(f"o-{n}",)), 1, "") for n in range(20)]
        return [answer.found[0].key for answer in await asyncio.gather(*questions)]

    assert asked(settings, test) == [f"o-{n}" for n in range(20)]


def test_a_series_has_only_the_readings_that_were_asked_for(bench: Bench, settings: Views) -> None:
    meter = {"mRID": "m-1", "names": []}
    bench.add(READINGS, "m-1", series([1.0, 2.0, 3.0], meter=meter))

    async def test(asking: ViewQueries) -> Any:
        question = Question(
            "MeterReadings", mrids=("m-1",), after_ms=MIDNIGHT, until_ms=MIDNIGHT + QUARTER
        )
        return await asking.page(question, 10, "")

    (found,) = asked(settings, test).found
    assert found.record["values"] == [2.0]


def test_a_question_that_cannot_be_answered_says_why(bench: Bench, settings: Views) -> None:

    async def test(asking: ViewQueries) -> list[str]:
        codes = []
        for question, cursor in (
            (Question("MeterReadings"), ""),
            (Question("Outages", reading_types=("x",)), ""),
            (Question("Outages"), "x"),
            (Question("Meteors"), ""),
        ):
            with pytest.raises(QuestionError) as caught:
                await asking.page(question, 1, cursor)
            codes.append(caught.value.code)
        return codes

    assert asked(settings, test) == [
        "criteria_too_wide", "criteria_unfit", "cursor_invalid", "noun_not_kept",
    ]  # fmt: skip


def test_a_view_that_comes_later_is_found(connect: Open, settings: Views) -> None:
    async def test(asking: ViewQueries) -> Any:
        with pytest.raises(NotAnsweredError) as caught:
            await asking.page(Question("Outages"), 1, "")
        assert caught.value.code == "view_missing"
        Bench(connect(), connect())
        return await asking.page(Question("Outages"), 1, "")

    assert asked(settings, test).found == ()


def test_who_asks_too_long_hears_so_and_the_next_is_answered(bench: Bench, settings: Views) -> None:

    async def test(asking: ViewQueries) -> Any:
        with pytest.raises(NotAnsweredError, match="in time"):
            await asking.page(Question("Outages"), 1, "")
        asking._timeout_s = 60.0
        return await asking.page(Question("Outages"), 1, "")

    assert asked(settings, test, within_s=0.0).found == ()

"""A fixed selection of the fuzzing, and that its judge notices what it is there for."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Sequence

import pytest

from streams.demo import messages as m
from streams.engine.processor import Context
from streams.engine.record import Output, Record
from streams.processors.intake import Intake
from tests.fuzz import mutations, run
from tests.fuzz.corpus import Corpus, load
from tests.fuzz.judge import Edge, FindingError
from topics import load_catalogue

SEED, COUNT = 7, 3000
CORPUS = load()


def test_mutated_messages_are_accepted_or_rejected_with_a_code() -> None:
    """Goal: no input breaks the edge; see `judge` for what is asked of each message."""
    report = run.run(SEED, range(COUNT), CORPUS)
    assert report.findings == []
    assert report.outcomes.keys() == {"accepted", "passed on", "repeat", "rejected"}
    # Were nearly all of them stopped by the parser, nothing behind it would be tested.
    assert report.outcomes["accepted"] > COUNT / 20
    # 31 at this seed; the other codes are of models and registers, which these do not reach.
    assert len(report.codes) > 30


def test_a_message_is_a_function_of_seed_and_number() -> None:
    assert run.case(1, 2, CORPUS) == run.case(1, 2, load())
    assert run.case(1, 2, CORPUS) != run.case(1, 3, CORPUS)
    assert run.case(1, 2, CORPUS) != run.case(2, 2, CORPUS)


def test_every_mutation_takes_any_message() -> None:
    """Also what another mutation has made of it."""
    for mutation, _ in mutations.MUTATIONS:
        dice = random.Random(1)
        for data in (b"", b"<", b"<a/>", CORPUS.messages[0], b"\xff" * 9):
            assert isinstance(mutation(dice, data, CORPUS), bytes)


def test_messages_enter_that_the_corpus_says_are_good() -> None:
    edge = Edge(CORPUS)
    assert edge.judge(m.envelope(_readings(), message_id="new")).outcome == "accepted"
    assert edge.judge(CORPUS.messages[0], seen=True).outcome == "repeat"


def _readings() -> str:
    return m.meter_readings([m.full_meter("m", m.values(1, 4), m.times(4))])


# ----------------------------------------------------------------------------------- canaries

GOOD = m.envelope(_readings(), message_id="m-1", extra="<AckRequired>true</AckRequired>")
SMALL = Corpus((m.envelope(_readings(), message_id="m-2"),))


class Broken(Intake):
    """Intake with what a test puts in place of its decisions."""

    def __init__(self, process: Callable[[Intake, Record, Context], None]) -> None:
        super().__init__(load_catalogue(), ["I7"])
        self._instead = process

    def process(self, record: Record, prepared: object, context: Context) -> None:
        (understood,) = self.prepare([record])
        super().process(record, understood, context)
        self._instead(self, record, context)


def breaks(_: Intake, __: Record, ___: Context) -> None:
    raise KeyError("not foreseen")


def loses(_: Intake, __: Record, context: Context) -> None:
    context.outputs.clear()


def garbles(_: Intake, __: Record, context: Context) -> None:
    context.outputs = [o._replace(value=(o.value or b"")[:-1]) for o in context.outputs]


def invents(_: Intake, __: Record, context: Context) -> None:
    code = Output("cim.i7.rejected", b"k", b"v", (("cimstream_code", b"whatever"),))
    context.emit(code)


def gives_up(_: Intake, record: Record, context: Context) -> None:
    headers = (("cimstream_code", b"processing_failed"),)
    context.emit(Output("cim.i7.rejected", record.key, record.value, headers))


def varies(_: Intake, __: Record, context: Context) -> None:
    context.emit(Output("cim.i7.rejected", b"k", os.urandom(8), (("cimstream_size", b"8"),)))


def forgets(_: Intake, __: Record, context: Context) -> None:
    context._writes.clear()


@pytest.mark.parametrize(
    "process",
    [breaks, loses, garbles, invents, gives_up, varies, forgets],
    ids=lambda f: f.__name__,
)
def test_an_edge_that_breaks_a_promise_is_noticed(
    process: Callable[[Intake, Record, Context], None],
) -> None:
    edge = Edge(Corpus(()), intake=Broken(process))
    with pytest.raises((FindingError, KeyError, ValueError)):
        edge.judge(GOOD)


def test_what_breaks_is_reported_once_with_the_number_that_repeats_it() -> None:
    report = run.run(1, range(40), SMALL, edge=Edge(Corpus(()), intake=Broken(breaks)))
    kinds = [finding.kind for finding in report.findings]
    assert len(kinds) == len(set(kinds))
    assert any("KeyError" in kind for kind in kinds)


def test_a_message_that_takes_too_long_is_a_finding() -> None:
    report = run.Report(slowest=(run.CPU_S_MAX * 1.1, 17))
    found = run.slow(report)
    assert found is not None
    assert found.number == 17
    assert run.slow(run.Report(slowest=(run.CPU_S_MAX / 2, 17))) is None


@pytest.mark.parametrize(
    ("samples", "grows"),
    [
        ([100] * 50, False),
        ([0] * 10 + [100] * 40, False),  # the warm-up
        ([100 + (i % 2) * 20 for i in range(50)], False),
        ([100 + 4 * i for i in range(50)], True),
    ],
)
def test_memory_that_grows_behind_the_warm_up_is_a_finding(
    samples: Sequence[int], grows: bool
) -> None:
    mib = 1024 * 1024
    report = run.Report(growth_bytes=run.growth([sample * mib for sample in samples]))
    assert (run.too_large(report) is not None) == grows


def test_workers_report_what_one_process_would() -> None:
    *_, report = run.spread(SEED, 60, 2, SMALL)
    assert isinstance(report, run.Report)
    alone = run.run(SEED, range(60), SMALL)
    assert (report.count, report.outcomes, report.codes) == (60, alone.outcomes, alone.codes)


def test_a_worker_that_dies_is_a_finding_and_the_others_numbers_are_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a crash in the parser's C code would be."""
    killed: list[int] = []
    listen = run._Job.listen

    def listening(self: run._Job) -> None:
        if not killed and self.done > 3:
            killed.append(self._last)
            os.kill(self._process.pid or 0, signal.SIGKILL)
        listen(self)

    monkeypatch.setattr(run._Job, "listen", listening)
    *_, report = run.spread(SEED, 400, 1, SMALL)
    assert isinstance(report, run.Report)
    assert report.count == 400
    assert [finding.kind for finding in report.findings] == ["the process ended with -9"]

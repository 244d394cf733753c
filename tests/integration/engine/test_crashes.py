"""The process dies: at each step of a commit, and at moments nobody chose."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from streams.engine.events import RestoreCompleted, Step
from tests.integration.engine import rig

STEPS = [(step.value, done) for step in Step for done in (False, True)]
POINTS = [f"{'after' if done else 'before'}-{step}" for step, done in STEPS]

# Every fifth is a repeat of an earlier key; batches of 7 leave several commits for the crash.
RECORDS = [(b"k%d" % (i - 5 if i % 5 == 4 else i), b"v%d" % i) for i in range(60)]
BATCH = 7


@pytest.mark.integration
@pytest.mark.parametrize("wiped", [False, True], ids=["disk-kept", "disk-wiped"])
@pytest.mark.parametrize("point", STEPS, ids=POINTS)
def test_a_crash_at_any_step_of_a_later_commit_loses_and_repeats_nothing(
    kafka: str, tmp_path: Path, point: tuple[str, bool], wiped: bool
) -> None:
    """Goal: no step of a commit may be the wrong moment to die.

    Method: end a worker hard around a step of its third commit, look at what it left on disk,
    run the slot again (on that disk, or on an empty one), judge from outside.
    """
    names = rig.new_names()
    rig.make_topics(kafka, names)
    rig.feed(kafka, names, RECORDS)
    child = rig.Child(kafka, names, tmp_path, batch=BATCH, crash=[*point, 3])
    assert child.wait() == rig.CRASHED
    rig.assert_local_state(kafka, names, tmp_path, complete=False)
    if wiped:
        shutil.rmtree(tmp_path / names.member(0))
    rig.finish(kafka, names, tmp_path)
    rig.assert_exact(kafka, names)
    rig.assert_local_state(kafka, names, tmp_path, complete=True)


@pytest.mark.integration
@pytest.mark.parametrize(
    "point", [(Step.COMMIT.value, False), (Step.COMMIT.value, True), (Step.APPLY.value, True)]
)
def test_a_crash_at_the_very_first_commit_loses_and_repeats_nothing(
    kafka: str, tmp_path: Path, point: tuple[str, bool]
) -> None:
    """As above, where the group has no offsets and the disk no checkpoint yet."""
    names = rig.new_names()
    rig.make_topics(kafka, names)
    rig.feed(kafka, names, RECORDS)
    assert rig.Child(kafka, names, tmp_path, batch=BATCH, crash=[*point, 1]).wait() == rig.CRASHED
    rig.assert_local_state(kafka, names, tmp_path, complete=False)
    rig.finish(kafka, names, tmp_path)
    rig.assert_exact(kafka, names)
    rig.assert_local_state(kafka, names, tmp_path, complete=True)


@pytest.mark.integration
def test_a_crash_between_commit_and_apply_is_made_good_from_the_changelog(
    kafka: str, tmp_path: Path
) -> None:
    """Goal: it is the changelog, and only its tail, that brings the lost step 4 back."""
    names = rig.new_names()
    rig.make_topics(kafka, names, 1)
    rig.feed(kafka, names, RECORDS)
    crash = [Step.COMMIT.value, True, 2]
    assert rig.Child(kafka, names, tmp_path, batch=BATCH, crash=crash).wait() == rig.CRASHED
    written = len(rig.read_all(kafka, names.seen)) + len(rig.read_all(kafka, names.counters))
    events = rig.finish(kafka, names, tmp_path)
    read = [event.records for event in events if isinstance(event, RestoreCompleted)]
    assert 0 < sum(read) < written


@pytest.mark.integration
@pytest.mark.chaos
@pytest.mark.slow
def test_kills_at_random_moments_are_invisible_to_a_committed_reader(
    kafka: str, tmp_path: Path
) -> None:
    """Goal: nobody who reads only what is committed ever sees that a worker was killed.

    Method: kill -9 whenever the reader, who watches all the time, has seen so and so many
    outputs; the seeds are in the numbers. The reader checks number by number while it goes.
    """
    kills, total = 8, 20_000
    names = rig.new_names()
    rig.make_topics(kafka, names)
    rig.feed(kafka, names, ((b"k%d" % (i % (total - 500)), b"v") for i in range(total)))
    marks = sorted(random.Random(41771).sample(range(1, total - 2000), kills))
    numbers = {0: 0, 1: 0}
    seen: set[bytes] = set()
    consumer = rig.reader(kafka, names.sink)

    def watch(outputs: int) -> None:
        while len(seen) < outputs:
            for message in consumer.consume(1, 1.0) + consumer.consume(500, 0):
                problem = message.error()
                if problem is not None:
                    assert problem.code() == KafkaError._PARTITION_EOF, problem
                    continue
                partition, headers = message.partition() or 0, dict(message.headers() or ())
                assert headers["n"] == str(numbers[partition] + 1).encode()
                numbers[partition] += 1
                key = message.key() or b""
                assert key not in seen
                seen.add(key)

    for mark in marks:
        child = rig.Child(kafka, names, tmp_path, batch=50)
        watch(mark)
        child.kill()
    rig.finish(kafka, names, tmp_path)
    watch(total - 500)
    consumer.close()
    rig.assert_exact(kafka, names)
    rig.assert_local_state(kafka, names, tmp_path, complete=True)

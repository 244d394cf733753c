"""Clocks that are an hour or a day off, and step backwards."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.chaos.faults import Unfit
from tests.chaos.scenario import Scenario
from tests.chaos.stage import Stage

_HOUR_S: Final = 3600
_SHIFTS: Final = (_HOUR_S, -_HOUR_S, 25 * _HOUR_S, -25 * _HOUR_S)
_LIBRARIES: Final = ("libfaketime.so.1", "libfaketimeMT.so.1")
# Loaded by Python before anything of ours. The file is read at each call: a clock may step.
_SHIFTED: Final = '''\
"""The wall clock of this process is off by what a file says."""

import pathlib
import time

_file = pathlib.Path(__file__).with_name("shift")
_time, _time_ns = time.time, time.time_ns


def _shift():
    try:
        return int(_file.read_text() or 0)
    except (OSError, ValueError):
        return 0


time.time = lambda: _time() + _shift()
time.time_ns = lambda: _time_ns() + _shift() * 1_000_000_000
'''


def workers_off(stage: Stage) -> None:
    """The clocks of two machines differ and step, forwards and backwards, under load."""
    clocks = [_clock(stage, name) for name in ("fast", "slow")]
    runs = [
        stage.run(
            clock.parent.name, first_slot=10 * number, variables={"PYTHONPATH": str(clock.parent)}
        )
        for number, clock in enumerate(clocks)
    ]
    with stage.fed(80):
        for turn in range(stage.rounds(4)):
            for clock in clocks:
                clock.write_text(str(stage.chance.choice(_SHIFTS)))
            stage.rest(0.5, 1.5)
            if turn % 2:
                runs[turn // 2 % 2].kill_worker(10 * (turn // 2 % 2))


def broker_off(stage: Stage) -> None:
    """The broker starts again and again with another clock, ahead by hours and behind by hours.

    Between its lives, because a Kafka whose clock steps back while it runs may stop sending its
    own markers until the time is reached again (its clients measure time-outs by that clock).
    """
    library = next((found for name in _LIBRARIES if (found := _find(name))), None)
    if library is None:
        raise Unfit("libfaketime is not installed (Debian: apt install faketime)")
    # Three of them in any order have one that goes back.
    shifts = stage.chance.sample(_SHIFTS, len(_SHIFTS))
    try:
        stage.run(workers=2)
        with stage.fed(60):
            for turn in range(stage.rounds(3)):
                _start_with_clock(stage, library, shifts[turn % len(shifts)])
                stage.rest(1.0, 2.0)
        stage.settle()
    finally:
        for broker in stage.cluster.brokers:
            broker.stop()
            broker.environment = {}
        stage.cluster.restart()


def _start_with_clock(stage: Stage, library: Path, shift_s: int) -> None:
    for broker in stage.cluster.brokers:
        broker.stop()
        broker.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME": f"{shift_s:+d}s",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # its detour makes a JVM wait for ever
        }
    stage.cluster.restart()


def _clock(stage: Stage, name: str) -> Path:
    folder = stage.folder / name
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_SHIFTED)
    shift = folder / "shift"
    shift.write_text("0")
    return shift


def _find(name: str) -> Path | None:
    folders = [Path("/usr/lib"), Path("/usr/local/lib")]
    return next((path for folder in folders for path in folder.glob(f"**/{name}")), None)


SCENARIOS: Final = (
    Scenario(
        "worker-clocks",
        "the workers' wall clocks are an hour or a day off and step backwards",
        workers_off,
    ),
    Scenario(
        "broker-clock",
        "the broker's wall clock is an hour or a day off and steps backwards",
        broker_off,
        bound_s=300,  # three of them start slowly under that library
    ),
)

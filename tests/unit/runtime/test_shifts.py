"""Work in shifts: turn after turn, one thread at a time, and names are forgotten with it."""

from __future__ import annotations

import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from schemas import xml
from streams.runtime.shifts import in_shifts

ROOT = Path(__file__).resolve().parents[3]
# What stays behind: the profiles that were loaded (50), what one thread has read, and noise.
GROWTH_MIB_MAX = 144
INVENTED_MIB = 192

# Names nobody has seen before, in all places of a message, and each noun once amid them.
SENDER = """
import resource, sys
from pathlib import Path
from streams.processors.understand import Understanding
from streams.runtime.shifts import in_shifts
from topics import load_catalogue
from streams.demo import messages as m
from tests.unit.runtime.test_shifts import INVENTED_MIB

catalogue = load_catalogue()
of = {name: Understanding(catalogue, name) for name in catalogue.interfaces}
examples = sorted(Path("examples/nouns").glob("i*/*.xml"))
sent = 0

def mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 20

def invented():
    global sent
    names = [f"n{sent + n}-{'x' * 500}" for n in range(1000)]
    sent += 1000
    stray = "".join(f"<{n}/>" for n in names[:10])
    inside = "".join(f"<{a} {b}='1'/>" for a, b in zip(names[10:410], names[410:810]))
    header = "".join(f"<{n}/>" for n in names[810:])
    bad = f"<MeterReading>{inside}</MeterReading>"
    payload = f'<MeterReadings xmlns="{m.READINGS}">{stray}{bad}</MeterReadings>'
    return m.envelope(payload, message_id=str(sent), extra=header)

def turn():
    of["I7"].understand(invented())
    if examples and not sent % 5000:
        file = examples.pop()
        of[file.parent.name.upper()].understand(file.read_bytes())

def over():
    return sent * 500 >= INVENTED_MIB << 20

turn()
before = mib()
if sys.argv[1] == "shifts":
    in_shifts(turn, over)
else:
    while not over():
        turn()
print(mib() - before)
"""


def grown_mib(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", SENDER, how], cwd=ROOT, capture_output=True, check=True, timeout=300
    )
    return int(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_names_that_a_sender_invents_are_forgotten() -> None:
    """Goal: no growth. Method: 192 MiB of names; without shifts they are all kept."""
    assert grown_mib("shifts") < GROWTH_MIB_MAX
    assert grown_mib("one thread") > INVENTED_MIB


def test_turns_follow_each_other_until_it_is_over() -> None:
    """A thread ends when it has read enough, and the next one goes on."""
    threads: list[int] = []
    data = b"<a>" + b" " * (1 << 20) + b"</a>"

    def turn() -> None:
        threads.append(threading.get_native_id())
        xml.parse(data)

    in_shifts(turn, lambda: len(threads) == 40)
    assert len(threads) == 40
    changes = sum(a != b for a, b in pairwise(threads))
    assert 1 <= changes <= 3
    assert threading.get_native_id() not in threads


def test_what_a_turn_raises_goes_through_and_ends_it() -> None:
    turns: list[None] = []

    def turn() -> None:
        turns.append(None)
        raise KeyError("fault")

    with pytest.raises(KeyError, match="fault"):
        in_shifts(turn, lambda: False)
    assert len(turns) == 1


def test_what_is_over_takes_no_turn() -> None:
    in_shifts(lambda: pytest.fail("a turn was taken"), lambda: True)

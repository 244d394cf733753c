"""Mutated messages of every noun, through intake and registers."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.avro import decode
from schemas.envelope import read
from schemas.errors import CODES
from streams.engine.record import Output
from tests.fuzz import mutations
from tests.fuzz.corpus import Corpus
from tests.fuzz.judge import NEVER
from tests.unit.registers.driver import EVERY, House, header

EXAMPLES = Path(__file__).parents[2] / "examples" / "nouns"
SEED, COUNT = 11, 150


def corpus(interface: str) -> Corpus:
    folder = EXAMPLES / interface.lower()
    return Corpus(tuple(file.read_bytes() for file in sorted(folder.glob("*.xml"))))


@pytest.mark.parametrize("interface", EVERY)
def test_a_mutated_message_takes_effect_or_is_rejected_with_a_code_and_breaks_nothing(
    interface: str,
) -> None:
    """Goal: no message breaks a processor. The objects stay, so that changes find something."""
    messages, house = corpus(interface), House()
    effects = 0
    for number in range(COUNT):
        data = mutations.message(SEED, number, messages)
        outputs = house.send(data, interface)
        for output in outputs:
            judge(output)
        effects += any(output.topic.endswith((".accepted", ".rejected")) for output in outputs)
    assert effects > COUNT / 2


def judge(output: Output) -> None:
    """What is written can be read, and says why where it is a rejection."""
    kind = output.topic.rpartition(".")[2]
    if kind == "rejected":
        code = header(output, "cimstream_code")
        assert code in CODES
        assert code not in NEVER
    elif kind == "outbound":
        assert read(output.value or b"").reply is not None
    elif kind not in ("accepted", "inbound") and output.value is not None:
        decode(output.value)

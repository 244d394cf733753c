"""A `cimstream dlq redrive` in a process of its own, to be killed.

Usage: redrive_child.py STEP NTH ARGUMENT...

Runs the command with the arguments and kills itself at STEP: `fenced` (the predecessor is), or
`produced` and `committed` of the NTH batch.
"""

from __future__ import annotations

import os
import signal
import sys

from streams.cli import execute
from streams.engine.kafka import TransactionalProducer
from streams.runtime import redrive

step, nth, *arguments = sys.argv[1:]
batches = 0


def reached(name: str) -> None:
    if name == step and batches == int(nth):
        os.kill(os.getpid(), signal.SIGKILL)


class Dying(TransactionalProducer):
    """Dies where it is told."""

    def reset(self) -> None:
        super().reset()
        reached("fenced")

    def commit(self) -> None:
        global batches  # noqa: PLW0603 - one process, one count
        batches += 1
        self._producer.flush()  # type: ignore[union-attr]  # the records are at the broker
        reached("produced")
        super().commit()
        reached("committed")


redrive.TransactionalProducer = Dying  # type: ignore[attr-defined]
sys.exit(execute(arguments))

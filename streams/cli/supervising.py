"""What every command that keeps processes running does around them.

Lives here: looking whether the cluster fits, signals, slots. Must not live here: which processes
there are (the commands), how they are kept running (`streams.runtime.supervisor`).
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

from streams.cli.options import Target
from streams.runtime.process import Orders
from streams.runtime.settings import Settings
from streams.runtime.slots import SlotLock
from streams.runtime.stopping import Stopping
from streams.runtime.supervisor import Supervisor
from streams.runtime.wiring import with_session_timeout
from topics import Catalogue, provision
from topics.errors import EXIT_CONFIG, OperatorError


def fitted(settings: Settings, aim: Target) -> Settings:
    """The settings with a session time-out that the cluster allows.

    Raises:
        OperatorError: `topics_missing`, `topics_conflict`, `broker_unreachable`.
    """
    admin = provision.connect(aim.kafka.bootstrap_servers, aim.kafka.extra)
    check_topics(admin, aim.catalogue)
    return with_session_timeout(settings, provision.session_timeout_min_ms(admin))


def supervise(orders: Sequence[Orders], slots: Sequence[SlotLock] = ()) -> int:
    """Keep processes running until SIGTERM or SIGINT, give the slots back, say how it ended."""
    stopping = Stopping()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        return Supervisor(orders, stopping).run()
    finally:
        for slot in slots:
            slot.close()


def check_topics(admin: provision.Admin, catalogue: Catalogue) -> None:
    """Refuse to start where a topic is missing or has another number of partitions.

    State and identity depend on the counts: with another one, repeats would not meet.
    """
    found = provision.outline(admin, catalogue)
    conflicts = found.of("conflict")
    if conflicts:
        raise OperatorError(
            "topics_conflict",
            what=f"{len(conflicts)} topics differ from the catalogue in what cannot be changed",
            where=", ".join(row.topic.name for row in conflicts[:5]),
            why="deduplication depends on the number of partitions",
            fix="see `cimstream topics plan`",
            exit_code=EXIT_CONFIG,
        )
    missing = found.of("create")
    if missing:
        raise OperatorError(
            "topics_missing",
            what=f"{len(missing)} topics of the catalogue do not exist",
            where=", ".join(row.topic.name for row in missing[:5]),
            fix="run `cimstream topics apply`",
            exit_code=EXIT_CONFIG,
        )

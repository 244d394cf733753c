"""Who may see what is masked: those who can write down that they did.

Lives here: the audit record that comes before anything unmasked. Must not live here: masking.

Whoever reads a topic with another program sees what is in it; that is for the cluster's ACLs to
decide. Of those who may read, our commands show persons to the role of the operator alone: the
one that may write `cim.audit` (`topics.acls`), because the cluster checks that and not we.

Invariant: nothing unmasked is shown before Kafka has the record of it.
"""

from __future__ import annotations

import time
from typing import Final

from streams.cli.options import Target
from streams.runtime.audit import actor, audit_record
from streams.runtime.sending import Delivery, Sender
from topics import naming
from topics.errors import OperatorError

_WITHIN_S: Final = 10.0


def record_unmasking(aim: Target, command: str, about: str) -> None:
    """Note in `cim.audit` who has `about` shown unmasked, and return when Kafka has it.

    Raises:
        OperatorError: `unmask_refused`.
    """
    told: list[Delivery] = []
    now_ms = time.time_ns() // 1_000_000
    record = audit_record("unmasked", about, by=actor(), time_ms=now_ms, details={"via": command})
    sender = Sender(aim.kafka, timeout_s=_WITHIN_S)
    sender.send(record, told.append)
    sender.finish()
    if told and not told[0].failure:
        return
    raise OperatorError(
        "unmask_refused",
        what="persons are shown to the role of the operator only, and on record",
        where=f"{aim.kafka.bootstrap_servers}, {naming.AUDIT}",
        why=told[0].failure if told else "no answer",
        fix="leave --unmask out, or have your principal given the role, see docs/security.md",
    )

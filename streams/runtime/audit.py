"""Who did what to the log: the records of `cim.audit`.

Lives here: the form of an audit record. Must not live here: sending it (it belongs into the
transaction of the act that it tells of, so that neither is there without the other).

An audit record names places and counts, never what a message holds.
"""

from __future__ import annotations

import getpass
import json
import socket
import uuid
from collections.abc import Mapping

from schemas.times import from_epoch_ms
from streams.engine.record import Output
from topics import naming

_IDS = uuid.UUID("6f1c1f0e-3a55-5d0c-9d8e-6a1a3a0f2c11")


def actor() -> str:
    """The operator, as the machine knows him: `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def audit_record(
    action: str, about: str, *, by: str, time_ms: int, details: Mapping[str, object]
) -> Output:
    """One act: `by` did `action` to `about` at `time_ms` (epoch ms UTC).

    `about` is the key: a place (`topic/partition@offset`) or the ID of a run. The value is JSON
    with the same fields and `details`.
    """
    time = from_epoch_ms(time_ms)
    document = {"action": action, "about": about, "by": by, "time": time, **details}
    return Output(
        naming.AUDIT,
        about.encode(),
        json.dumps(document, separators=(",", ":"), sort_keys=True).encode(),
        (
            ("content-type", b"application/json"),
            ("ce_specversion", b"1.0"),
            ("ce_id", str(uuid.uuid5(_IDS, f"{action}|{about}|{time_ms}")).encode()),
            ("ce_source", b"urn:cimstream:operator"),
            ("ce_type", f"cim.audit.{action}".encode()),
            ("ce_time", time.encode()),
        ),
    )

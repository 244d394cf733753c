"""How a message on outbound says to whom it goes, about what, and until when.

Lives here: names of headers. Must not live here: writing them (processors do), delivering the
message (`streams.runtime.delivery`).
"""

from __future__ import annotations

from typing import Final

DESTINATION: Final = "ce_destination"
"""The system that the message is for. It is also the key of the record: what goes to one system on
one interface lies on one partition."""

SUBJECT: Final = "ce_subject"
"""The object that the message is about. Without it, it is about all objects of its noun."""

EXPIRES: Final = "cimstream_expires"
"""From when on the message must not be delivered any more, epoch milliseconds UTC."""

FATE: Final = "cimstream_fate"
"""What became of a delivery: such a reply is no answer to a call, it says whether the message
reached its destination (`delivered`), or why it did not (a stable code)."""

"""How a reply on outbound says what it answers.

Lives here: the names of the headers. Must not live here: writing replies (processors do), waiting
for them (the gateway does).
"""

from __future__ import annotations

from typing import Final

ANSWERS: Final = "cimstream_answers"
"""The record on inbound that is answered, topic/partition@offset: each sending has its own place,
so a repeat of a message finds the reply to itself, and not that to the first one."""

SAME_AS: Final = "cimstream_sameas"
"""On a record without value in place of a reply: the record on inbound whose reply it is, too. That
reply lies before this record on the same partition."""

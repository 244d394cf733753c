"""The namespaces, roots and verbs of IEC 61968-100 as they are met.

Lives here: names and tables. Must not live here: how a message is read or written.
Invariant: internally a verb is lower-case and spelled as in edition 1.
"""

import re
from enum import StrEnum
from functools import lru_cache
from typing import Final


class Kind(StrEnum):
    """What a message is for."""

    REQUEST = "request"
    RESPONSE = "response"
    EVENT = "event"
    FAULT = "fault"


# Edition 1 of 2013: what is written, whatever was read.
EDITION_1: Final = "http://iec.ch/TC57/2011/schema/message"
# The pre-standard of 2008 has a Reply of its own form and replies in RequestMessages.
PRE_STANDARD: Final = "http://www.iec.ch/TC57/2008/schema/message"

MESSAGE_NAMESPACES: Final = frozenset(
    {
        PRE_STANDARD,
        "http://www.iec.ch/TC57/2010/schema/message",  # draft
        EDITION_1,
        "http://www.iec.ch/TC57/2011/schema/message",  # edition 1 with a stray www.
        "http://iec.ch/TC57/2016/schema/message",  # between the editions
        "http://iec.ch/TC57/2021/schema/message",  # edition 2
    }
)

# Other years, http for https, with and without www., `#` or `/` at the end, other capitals.
_MESSAGE: Final = re.compile(
    r"\s*(?:https?:/*)?(?:www\.)?iec\.ch/+TC57/+(?:[^\s/]+/+)*schema/+messages?[#/]*\s*",
    re.IGNORECASE,
)
_PRE_STANDARD_YEARS: Final = re.compile(r"/200\d/")


# What is longer is none, and is not to be remembered.
_LENGTH_MAX: Final = 200


def means_message(namespace: str) -> bool:
    """Whether a namespace is that of the envelope, written exactly or not."""
    return namespace in MESSAGE_NAMESPACES or (
        len(namespace) <= _LENGTH_MAX and _misspelt(namespace)
    )


@lru_cache(maxsize=256)
def _misspelt(namespace: str) -> bool:
    return _MESSAGE.fullmatch(namespace) is not None


def is_pre_standard(namespace: str) -> bool:
    """Whether a message in this namespace has the forms of the pre-standard."""
    return means_message(namespace) and _PRE_STANDARD_YEARS.search(namespace) is not None


XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"

KIND_OF_VERB: Final = {
    "create": Kind.REQUEST,
    "change": Kind.REQUEST,
    "cancel": Kind.REQUEST,
    "close": Kind.REQUEST,
    "delete": Kind.REQUEST,
    "get": Kind.REQUEST,
    "execute": Kind.REQUEST,
    "created": Kind.EVENT,
    "changed": Kind.EVENT,
    "canceled": Kind.EVENT,
    "closed": Kind.EVENT,
    "deleted": Kind.EVENT,
    "executed": Kind.EVENT,
    "reply": Kind.RESPONSE,
}

# British spelling, not in the standard but in messages.
VERB_SPELLINGS: Final = {"cancelled": "canceled"}

# Generic roots; None: the verb decides.
KIND_OF_ROOT: Final[dict[str, Kind | None]] = {
    "Message": None,
    "RequestMessage": Kind.REQUEST,
    "ResponseMessage": Kind.RESPONSE,
    "EventMessage": Kind.EVENT,
    "FaultMessage": Kind.FAULT,
}

# What a typed root may end with, after the noun.
ROOT_SUFFIXES: Final = {
    "RequestMessage": Kind.REQUEST,
    "ResponseMessage": Kind.RESPONSE,
    "EventMessage": Kind.EVENT,
    "FaultMessage": Kind.FAULT,
}

PRODUCTION: Final = "PRODUCTION"

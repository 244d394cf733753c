"""A payload as it lies in a file, wrapped in the message that it enters by.

Market documents and catalogues of types are handed over without an envelope.

Lives here: recognising the element of a noun, and the envelope around it. Must not live here: what
the payload says, I/O, network models (see `models`).

Invariant: a pure function; the same file gives the same message with the same MessageID, so sending
it again is a repeat.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Final

from schemas.envelope import Header, Message, peek_header, write
from schemas.envelope.header import header_element
from schemas.envelope.namespaces import KIND_OF_VERB
from schemas.envelope.payload import local_name
from schemas.errors import MessageError
from schemas.xml import XmlLimits, parse
from topics import Catalogue

_MESSAGE_IDS: Final = uuid.UUID("5f0d7c52-6a3e-5b4e-9a8e-0c3f5d9b7e11")


def wrap(data: bytes, catalogue: Catalogue, verb: str = "") -> bytes | None:
    """The message that a file's payload enters by; None where the file is no payload of a noun.

    Args:
        data: The file.
        catalogue: Says which nouns there are.
        verb: What is asked for; "" tells of what a history hears of (`created`) and creates what a
            register keeps.
    """
    if peek_header(data) is not None:
        return None
    try:
        root = parse(data, XmlLimits(bytes_max=catalogue.message_bytes_max))
    except MessageError:
        return None  # it goes in as it is, and is rejected with the reason
    noun = catalogue.noun(local_name(root))
    if noun is None or header_element(root) is not None:
        return None
    verb = verb or ("created" if noun.kind == "history" else "create")
    digest = hashlib.sha256(data).hexdigest()
    envelope = Header(
        verb=verb,
        noun=local_name(root),
        message_id=str(uuid.uuid5(_MESSAGE_IDS, f"{verb}|{digest}")),
    )
    return write(Message(KIND_OF_VERB[verb], envelope, payload=root))

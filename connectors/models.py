"""A network model as it lies in a file, wrapped in the message that it enters by.

Lives here: recognising CIM RDF/XML, and the envelope around it. Must not live here: what the model
says beyond its header, I/O.

Invariant: a pure function; the same file gives the same message with the same MessageID, so sending
it again is a repeat.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from typing import Final

from schemas import rdf
from schemas.envelope import Header, Message, write
from schemas.envelope.namespaces import KIND_OF_VERB
from schemas.envelope.packing import pack
from schemas.envelope.payload import RDF
from schemas.errors import MessageError
from schemas.profiles.network_data_set import BASE_OPTIONAL, MODEL_ID, NOUN
from schemas.rdf import Kind, ModelHeader
from schemas.xml import DEFAULT

_HEAD_BYTES: Final = 4096
# Small: what is broken further on is found behind inbound, with its line.
_PIECE_BYTES: Final = 1024
_MESSAGE_IDS: Final = uuid.UUID("0d6c3a0e-9a5b-5d6e-8a51-4f4c1c4e52aa")


def room(head: bytes) -> int:
    """How large a file that begins like this may be, in bytes; 0: no larger than others.

    A model is packed before it is a message.
    """
    return DEFAULT.model_bytes_max if _resembles_model(head) else 0


def _resembles_model(head: bytes) -> bool:
    """Whether the first bytes of a file look like RDF/XML, in whatever encoding."""
    start = head[:_HEAD_BYTES].replace(b"\x00", b"")
    return b"22-rdf-syntax-ns#" in start and b"RDF" in start


def wrap(data: bytes, name: str, verb: str = "") -> bytes | None:
    """The message that a file's model enters by; None where the file is no model.

    Args:
        data: The file.
        name: Names the model where the document does not; the file's name, by custom.
        verb: What is asked for; "" follows the header: a difference, and a model that supersedes
            another, is a change, every other model is created.
    """
    if not _resembles_model(data):
        return None
    try:
        header = rdf.read(_pieces(data)).header
    except MessageError:
        return None  # it goes in as it is, and is rejected with the reason
    # A file does not know whether the version that it supersedes ever came here.
    based = () if verb or not header.supersedes else (BASE_OPTIONAL,)
    verb = verb or _verb(header)
    version = f"{header.mrid}|{header.version}" if header.mrid else _digest(data)
    named = () if header.mrid else ((MODEL_ID, name),)
    envelope = Header(
        verb=verb,
        noun=NOUN,
        source=header.authority or "",
        message_id=str(uuid.uuid5(_MESSAGE_IDS, f"{verb}|{version}")),
        properties=(*named, *based),
    )
    # Packed however small it is: so the lines of what is found are those of the file.
    return write(Message(KIND_OF_VERB[verb], envelope, format=RDF, packed=pack(data)))


def _verb(header: ModelHeader) -> str:
    return "change" if header.supersedes or header.kind is Kind.DIFFERENCE else "create"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _pieces(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), _PIECE_BYTES):
        yield data[at : at + _PIECE_BYTES]

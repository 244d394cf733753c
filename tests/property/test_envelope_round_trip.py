"""What is written reads back as the same, whatever is in it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lxml import etree

from schemas import envelope
from schemas.canonical import canonical_form
from schemas.envelope import (
    Header,
    Kind,
    Message,
    ObjectId,
    Operation,
    OperationSet,
    Reply,
    ReplyError,
    peek_header,
    read,
    write,
)
from schemas.envelope.namespaces import KIND_OF_VERB
from schemas.identity import content_digest
from schemas.times import EPOCH_MS_MAX, EPOCH_MS_MIN, from_epoch_ms, to_epoch_ms

SCHEMA = etree.XMLSchema(file=Path(envelope.__file__).with_name("message.xsd"))

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)

# What XML can carry and the model keeps: no control characters, no white space at the ends.
xml_characters = st.characters(
    min_codepoint=0x20, exclude_categories=["Cs"], exclude_characters="\x7f\ufffe\uffff"
) | st.sampled_from("\t\n\r<>&\"'|%")
texts = st.text(xml_characters, max_size=30).map(lambda text: text.strip(" \t\r\n"))
words = texts.filter(bool)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,10}", fullmatch=True)
instants_ms = st.integers(EPOCH_MS_MIN, EPOCH_MS_MAX)
operation_ids = st.integers(-(10**17), 10**17)
object_ids = st.builds(
    ObjectId,
    texts,
    st.sampled_from(["", "name", "uuid", "transaction", "other"]),
    names | st.just(""),
    names | st.just(""),
    names | st.just(""),
)
reply_errors = st.builds(
    ReplyError,
    code=words,
    level=st.sampled_from(["", "INFORM", "WARNING", "FATAL", "CATASTROPHIC"]),
    reason=texts,
    details=texts,
    xpath=names | st.just(""),
    object_id=st.none() | object_ids,
    related_id=st.none() | object_ids,
    operation_id=st.none() | operation_ids,
)
replies = st.builds(
    Reply,
    result=st.sampled_from(["OK", "PARTIAL", "FAILED"]),
    errors=st.lists(reply_errors, max_size=3).map(tuple),
    ids=st.lists(object_ids, max_size=3).map(tuple),
    operation_id=st.none() | operation_ids,
)


@st.composite
def headers(draw: st.DrawFn, verb: st.SearchStrategy[str], noun: st.SearchStrategy[str]) -> Header:
    """A Header that edition 1 can say."""
    user_id = draw(texts)
    replay = draw(st.none() | st.tuples(words, instants_ms))
    properties = st.tuples(words.filter(lambda name: name.lower() != "destination"), texts)
    return Header(
        verb=draw(verb),
        noun=draw(noun),
        revision=draw(texts),
        context=draw(words.map(lambda text: text.upper())),
        timestamp_ms=draw(st.none() | instants_ms),
        source=draw(texts),
        destination=draw(texts),
        message_id=draw(texts),
        correlation_id=draw(texts),
        reply_address=draw(texts),
        ack_required=draw(st.none() | st.booleans()),
        async_reply=draw(st.none() | st.booleans()),
        user_id=user_id,
        organization=draw(texts) if user_id else "",
        comment=draw(texts),
        properties=tuple(draw(st.lists(properties, max_size=3))),
        replay_nonce=replay[0] if replay else "",
        replay_created_ms=replay[1] if replay else None,
    )


@st.composite
def payloads(draw: st.DrawFn, noun: str) -> etree._Element:
    """A small noun element with text, attributes and mixed content."""
    element = etree.Element(f"{{urn:{draw(names)}}}{noun}", {draw(names): draw(texts)})
    for _ in range(draw(st.integers(0, 3))):
        child = etree.SubElement(element, draw(names))
        child.text, child.tail = draw(texts) or None, draw(texts) or None
    return element


@st.composite
def operation_sets(draw: st.DrawFn) -> OperationSet:
    """An OperationSet with different operation ids."""
    operations = []
    for number in draw(st.lists(operation_ids, max_size=3, unique=True)):
        noun = draw(names)
        operations.append(
            Operation(
                number,
                noun,
                draw(st.sampled_from(sorted(KIND_OF_VERB))),
                draw(st.booleans()),
                draw(st.none() | payloads(noun)),
            )
        )
    return OperationSet(draw(st.booleans()), draw(st.booleans()), tuple(operations))


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """A message of any kind that edition 1 can say."""
    kind = draw(st.sampled_from(list(Kind)))
    if kind is Kind.FAULT:
        return Message(kind, None, reply=draw(replies))
    noun = draw(names)
    verbs = sorted(verb for verb, of_kind in KIND_OF_VERB.items() if of_kind is kind)
    header = draw(headers(st.sampled_from(verbs), st.just(noun)))
    content = draw(st.sampled_from(["none", "payload", "operations", "ids"]))
    return Message(
        kind,
        header,
        reply=draw(replies) if kind is Kind.RESPONSE else None,
        payload=draw(payloads(noun)) if content == "payload" else None,
        operation_set=draw(operation_sets()) if content == "operations" else None,
        payload_ids=(
            tuple(draw(st.lists(object_ids, min_size=1, max_size=3))) if content == "ids" else ()
        ),
        format=draw(st.sampled_from(["", "XML"])),
    )


def comparable(message: Message) -> tuple[object, ...]:
    """The message with elements by content."""

    def form(element: etree._Element | None) -> str | None:
        return None if element is None else canonical_form(element)

    steps = message.operation_set.operations if message.operation_set else ()
    return (
        message.kind,
        message.header,
        form(message.request),
        message.reply,
        form(message.payload),
        message.operation_set is None,
        message.operation_set and message.operation_set.enforce_integrity,
        message.operation_set and message.operation_set.enforce_sequence,
        [(s.operation_id, s.noun, s.verb, s.element_operation, form(s.payload)) for s in steps],
        message.payload_ids,
        message.format,
    )


@settings(deadline=None)
@given(messages())
def test_a_written_envelope_reads_back_as_the_same_message(message: Message) -> None:
    data = write(message)
    again = read(data)
    assert comparable(again) == comparable(message)
    assert write(again) == data
    assert content_digest(again) == content_digest(message)
    assert peek_header(data) == message.header


@settings(deadline=None)
@given(messages())
def test_a_written_envelope_is_valid(message: Message) -> None:
    SCHEMA.assertValid(etree.fromstring(write(message)))


@settings(deadline=None)
@given(instants_ms)
def test_instants_in_an_envelope_survive_writing_and_reading(instant_ms: int) -> None:
    assert to_epoch_ms(from_epoch_ms(instant_ms)) == instant_ms


@settings(deadline=None)
@given(st.datetimes(timezones=st.timezones()), st.sampled_from(["seconds", "milliseconds"]))
def test_times_of_an_envelope_are_the_instants_that_python_reads(
    moment: datetime, timespec: str
) -> None:
    offset = moment.utcoffset()
    # Local mean times of long ago have seconds, and dates lines once more than 14 hours.
    assume(offset is not None and not offset.seconds % 60 and abs(offset) <= timedelta(hours=14))
    text = moment.isoformat(timespec=timespec)
    exact = (moment.replace(microsecond=0) - EPOCH) // SECOND * 1000
    millis = moment.microsecond // 1000 if timespec == "milliseconds" else 0
    try:
        found = to_epoch_ms(text)
    except ValueError:
        assert not EPOCH_MS_MIN <= exact + millis <= EPOCH_MS_MAX
    else:
        assert found == exact + millis

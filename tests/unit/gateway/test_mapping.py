"""Between HTTP and calls: pure, total, and every code has a status."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import http
from connectors.exchange import Place, read_call
from connectors.http import HTTP_PROBLEMS, RequestError, unpack
from connectors.rest import mapping
from connectors.rest.config import RestLimits
from schemas.envelope import Reply, ReplyError, peek_header, reply_error, reply_to, write
from schemas.errors import CODES, MessageError, Problem
from tests.integration.data_rig import message
from topics import load_catalogue

CATALOGUE = load_catalogue()
LIMITS = RestLimits(wait_s=10, wait_max_s=60)
HEADERS = {"content-type": "application/xml", "content-length": "10"}
PLACE = Place("cim.i7.inbound", 3, 17)
PACKED = gzip.compress(b"<a/>", mtime=0)


def asking(**headers: str) -> mapping.Asking:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return mapping.read_headers({**HEADERS, **named}, 1000, LIMITS)


def reply(result: str, *errors: ReplyError) -> bytes:
    header = peek_header(message("m-1"))
    assert header is not None
    answer = reply_to(
        header, Reply(result, errors), message_id="r", timestamp_ms=0, source="cimstream"
    )
    return write(answer)


def test_every_stable_code_has_exactly_one_status() -> None:
    listed = [code for codes in http._TABLE["status"].values() for code in codes]
    assert sorted(listed) == sorted(CODES)


def test_no_code_of_http_is_also_one_of_messages() -> None:
    assert not HTTP_PROBLEMS.keys() & CODES.keys()


@pytest.mark.parametrize(
    ("prefer", "wait_s"),
    [
        ("", 10), ("wait=3", 3), ("wait=0", 0), ("wait=999", 60), ('wait="4"', 4),
        ("respond-async", 0), ("respond-async, wait=5", 0), ("return=minimal, WAIT=7", 7),
        ("handling=lenient", 10),
    ],
)  # fmt: skip
def test_prefer_says_how_long_to_wait_within_the_bounds(prefer: str, wait_s: float) -> None:
    assert asking(prefer=prefer).wait_s == wait_s


@pytest.mark.parametrize("prefer", ["wait=soon", "wait=-1", "wait=1.5", "wait", "wait=²"])
def test_a_wait_that_is_no_number_is_refused_and_not_guessed(prefer: str) -> None:
    with pytest.raises(RequestError, match="preference_invalid"):
        asking(prefer=prefer)


@pytest.mark.parametrize(
    ("header", "value", "code"),
    [
        ("content_type", "application/pdf", "media_type_unsupported"),
        ("content_type", "", "media_type_unsupported"),
        ("content_encoding", "br", "encoding_unsupported"),
        ("content_length", "", "length_required"),
        ("content_length", "-1", "length_required"),
        ("transfer_encoding", "chunked", "length_required"),
    ],
)
def test_headers_that_cannot_be_served_are_refused_before_the_body(
    header: str, value: str, code: str
) -> None:
    with pytest.raises(RequestError, match=code):
        asking(**{header: value})


def test_a_body_that_says_to_be_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(MessageError) as caught:
        asking(content_length="1001")
    assert caught.value.code == "message_too_large"


def test_gzip_gives_the_bytes_that_were_packed() -> None:
    assert unpack(gzip.compress(b"<a/>" * 10), 1000) == b"<a/>" * 10


def test_a_gzip_bomb_is_refused_with_no_more_than_the_limit_unpacked() -> None:
    with pytest.raises(MessageError) as caught:
        unpack(gzip.compress(b"\0" * 10_000_000), 1000)
    assert caught.value.code == "message_too_large"


@pytest.mark.parametrize("body", [b"", b"<a/>", PACKED[:-3], PACKED + b"x"])
def test_what_is_no_single_complete_gzip_stream_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError, match="encoding_invalid"):
        unpack(body, 1000)


def test_a_reply_that_reports_success_is_200_and_the_bytes_as_they_are() -> None:
    for result in ("OK", "PARTIAL"):
        data = reply(result, ReplyError("0.0"))
        response = mapping.answered(data, "*/*", "urn:x", CATALOGUE)
        assert (response.status, response.body) == (200, data)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("object_exists", 409), ("object_missing", 404), ("revision_outdated", 412),
        ("identity_conflict", 409), ("profile_violation", 400), ("transition_illegal", 409),
        ("verb_not_allowed", 403), ("noun_planned", 501),
    ],
)  # fmt: skip
def test_a_reply_that_refuses_has_the_status_of_its_code(code: str, status: int) -> None:
    data = reply("FAILED", reply_error(Problem(code, "here", "/*/Payload", 3)))
    for xml in ("*/*", "application/*", "application/xml, application/problem+json;q=0"):
        as_xml = mapping.answered(data, xml, "urn:x", CATALOGUE)
        assert (as_xml.status, as_xml.body) == (status, data)
    wanted = "application/xml, application/problem+json"
    as_problem = mapping.answered(data, wanted, "urn:x", CATALOGUE)
    document = json.loads(as_problem.body)
    assert (as_problem.status, document["code"]) == (status, code)
    assert document["errors"][0]["fix"] == CODES[code].fix


def test_a_refusal_in_the_words_of_somebody_else_is_422_and_keeps_them() -> None:
    data = reply("FAILED", ReplyError("2.4", reason="no such meter", details="ask the HES"))
    response = mapping.answered(
        data, "application/problem+json, application/xml;q=0", "urn:x", CATALOGUE
    )
    document = json.loads(response.body)
    assert (response.status, document["code"], document["title"]) == (
        422, "foreign", "no such meter",
    )  # fmt: skip


def test_a_reply_that_is_no_message_is_no_fault_of_who_asked() -> None:
    with pytest.raises(RequestError, match="reply_unreadable") as caught:
        mapping.answered(b"<a", "*/*", "urn:x", CATALOGUE)
    assert mapping.failed(caught.value, "here", "urn:x").status == 502


@pytest.mark.parametrize("accept", ["application/pdf", "text/html", "application/xml;q=0"])
def test_who_would_not_read_a_reply_is_told_before_anything_is_accepted(accept: str) -> None:
    call = read_call(message("m-1"), "I7", CATALOGUE, received_ms=0, traceparent="")
    with pytest.raises(RequestError, match="not_acceptable"):
        mapping.check_call(asking(accept=accept), call)


def test_an_idempotency_key_is_the_message_id_or_is_refused() -> None:
    call = read_call(message("m-1"), "I7", CATALOGUE, received_ms=0, traceparent="")
    mapping.check_call(asking(idempotency_key='"m-1"'), call)
    with pytest.raises(RequestError, match="idempotency_key_mismatch"):
        mapping.check_call(asking(idempotency_key="m-2"), call)


def test_the_location_of_an_answer_leads_back_to_its_place() -> None:
    path = mapping.answer_path("I7", PLACE)
    assert mapping.read_answer_id("I7", path.rpartition("/")[2]) == PLACE


@given(st.text() | st.from_regex(r"\d+-\d+"))
def test_no_other_name_of_an_answer_breaks_anything(text: str) -> None:
    with suppress(RequestError):
        place = mapping.read_answer_id("I7", text)
        assert [place.partition, place.offset] == [int(part) for part in text.split("-")]


@given(st.dictionaries(
    st.sampled_from(["content-type", "content-length", "content-encoding", "prefer", "accept",
                     "traceparent", "idempotency-key", "transfer-encoding"]),
    st.text(max_size=40),
))  # fmt: skip
def test_whatever_headers_say_they_are_understood_or_refused_with_a_code(
    headers: dict[str, str],
) -> None:
    with suppress(RequestError, MessageError):
        found = mapping.read_headers({**HEADERS, **headers}, 1000, LIMITS)
        assert 0 <= found.wait_s <= LIMITS.wait_max_s
        mapping.choose(found.accept, found.media)


def test_a_problem_says_what_where_why_and_what_to_do() -> None:
    error = MessageError(Problem("xml_not_wellformed", "it ends early", line=3))
    response = mapping.refused(error, "POST /v1/I7/messages", "urn:x")
    document = json.loads(response.body)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert document == {
        "type": "urn:cimstream:error:xml_not_wellformed",
        "title": CODES["xml_not_wellformed"].what,
        "status": 400,
        "code": "xml_not_wellformed",
        "where": "line 3",
        "detail": "it ends early",
        "instance": "urn:x",
        "iec_code": "1.8",
        "fix": CODES["xml_not_wellformed"].fix,
    }

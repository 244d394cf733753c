"""Resources over HTTP, without Kafka and without a database: what is asked, what a client gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from lxml import etree

from connectors.access import Gatekeeper, Rule, SourceAccess, key_hash, new_key
from connectors.queries import Answer, Found, Lag, NotAnsweredError, Question, QuestionError
from connectors.rest.config import RestLimits
from connectors.rest.server import RestDoor
from schemas.avro import decode
from schemas.avro.documents import document_of, record_of
from schemas.envelope import ObjectId, Reply, read, reply_error
from schemas.errors import Problem
from tests.unit.gateway.fake import FakeExchange
from tests.unit.gateway.test_door import CATALOGUE, refused
from tests.views.rig import outage, series

KEY = new_key()
JSON = {"Content-Type": "application/json"}
XML = {"Content-Type": "application/xml"}
OUTAGE = decode(outage("o-1", revision=3, cause="tree"))[1]
DEFINITION = record_of("MeterReadingSeries", {
    "readingType": "t", "firstTimeStamp": "2026-01-01T00:00:00Z", "values": [],
    "readingTypeDefinition": {"mRID": "t", "names": []},
})["readingTypeDefinition"]  # fmt: skip
DOCUMENT = {"mRID": "o-1", "cause": "tree"}


class FakeQueries:
    """Answers with what it is told to, and keeps what it was asked."""

    def __init__(self, answering: Callable[[Question], Answer]) -> None:
        self.answering = answering
        self.asked: list[tuple[Question, int, str]] = []

    async def page(self, question: Question, limit: int, cursor: str) -> Answer:
        self.asked.append((question, limit, cursor))
        return self.answering(question)


class Client:
    """Speaks to a door without a socket."""

    def __init__(
        self,
        *found: dict[str, Any],
        answer: Answer | None = None,
        reply: Reply | None = None,
        access: dict[str, SourceAccess] | None = None,
    ) -> None:
        rows = tuple(Found("k", one, one.get("revision", 0)) for one in found)
        self.queries = FakeQueries(lambda _: answer or Answer(rows))
        self.exchange = FakeExchange(lambda _: reply or Reply("OK"))
        door = RestDoor(
            CATALOGUE, self.exchange, Gatekeeper(access), RestLimits(), lambda *_: None,
            self.queries,
        )  # fmt: skip
        self._application = door.application()

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        named_ = {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if body is None or isinstance(body, bytes) else json.dumps(body)
        form = {} if body is None else XML if isinstance(body, bytes) else JSON

        async def one() -> httpx.Response:
            transport = httpx.ASGITransport(self._application)
            async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
                return await client.request(
                    method, path, content=content, headers={**form, **named_}
                )

        return asyncio.run(one())

    @property
    def message(self) -> Any:
        """What was submitted."""
        (call,) = self.exchange.log
        return read(call.message.value)


# --- one object ----------------------------------------------------------------------------------


def test_an_object_has_its_revision_as_etag_and_is_not_sent_again_to_who_has_it() -> None:
    client = Client(OUTAGE)
    response = client("GET", "/v1/I1/Outages/o-1")
    assert (response.status_code, response.headers["etag"]) == (200, '"3"')
    assert etree.fromstring(response.content)[0].findtext("{*}mRID") == "o-1"
    for known in ('"3"', 'W/"3"', '"1", "3"', "*"):
        again = client("GET", "/v1/I1/Outages/o-1", If_None_Match=known)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", '"3"')
    assert client("GET", "/v1/I1/Outages/o-1", If_None_Match='"2"').status_code == 200


def test_an_object_is_asked_for_in_the_spelling_of_the_path_and_as_a_uuid() -> None:
    client = Client(OUTAGE)
    client("GET", "/v1/I1/Outages/_7B1F0F6E-2F6E-4D8C-9F0A-1C5B3A9E0001?context=training")
    ((question, _, _),) = client.queries.asked
    assert question.context == "TRAINING"
    assert question.mrids == (
        "_7B1F0F6E-2F6E-4D8C-9F0A-1C5B3A9E0001", "7b1f0f6e-2f6e-4d8c-9f0a-1c5b3a9e0001",
    )  # fmt: skip


def test_an_object_that_is_not_there_is_404_and_one_of_two_409() -> None:
    refused(Client()("GET", "/v1/I1/Outages/o-1"), 404, "object_missing")
    behind = Client(answer=Answer((), gaps=("behind",)))
    document = refused(behind("GET", "/v1/I1/Outages/o-1"), 404, "object_missing")
    assert "behind" in document["detail"]
    refused(Client(OUTAGE, OUTAGE)("GET", "/v1/I1/Outages/o-1"), 409, "object_ambiguous")


# --- lists ---------------------------------------------------------------------------------------


def test_a_list_is_asked_for_by_criteria() -> None:
    client = Client()
    client(
        "GET",
        "/v1/I7/MeterReadings?mrid=a&mrid=b&name=n&feeder=f&reading_type=t"
        "&since=2026-01-01T00:00:00Z&until=2026-01-02T01:00:00%2B01:00&limit=7&cursor=c",
    )
    client("GET", "/v1/I1/Outages?status=confirmed&life=open")
    (readings, limit, cursor), (outages, *_) = client.queries.asked
    assert (limit, cursor) == (7, "c")
    assert readings == Question(
        "MeterReadings", mrids=("a", "b"), names=("n",), feeders=("f",), reading_types=("t",),
        after_ms=1_767_225_600_000, until_ms=1_767_312_000_000,
    )  # fmt: skip
    assert (outages.statuses, outages.lives) == (("confirmed",), ("open",))


def test_a_page_says_what_it_lacks_and_where_the_next_one_is() -> None:
    answer = Answer(
        (Found("o-1", OUTAGE, 3),), "next+", ("behind",), {"cim.i1.outages.current": Lag(12, 1000)}
    )
    client = Client(answer=answer)
    response = client("GET", "/v1/I1/Outages?life=open&limit=1", Accept="application/json")
    following = "/v1/I1/Outages?life=open&limit=1&cursor=next%2B"
    assert response.headers["link"] == f'<{following}>; rel="next"'
    assert response.json() == {
        "code": "0.1", "next": following, "gaps": ["behind"],
        "lag": {"cim.i1.outages.current": {"offsets": 12, "caughtUp": "1970-01-01T00:00:01Z"}},
        "items": [document_of(OUTAGE)],
    }  # fmt: skip
    said = client("GET", following).headers
    assert (said["cimstream-code"], said["cimstream-gaps"], said["cimstream-lag"]) == (
        "0.1", "behind", "12",
    )  # fmt: skip
    assert client.queries.asked[1][2] == "next+"
    assert client.queries.asked[1][0] == client.queries.asked[0][0]


def test_a_whole_page_has_no_next_and_no_gaps() -> None:
    response = Client(OUTAGE)("GET", "/v1/I1/Outages", Accept="application/json")
    assert (response.json()["code"], response.json()["next"]) == ("0.0", None)
    assert not {"link", "cimstream-gaps"} & response.headers.keys()


def test_readings_are_one_payload_with_each_definition_once() -> None:
    one = {
        **decode(series([1.0, 2.0], meter={"mRID": "m-1", "names": []}))[1],
        "readingTypeDefinition": DEFINITION,
    }
    client = Client(one, one)
    response = client("GET", "/v1/I7/MeterReadings?mrid=m-1")
    assert response.headers["content-type"] == "application/xml"
    payload = etree.fromstring(response.content)
    names = [etree.QName(child).localname for child in payload]
    assert names == ["MeterReading", "MeterReading", "ReadingType"]


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("*/*", "application/xml"), ("application/json", "application/json"),
        ("application/xml;q=0.1, application/json;q=0.2", "application/json"),
        ("text/xml", "application/xml"), ("application/*", "application/xml"),
    ],
)  # fmt: skip
def test_the_form_is_the_one_that_is_wanted_more(accept: str, form: str) -> None:
    for path in ("/v1/I1/Outages", "/v1/I1/Outages/o-1"):
        response = Client(OUTAGE)("GET", path, Accept=accept)
        assert (response.status_code, response.headers["content-type"]) == (200, form)


BAD_QUESTIONS = {
    "unknown": ("?mrids=a", "parameter_unknown"),
    "empty": ("?mrid=", "parameter_invalid"),
    "limit of nothing": ("?limit=0", "parameter_invalid"),
    "limit of everything": ("?limit=1001", "parameter_invalid"),
    "limit twice": ("?limit=1&limit=2", "parameter_invalid"),
    "limit in words": ("?limit=²", "parameter_invalid"),
    "no time": ("?since=yesterday", "parameter_invalid"),
    "no zone": ("?until=2026-01-01T00:00:00", "parameter_invalid"),
    "NUL": ("?name=%00", "parameter_invalid"),
    "long": ("?name=" + "x" * 1025, "parameter_invalid"),
    "context": ("?context=MARS", "parameter_invalid"),
    "many": ("?" + "&".join(f"mrid={n}" for n in range(101)), "parameter_invalid"),
}


@pytest.mark.parametrize(("query", "code"), BAD_QUESTIONS.values(), ids=BAD_QUESTIONS)
def test_a_question_that_cannot_be_understood_is_refused(query: str, code: str) -> None:
    client = Client()
    refused(client("GET", f"/v1/I1/Outages{query}"), 400, code)
    assert not client.queries.asked


def test_where_nothing_answers_it_says_whether_it_is_worth_asking_again() -> None:
    def failing(error: Exception) -> httpx.Response:
        client = Client()

        def answering(_: Question) -> Answer:
            raise error

        client.queries.answering = answering
        return client("GET", "/v1/I1/Outages")

    unavailable = failing(NotAnsweredError("view_unavailable", ""))
    refused(unavailable, 503, "view_unavailable")
    assert unavailable.headers["retry-after"]
    refused(failing(NotAnsweredError("view_missing", "")), 501, "view_missing")
    refused(failing(QuestionError("criteria_too_wide", "why")), 400, "criteria_too_wide")
    refused(failing(QuestionError("noun_not_kept", "why")), 404, "noun_not_kept")


NO_PATHS = {
    "no noun": ("GET", "/v1/I1/Meteors", 404, "noun_unknown"),
    "no noun at all": ("GET", "/v1/I1/meteors", 404, "path_unknown"),
    "a word of the door": ("TRACE", "/v1/I1/messages", 405, "method_not_allowed"),
    "no interface": ("GET", "/v1/I99/Outages", 404, "interface_unknown"),
    "not on this interface": ("GET", "/v1/I7/Outages", 403, "interface_not_allowed"),
    "a history has no objects": ("GET", "/v1/I1/Alarms/a-1", 404, "no_resource"),
    "a network model is no list": ("GET", "/v1/I2/NetworkDataSet", 404, "no_resource"),
    "no such verb": ("DELETE", "/v1/I1/Outages/o-1", 405, "method_not_allowed"),
    "only sent here": ("GET", "/v1/I7/WorkOrders", 403, "interface_not_allowed"),
    "no such method": ("PATCH", "/v1/I1/Outages/o-1", 405, "method_not_allowed"),
    "a NUL": ("GET", "/v1/I1/Outages/%00", 400, "parameter_invalid"),
}


@pytest.mark.parametrize(("method", "path", "status", "code"), NO_PATHS.values(), ids=NO_PATHS)
def test_a_path_that_leads_nowhere_says_why(method: str, path: str, status: int, code: str) -> None:
    client = Client()
    refused(client(method, path), status, code)
    assert not client.exchange.log
    assert not client.queries.asked


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1/I1/Outages", "GET, POST"), ("/v1/I1/Outages/o-1", "GET, PUT"),
        ("/v1/I7/UsagePointConfig/u-1", "GET, PUT, DELETE"), ("/v1/I1/Alarms", "GET, POST"),
    ],
)  # fmt: skip
def test_a_method_that_is_not_served_is_405_with_those_that_are(path: str, allow: str) -> None:
    for method in ("PATCH", "OPTIONS", "TRACE"):
        response = Client()(method, path)
        refused(response, 405, "method_not_allowed")
        assert response.headers["allow"] == allow


# --- changes -------------------------------------------------------------------------------------


def test_a_post_is_a_create_of_who_sent_it_with_its_key_as_message_id() -> None:
    rules = (Rule(interface="I1", nouns=("Outages",), verbs=("create",)),)
    access = {"OMS": SourceAccess(keys=(key_hash(KEY),), allow=rules)}
    reply = Reply("OK", ids=(ObjectId("o/1", "uuid"),))
    client = Client(reply=reply, access=access)
    response = client(
        "POST", "/v1/I1/Outages?context=TRAINING", DOCUMENT, X_API_Key=KEY, Idempotency_Key='"k-1"'
    )
    assert response.status_code == 201
    assert response.headers["location"] == "/v1/I1/Outages/o%2F1"
    assert response.json()["header"]["correlationID"] == "k-1"
    header = client.message.header
    assert (header.verb, header.noun, header.source) == ("create", "Outages", "OMS")
    assert (header.message_id, header.context) == ("k-1", "TRAINING")
    assert header.timestamp_ms
    assert client.message.payload[0].findtext("{*}cause") == "tree"


def test_without_a_key_each_request_is_a_message_of_its_own() -> None:
    client = Client()
    client("POST", "/v1/I1/Outages", DOCUMENT)
    client("POST", "/v1/I1/Outages", DOCUMENT)
    first, second = (call.header.message_id for call in client.exchange.log)
    assert first
    assert first != second


@pytest.mark.parametrize(("said", "expected"), [('"3"', ("3",)), ("*", ()), (None, ())])
def test_a_put_is_a_change_of_the_revision_that_was_seen(
    said: str | None, expected: tuple[str, ...]
) -> None:
    client = Client()
    headers = {} if said is None else {"If_Match": said}
    response = client("PUT", "/v1/I1/Outages/o-1", {"cause": "storm"}, **headers)
    assert response.status_code == 200
    assert client.message.header.verb == "change"
    assert client.message.header.properties == tuple(("ExpectedRevision", n) for n in expected)
    assert client.message.payload[0].findtext("{*}mRID") == "o-1"


def test_an_outdated_revision_is_412() -> None:
    failing = Reply("FAILED", (reply_error(Problem("revision_outdated")),))
    response = Client(reply=failing)("PUT", "/v1/I1/Outages/o-1", DOCUMENT, If_Match='"1"')
    assert (response.status_code, response.json()["result"]) == (412, "FAILED")
    assert response.json()["errors"][0]["details"].startswith("revision_outdated")


def test_a_delete_names_the_object() -> None:
    client = Client()
    response = client("DELETE", "/v1/I7/UsagePointConfig/u-1", If_Match='"2"')
    assert response.status_code == 200
    assert client.message.header.verb == "delete"
    assert client.message.payload_ids == (ObjectId("u-1", "uuid"),)
    assert client.message.header.properties == (("ExpectedRevision", "2"),)


def test_xml_and_json_of_the_same_object_are_the_same_message() -> None:
    client = Client(OUTAGE)
    xml = client("GET", "/v1/I1/Outages/o-1", Accept="application/xml").content
    document = client("GET", "/v1/I1/Outages/o-1", Accept="application/json").json()
    payloads = []
    for body in (xml, document):
        writing = Client()
        assert writing("PUT", "/v1/I1/Outages/o-1", body).status_code == 200
        payloads.append(etree.tostring(writing.message.payload, method="c14n"))
    assert payloads[0] == payloads[1]


OUTAGES = b'<Outages xmlns="urn:cimstream:Outages:1">%s</Outages>'
BAD_CHANGES: dict[str, tuple[str, Any, int, str]] = {
    "another object": ("PUT", {"mRID": "o-2"}, 400, "object_mismatch"),
    "another object in XML": (
        "PUT", OUTAGES % b"<Outage><mRID>o-2</mRID></Outage>", 400, "object_mismatch",
    ),
    "two objects": ("PUT", [DOCUMENT, DOCUMENT], 400, "object_mismatch"),
    "no object": ("PUT", OUTAGES % b"", 400, "object_mismatch"),
    "no such field": ("PUT", {"mrid": "o-1"}, 400, "json_unfit"),
    "no record": ("PUT", [], 400, "json_unfit"),
    "no object of JSON": ("PUT", "o-1", 400, "json_unfit"),
    "another noun": ("PUT", b'<Alarms xmlns="urn:cimstream:Alarms:1"/>', 400, "noun_unknown"),
    "no namespace": ("PUT", b"<Outages/>", 400, "payload_namespace_unknown"),
    "no XML": ("PUT", b"<Outages", 400, "xml_not_wellformed"),
    "a DTD": ("PUT", b'<!DOCTYPE a [<!ENTITY b "c">]><Outages/>', 400, "xml_forbidden"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("method", "body", "status", "code"), BAD_CHANGES.values(), ids=BAD_CHANGES
)
def test_a_change_that_cannot_be_meant_never_reaches_kafka(
    method: str, body: Any, status: int, code: str
) -> None:
    client = Client()
    found = client(method, "/v1/I1/Outages/o-1", body).json()
    assert (found["status"], found["code"]) == (
        404 if code == "noun_unknown" else status, code,
    )  # fmt: skip
    assert not client.exchange.log


BAD_HEADERS: dict[str, tuple[str, str, dict[str, str], int, str]] = {
    "a weak ETag": ("PUT", "/o-1", {"If_Match": 'W/"1"'}, 400, "precondition_invalid"),
    "no ETag": ("PUT", "/o-1", {"If_Match": "1"}, 400, "precondition_invalid"),
    "two ETags": ("PUT", "/o-1", {"If_Match": '"1", "2"'}, 400, "precondition_invalid"),
    "an ETag of others": ("PUT", "/o-1", {"If_Match": '"abc"'}, 400, "precondition_invalid"),
    "none of them": ("PUT", "/o-1", {"If_None_Match": "*"}, 400, "precondition_invalid"),
    "a condition of a create": ("POST", "", {"If_Match": "*"}, 400, "precondition_invalid"),
    "an empty key": ("POST", "", {"Idempotency_Key": ""}, 400, "idempotency_key_invalid"),
    "a key of spaces": ("POST", "", {"Idempotency_Key": "a b"}, 400, "idempotency_key_invalid"),
    "a key too long": ("POST", "", {"Idempotency_Key": "x" * 257}, 400, "idempotency_key_invalid"),
    "a media type": ("POST", "", {"Content_Type": "text/csv"}, 415, "media_type_unsupported"),
    "what is accepted": ("POST", "", {"Accept": "text/html"}, 406, "not_acceptable"),
}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"), BAD_HEADERS.values(), ids=BAD_HEADERS
)
def test_headers_that_cannot_be_served_are_refused(
    method: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    client = Client()
    refused(client(method, f"/v1/I1/Outages{path}", DOCUMENT, **headers), status, code)
    assert not client.exchange.log


def test_a_delete_has_no_body() -> None:
    client = Client()
    refused(client("DELETE", "/v1/I7/UsagePointConfig/u-1", b"<a/>"), 400, "body_unexpected")


# --- who may -------------------------------------------------------------------------------------


def test_what_a_source_may_not_read_or_change_it_does_not_and_it_is_audited() -> None:
    rules = (Rule(interface="I1", nouns=("Outages",), verbs=("create",)),)
    client = Client(OUTAGE, access={"OMS": SourceAccess(keys=(key_hash(KEY),), allow=rules)})
    for method, path, body in (
        ("GET", "/v1/I1/Outages", None), ("GET", "/v1/I1/Outages/o-1", None),
        ("PUT", "/v1/I1/Outages/o-1", DOCUMENT),
    ):  # fmt: skip
        refused(client(method, path, body, X_API_Key=KEY), 403, "not_authorised")
    refused(client("GET", "/v1/I1/Outages"), 401, "authentication_needed")
    assert not client.queries.asked
    assert not client.exchange.log
    said = [(record["noun"], record["verb"]) for record in client.exchange.audited[:3]]
    assert said == [("Outages", "get"), ("Outages", "get"), ("Outages", "change")]


def test_who_may_get_may_read() -> None:
    rules = (Rule(interface="I1", nouns=("Outages",), verbs=("get",)),)
    client = Client(OUTAGE, access={"BI": SourceAccess(keys=(key_hash(KEY),), allow=rules)})
    assert client("GET", "/v1/I1/Outages/o-1", X_API_Key=KEY).status_code == 200

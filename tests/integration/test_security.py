"""A Kafka where nobody may anything unasked: the pipeline works under exactly its ACLs, others not.

Logins of every kind that is promised, with secrets from files; and none of these secrets is in
anything that a run leaves behind.
"""

from __future__ import annotations

import http.server
import json
import os
import re
import shlex
import subprocess
import threading
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from connectors.access import key_hash, new_key
from streams.cli.errors import EXIT_PENDING
from streams.engine.kafka import KafkaSettings
from streams.engine.kafka.leaving import client_properties
from streams.runtime.reading import TopicReader
from tests.docs.test_readme import pattern
from tests.integration.data_rig import COMMAND, ROOT, Done, lines, message
from tests.integration.secured import ADMIN, VIEW_SUBJECT, SecuredKafka, secured_kafka
from tests.integration.service import PATIENCE_S, Service
from topics import naming, provision
from topics.errors import EXIT_CONFIG, EXIT_FAILED

pytestmark = pytest.mark.integration

INBOUND, LOG = naming.inbound("I7"), "cim.i7.meter-readings"
XML = {"Content-Type": "application/xml"}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """With the topics and the ACLs of the catalogue."""
    with secured_kafka(tmp_path_factory.mktemp("secured")) as made:
        done = cimstream(made, ADMIN, "topics", "apply", "--acls")
        assert done.returncode == 0, done.stderr
        yield made


def cimstream(secured: SecuredKafka, user: str, *arguments: str, more: str = "") -> Done:
    """A command with the settings of a user."""
    return with_settings(secured, secured.settings(user, more), *arguments)


def with_settings(secured: SecuredKafka, settings: Path, *arguments: str) -> Done:
    done = subprocess.run(
        [*COMMAND, *arguments, "--config", str(settings)], capture_output=True, check=False,
        env=variables(), cwd=secured.folder, timeout=PATIENCE_S,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def variables() -> dict[str, str]:
    """Of a child process, without the cluster of the other tests."""
    kept = {k: v for k, v in os.environ.items() if k != "CIMSTREAM_BOOTSTRAP"}
    return {**kept, "PYTHONPATH": str(ROOT)}


def produce(properties: dict[str, str], topic: str) -> str:
    """Write one record as any program would; the name of the error, or ""."""
    producer = Producer({**properties, "message.timeout.ms": 20_000, "log_level": 0})
    outcome: list[str] = []

    def told(error: KafkaError | None, _: object) -> None:
        outcome.append(error.name() if error else "")

    try:
        producer.produce(topic, b"x", on_delivery=told)
    except KafkaException as error:
        return error.args[0].name()
    producer.flush(PATIENCE_S)
    return outcome[0]


@dataclass
class Pipeline:
    """`run` and `gateway`, each as the user that has its part and no other."""

    run: Service
    gateway: Service
    url: str
    key: str
    source: str
    access_file: Path

    def post(self, body: bytes, **headers: str) -> httpx.Response:
        named = {"X-API-Key": self.key, **{k.replace("_", "-"): v for k, v in headers.items()}}
        return httpx.post(
            f"{self.url}/v1/I7/messages", content=body, headers={**XML, **named},
            timeout=PATIENCE_S,
        )  # fmt: skip


@pytest.fixture(scope="module")
def pipeline(secured: SecuredKafka) -> Iterator[Pipeline]:
    key, source = new_key(), f"HES-{uuid.uuid4().hex[:8]}"
    access = secured.folder / "access.toml"
    access.write_text(
        f'[sources.{source}]\nkeys = ["{key_hash(key)}"]\n[[sources.{source}.allow]]\n'
        'interface = "*"\nnouns = ["*"]\nverbs = ["*"]\n',
        encoding="utf-8",
    )
    state = secured.folder / "state"
    run = Service(
        secured.bootstrap, "run", "--interface", "I7", "--http-port", "0", "--state-folder",
        str(state), "--config", str(secured.settings("processor")),
    )  # fmt: skip
    gateway = Service(
        secured.bootstrap, "gateway", "--port", "0", "--health-port", "0", "--access-file",
        str(access), "--config", str(secured.settings("gateway")),
    )  # fmt: skip
    try:
        run.await_event("partitions assigned")
        port = gateway.await_event("gateway started")["port"]
        yield Pipeline(run, gateway, f"http://127.0.0.1:{port}", key, source, access)
    finally:
        for service in (run, gateway):
            if service.process.poll() is None:
                service.process.kill()
                service.process.wait()


def tailed(secured: SecuredKafka, user: str, topic: str, *more: str) -> Done:
    return cimstream(secured, user, "tail", topic, "-n", "1000", "-o", "json", *more)


def test_what_is_sent_through_the_gateway_is_processed_and_answered(
    secured: SecuredKafka, pipeline: Pipeline
) -> None:
    response = pipeline.post(message(source=pipeline.source))
    assert response.status_code == 200, response.text
    assert "<msg:Result>OK<" in response.text
    location = pipeline.post(message(source=pipeline.source), Prefer="respond-async")
    found = httpx.get(
        pipeline.url + location.headers["location"], headers={"X-API-Key": pipeline.key}
    )
    assert found.status_code in (200, 202)


def test_what_a_connector_sends_is_seen_by_who_reads_the_log_and_masked(
    secured: SecuredKafka, pipeline: Pipeline
) -> None:
    source = f"FILE-{uuid.uuid4().hex[:8]}"
    file = secured.folder / "one.xml"
    file.write_bytes(message(source=source))
    sent = cimstream(secured, "connector", "send", str(file), "--interface", "I7")
    assert sent.returncode == 0, sent.stderr
    deadline = time.monotonic() + PATIENCE_S
    mine: list[Any] = []
    while not mine and time.monotonic() < deadline:
        seen = tailed(secured, "analytics", LOG)
        mine = [one for one in lines(seen) if one["headers"]["ce_source"] == source]  # type: ignore[index]
    assert "0000…bbbb" in json.dumps(mine, ensure_ascii=False)


def test_a_watched_folder_is_sent_by_a_connector_with_its_positions(
    secured: SecuredKafka, pipeline: Pipeline
) -> None:
    folder = secured.folder / uuid.uuid4().hex
    folder.mkdir()
    (folder / "one.xml").write_bytes(message())
    arguments = (
        "send", str(folder), "--interface", "I7", "--watch", "--name", f"w-{uuid.uuid4().hex[:6]}",
        "--config", str(secured.settings("connector")),
    )  # fmt: skip
    with subprocess.Popen(
        [*COMMAND, *arguments], env=variables(), cwd=secured.folder,
        stdout=subprocess.PIPE, text=True,
    ) as watching:  # fmt: skip
        assert watching.stdout is not None
        assert INBOUND in watching.stdout.readline()
        watching.terminate()


@pytest.mark.parametrize("user", ["stranger", "processor", "view", "analytics", "operator"])
def test_nobody_but_gateways_and_connectors_writes_inbound(
    secured: SecuredKafka, user: str
) -> None:
    assert produce(secured.properties(user), INBOUND) in (
        "TOPIC_AUTHORIZATION_FAILED", "_UNKNOWN_TOPIC",
    )  # fmt: skip


def test_a_gateway_writes_no_log_and_a_stranger_sees_none(secured: SecuredKafka) -> None:
    assert produce(secured.properties("gateway"), LOG) == "TOPIC_AUTHORIZATION_FAILED"
    stranger = tailed(secured, "stranger", LOG)
    assert (stranger.returncode, stranger.stdout) == (EXIT_CONFIG, b"")


def test_a_wrong_password_is_nobody(secured: SecuredKafka) -> None:
    wrong = {**secured.properties("gateway"), "sasl.password": "x"}
    with pytest.raises(provision.ProvisionError):
        provision.cluster(provision.connect(secured.bootstrap, wrong), timeout_s=5)


def test_a_reader_sees_the_logs_of_its_interfaces_and_no_others(secured: SecuredKafka) -> None:
    kafka = KafkaSettings(secured.bootstrap, extra=_without(secured.properties("analytics")))
    with TopicReader(kafka, "analytics-1") as reader:
        seen = set(reader.topics())
    assert LOG in seen
    assert {name.split(".")[1] for name in seen if name.count(".") == 2} == {"i7"}
    assert not seen & {INBOUND, naming.outbound("I7"), naming.rejected("I7"), naming.AUDIT}


def _without(properties: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in properties.items() if k != "bootstrap.servers"}


def test_persons_are_shown_to_the_operator_alone_and_on_record(
    secured: SecuredKafka, pipeline: Pipeline
) -> None:
    pipeline.post(message(source=pipeline.source))
    refused = tailed(secured, "analytics", LOG, "--unmask")
    assert (refused.returncode, refused.stdout) == (EXIT_FAILED, b"")
    assert b"unmask_refused" in refused.stderr
    shown = tailed(secured, "operator", LOG, "--unmask")
    assert b"0000aaaa-1111-4222-8333-44445555bbbb" in shown.stdout
    audit = [one for one in records(secured, naming.AUDIT) if b'"unmasked"' in one]
    assert [json.loads(one)["about"] for one in audit] == [LOG]


def records(secured: SecuredKafka, topic: str) -> list[bytes]:
    kafka = KafkaSettings(secured.bootstrap, extra=_without(secured.properties(ADMIN)))
    with TopicReader(kafka) as reader:
        found = reader.records(reader.bounds(reader.topics()[topic]))
        return [record.value or b"" for record in found]


def test_a_view_follows_its_logs_with_a_certificate_for_a_password(secured: SecuredKafka) -> None:
    settings = secured.settings_of_certificate(VIEW_SUBJECT)
    database = str(secured.folder / "view.sqlite")
    done = with_settings(secured, settings, "view", "rebuild", "--yes", "--database", database)
    assert done.returncode == 0, done.stderr
    stranger = secured.settings_of_certificate("CN=stranger")
    done = with_settings(secured, stranger, "view", "rebuild", "--yes", "--database", database)
    assert done.returncode != 0


# --- plan and apply ----------------------------------------------------------------------------


def test_the_commands_of_the_page_do_what_it_says(secured: SecuredKafka) -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```\n```text\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    settings = str(secured.settings(ADMIN))
    for commands, printed in blocks:
        said = ""
        for command in commands.splitlines():
            _, *arguments = shlex.split(command.replace("--config admin.toml", ""))
            done = with_settings(secured, Path(settings), *arguments)
            assert done.returncode == 0, done.stderr
            said += done.stdout.decode()
        assert all(pattern(line).search(said) for line in printed.splitlines()), said


def test_a_second_plan_has_nothing_to_do(secured: SecuredKafka) -> None:
    done = cimstream(secured, ADMIN, "topics", "plan", "--acls")
    assert done.returncode == 0, done.stdout
    assert b" 0 to allow" in done.stdout


def foreign(principal: str, name: str, *, prefixed: bool = False) -> AclBinding:
    return AclBinding(
        ResourceType.TOPIC, name,
        ResourcePatternType.PREFIXED if prefixed else ResourcePatternType.LITERAL,
        principal, "*", AclOperation.WRITE, AclPermissionType.ALLOW,
    )  # fmt: skip


def test_what_others_allowed_is_shown_and_removed_only_when_told(secured: SecuredKafka) -> None:
    admin = provision.connect(secured.bootstrap, _without(secured.properties(ADMIN)))
    strange = [
        foreign("User:stranger", INBOUND), foreign("User:backup", "*"),
        foreign("User:other", "gas.", prefixed=True),
    ]  # fmt: skip
    for future in admin.client.create_acls(strange).values():
        future.result(PATIENCE_S)
    for arguments in (("plan",), ("apply",)):
        done = cimstream(secured, ADMIN, "topics", *arguments, "--acls")
        assert f"User:stranger allow write topic {INBOUND}".encode() in done.stdout
        assert b"User:backup allow write topic * (about other topics too" in done.stdout
        assert b"gas." not in done.stdout
    assert produce(secured.properties("stranger"), INBOUND) == ""
    cimstream(secured, ADMIN, "topics", "apply", "--acls", "--prune")
    done = cimstream(secured, ADMIN, "topics", "plan", "--acls")
    assert b"User:stranger" not in done.stdout
    assert b"User:backup" in done.stdout
    deadline = time.monotonic() + PATIENCE_S
    while produce(secured.properties("stranger"), INBOUND) == "":
        assert time.monotonic() < deadline


def test_a_principal_that_is_new_in_the_settings_is_allowed_and_planned_first(
    secured: SecuredKafka,
) -> None:
    file = secured.settings(ADMIN)
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"User:connector"', '"User:connector", "User:new"'), "utf-8")
    done = with_settings(secured, file, "topics", "plan", "--acls")
    assert done.returncode == EXIT_PENDING
    assert b"User:new" in done.stdout


def test_a_cluster_without_authorizer_is_told_so(kafka: str, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[acls.principals]\ngateway = ["User:g"]\n', encoding="utf-8")
    done = subprocess.run(
        [*COMMAND, "topics", "plan", "--acls", "--bootstrap-server", kafka, "--config", str(file)],
        capture_output=True, check=False, env=variables(),
    )  # fmt: skip
    assert (done.returncode, b"acls_disabled" in done.stderr) == (EXIT_FAILED, True)


# --- tokens for passwords -----------------------------------------------------------------------


@pytest.fixture
def token_server(secured: SecuredKafka) -> Iterator[tuple[str, str]]:
    """The address of an issuer's token endpoint, and the secret of the client `connector`."""
    secret = uuid.uuid4().hex

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            login = self.headers.get("Authorization", "")
            basic = httpx.BasicAuth("connector", secret)._auth_header
            asked = urllib.parse.parse_qs(body)
            good = login == basic or asked.get("client_secret") == [secret]
            token = secured.token("connector")
            answer = json.dumps(
                {"access_token": token, "token_type": "Bearer", "expires_in": 300}
            ).encode()
            self.send_response(200 if good else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer) if good else 0))
            self.end_headers()
            self.wfile.write(answer if good else b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/token", secret
    server.shutdown()
    server.server_close()


def oauth(secured: SecuredKafka, endpoint: str, secret: str) -> Path:
    properties = {
        "bootstrap.servers": secured.at("oauth"),
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanisms": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.client.id": "connector",
        "sasl.oauthbearer.token.endpoint.url": endpoint,
    }
    return secured.written(properties, {"sasl.oauthbearer.client.secret": secured.secret(secret)})


def test_a_token_of_an_issuer_is_a_login_too(
    secured: SecuredKafka, token_server: tuple[str, str]
) -> None:
    endpoint, secret = token_server
    file = secured.folder / "oauth.xml"
    file.write_bytes(message())
    sending = ("send", str(file), "--interface", "I7")
    done = with_settings(secured, oauth(secured, endpoint, secret), *sending)
    assert done.returncode == 0, done.stderr
    done = with_settings(secured, oauth(secured, endpoint, "wrong"), *sending)
    assert done.returncode != 0


# --- secrets ------------------------------------------------------------------------------------


def test_a_secret_is_refused_where_others_could_read_it(secured: SecuredKafka) -> None:
    secret = secured.secret(secured.passwords["analytics"])
    secret.chmod(0o644)
    properties = {**secured.properties("analytics")}
    del properties["sasl.password"]
    settings = secured.written(properties, {"sasl.password": secret})
    done = with_settings(secured, settings, "tail", LOG)
    assert (done.returncode, b"secret_unsafe" in done.stderr) == (EXIT_CONFIG, True)
    secret.chmod(0o640)
    assert with_settings(secured, settings, "tail", LOG, "-n", "1").returncode == 0


def test_no_secret_of_a_run_is_in_anything_it_leaves_behind(
    secured: SecuredKafka, pipeline: Pipeline
) -> None:
    """Logs, errors, metrics, audit records; of who comes in, of who is refused, of who fails."""
    stranger = new_key()
    bearer = secured.token("connector")
    answers = [
        pipeline.post(message(source=pipeline.source)),
        pipeline.post(message(source="HES-OTHER")),
        pipeline.post(message(), X_API_Key=stranger),
        pipeline.post(message(), Authorization=f"Bearer {bearer}"),
        pipeline.post(b"<" + stranger.encode()),
    ]
    assert [a.status_code for a in answers] == [200, 403, 401, 401, 400]
    broken = pipeline.access_file.read_text(encoding="utf-8") + f'\nx = "{stranger}"'
    good = pipeline.access_file.read_text(encoding="utf-8")
    pipeline.access_file.write_text(broken, encoding="utf-8")
    pipeline.gateway.await_event("access file refused, the one before holds")
    pipeline.access_file.write_text(good, encoding="utf-8")
    pipeline.gateway.await_event("access file read again")
    ports = [
        one["http"] for s in (pipeline.run, pipeline.gateway) for one in s.lines if "http" in one
    ]
    metrics = [
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode() for port in ports
    ]
    settings = KafkaSettings(secured.bootstrap, extra=_without(secured.properties("gateway")))
    left = [
        *(answer.text for answer in answers), *metrics, repr(settings),
        json.dumps(pipeline.run.lines), json.dumps(pipeline.gateway.lines),
        *(one.decode() for one in records(secured, naming.AUDIT)),
        *(p.read_text("utf-8", "replace") for p in secured.folder.glob("*.toml")),
    ]  # fmt: skip
    hidden = {*secured.passwords.values(), pipeline.key, stranger, bearer}
    assert len(ports) == 2
    assert [secret for secret in hidden for text in left if secret in text] == []


def test_a_member_that_leaves_says_the_same_login(secured: SecuredKafka) -> None:
    """kafka-python is told what librdkafka was, the password from its file included."""
    kafka = KafkaSettings(secured.bootstrap, extra=_without(secured.properties("processor")))
    said = client_properties(kafka)
    assert said["sasl_plain_password"] == secured.passwords["processor"]


def test_it_ends_in_order_and_leaves_its_group_under_its_acls(pipeline: Pipeline) -> None:
    """The last test: the pipeline is stopped."""
    assert pipeline.gateway.end() == 0
    assert pipeline.run.end() == 0
    text = json.dumps(pipeline.run.lines)
    assert "leave" not in text, "leaving failed and was logged"

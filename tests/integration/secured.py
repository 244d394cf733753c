"""A Kafka that lets nobody in unasked: TLS, SCRAM, client certificates, tokens, and ACLs.

Lives here: its listeners, users and authorities, and the settings file of each. Must not live
here: what anybody may do; that comes from `cimstream topics apply --acls`.

Everything but the broker's own listeners needs a login; nobody may anything but the super user.
"""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from streams.runtime.broker import BrokerSettings
from streams.runtime.kafka import jars, launch, process
from tests.authority import Authority

ADMIN = "admin"
USERS = (ADMIN, "gateway", "connector", "processor", "view", "operator", "analytics", "stranger")
VIEW_SUBJECT = "CN=cim-view,O=Utility"
TOKEN_ISSUER, TOKEN_AUDIENCE = "https://login.example", "kafka"
PRINCIPALS = """
[acls.principals]
gateway = ["User:gateway"]
connector = ["User:connector"]
processor = ["User:processor"]
view = ["User:view", "User:CN=cim-view,O=Utility"]
operator = ["User:operator"]

[acls.readers]
"User:analytics" = ["I7"]
"""


@dataclass
class SecuredKafka:
    """Where it answers, and what opens it. `secrets` are all that may be seen nowhere."""

    folder: Path
    authority: Authority
    ports: Mapping[str, int]
    passwords: Mapping[str, str]
    signing: rsa.RSAPrivateKey

    @property
    def bootstrap(self) -> str:
        """The door for passwords."""
        return self.at("clients")

    def at(self, listener: str) -> str:
        return f"{launch.HOST}:{self.ports[listener]}"

    def properties(self, user: str) -> dict[str, str]:
        """librdkafka's, with which the user logs in."""
        return {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": "SASL_SSL",
            "sasl.mechanisms": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": self.passwords[user],
            "ssl.ca.location": str(self.authority.file),
        }

    def settings(self, user: str, more: str = "") -> Path:
        """The settings file of a user who logs in with a password."""
        secret = self.secret(self.passwords[user])
        properties = self.properties(user)
        del properties["sasl.password"]
        return self.written(properties, {"sasl.password": secret}, more)

    def settings_of_certificate(self, subject: str, more: str = "") -> Path:
        """The settings file of one who shows a certificate."""
        made = self.authority.issue(subject)
        properties = {
            "bootstrap.servers": self.at("tls"),
            "security.protocol": "SSL",
            "ssl.ca.location": str(self.authority.file),
            "ssl.certificate.location": str(made.certificate),
            "ssl.key.location": str(made.key),
        }
        return self.written(properties, {}, more)

    def token(self, subject: str) -> str:
        now = int(time.time())
        said = {
            "iss": TOKEN_ISSUER, "aud": TOKEN_AUDIENCE, "sub": subject, "iat": now,
            "exp": now + 300,
        }  # fmt: skip
        return jwt.encode(said, self.signing, "RS256", {"kid": "k1"})

    def secret(self, text: str) -> Path:
        file = self.folder / f"{uuid.uuid4().hex}.secret"
        file.touch(mode=0o600)
        file.write_text(text + "\n", encoding="utf-8")
        return file

    def written(
        self, properties: Mapping[str, str], secret_files: Mapping[str, Path], more: str = ""
    ) -> Path:
        file = self.folder / f"{uuid.uuid4().hex}.toml"
        servers = properties["bootstrap.servers"]
        lines = ["[kafka]", f'bootstrap_servers = "{servers}"', "[kafka.properties]"]
        lines += [f'"{k}" = "{v}"' for k, v in properties.items() if k != "bootstrap.servers"]
        lines += ["[kafka.secret_files]", *(f'"{k}" = "{v}"' for k, v in secret_files.items())]
        file.write_text("\n".join(lines) + PRINCIPALS + more, encoding="utf-8")
        return file


@contextmanager
def secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """One broker of its own, ended and thrown away afterwards."""
    authority = Authority(folder)
    names = ("clients", "tls", "oauth", "internal", "controller")
    subject = SecuredKafka(
        folder,
        authority,
        {name: launch.free_port(0) for name in names},
        {user: secrets.token_urlsafe(18) for user in USERS},
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
    )
    keys = folder / "jwks.json"
    public = {**json.loads(RSAAlgorithm.to_jwk(subject.signing.public_key())), "kid": "k1"}
    keys.write_text(json.dumps({"keys": [public]}), encoding="utf-8")
    file = folder / "server.properties"
    lines = [f"{name}={value}" for name, value in _properties(subject, keys).items()]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    java, libraries = jars.require_java(), jars.require_jars(BrokerSettings().cache_folder)
    logging = Path(launch.__file__).with_name("log4j2.properties")
    run = [
        str(java), "-cp", f"{libraries.absolute()}/*", "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={logging}", f"-Dcimstream.logs={folder}",
        f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys.as_uri()}",
        f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.files={keys}",
        "-XX:TieredStopAtLevel=1", "-Xmx512m",
    ]  # fmt: skip
    _format(run, file, subject.passwords)
    token = f"cimstream.secured={uuid.uuid4().hex}"
    pid = process.spawn([*run, f"-D{token}", "kafka.Kafka", str(file)], token, folder / "out")
    try:
        gone = launch.await_answer(
            subject.ports["internal"], lambda: not process.is_ours(pid, token)
        )
        assert gone, (folder / "out").read_text(encoding="utf-8")[-2_000:]
        yield subject
    finally:
        process.end(pid, token, orderly=False)


def _format(run: list[str], file: Path, passwords: Mapping[str, str]) -> None:
    cluster_id = "c" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
    users = [
        part
        for user, password in passwords.items()
        for part in ("--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]")
    ]
    tool = ["kafka.tools.StorageTool", "format", "--cluster-id", cluster_id]
    done = subprocess.run(
        [*run, *tool, "--config", str(file), *users], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stderr or done.stdout)[-2_000:]


def _properties(subject: SecuredKafka, keys: Path) -> dict[str, str]:
    server = subject.authority.server()
    kinds = {
        "CLIENTS": "SASL_SSL",
        "TLS": "SSL",
        "OAUTH": "SASL_PLAINTEXT",
        "INTERNAL": "PLAINTEXT",
    }
    doors = [f"{name}://{subject.at(name.lower())}" for name in kinds]
    protocols = [f"{name}:{kind}" for name, kind in {**kinds, "CONTROLLER": "PLAINTEXT"}.items()]
    oauth = "listener.name.oauth.oauthbearer.sasl"
    handler = "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler"
    login = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;"
    return {
        **launch.server_properties(),
        "listeners": ",".join([*doors, f"CONTROLLER://{subject.at('controller')}"]),
        "advertised.listeners": ",".join(doors),
        "inter.broker.listener.name": "INTERNAL",
        "listener.security.protocol.map": ",".join(protocols),
        "controller.quorum.voters": f"1@{subject.at('controller')}",
        "log.dirs": str(subject.folder / "logs"),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(server.both),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(subject.authority.file),
        "listener.name.tls.ssl.client.auth": "required",
        "listener.name.clients.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.clients.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security"
        ".scram.ScramLoginModule required;",
        "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
        f"{oauth}.jaas.config": login,
        f"{oauth}.server.callback.handler.class": handler,
        f"{oauth}.oauthbearer.jwks.endpoint.url": keys.as_uri(),
        f"{oauth}.oauthbearer.expected.audience": TOKEN_AUDIENCE,
        f"{oauth}.oauthbearer.expected.issuer": TOKEN_ISSUER,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # Nobody else reaches the listeners of the broker itself.
        "super.users": f"User:{ADMIN};User:ANONYMOUS",
        "allow.everyone.if.no.acl.found": "false",
    }

"""docs/security.md: what its files say is accepted, by us and by librdkafka."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from confluent_kafka.admin import AdminClient

from connectors.access import load_access
from streams.runtime.settings import load_settings
from streams.runtime.wiring import kafka_settings
from tests.authority import Authority
from topics import load_catalogue
from topics.acls import Role

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
CATALOGUE = load_catalogue()


def test_the_access_file_of_the_page_is_accepted(tmp_path: Path) -> None:
    (text,) = [block for block in BLOCKS if "[sources." in block]
    file = tmp_path / "access.toml"
    file.write_text(text, encoding="utf-8")
    found = load_access(file, CATALOGUE)
    assert found.issuers["corp"].claim == "azp"
    assert found.sources["HES-NORTH"].tokens == {"corp": ("hes-north",)}
    assert len(found.sources["HES-NORTH"].certificates) == 2


@pytest.mark.parametrize("login", ["SCRAM-SHA-512", "ssl.key.location", "OAUTHBEARER"])
def test_the_logins_of_the_page_are_accepted_by_the_client(login: str, tmp_path: Path) -> None:
    (text,) = [block for block in BLOCKS if login in block]
    made = Authority(tmp_path).issue("CN=cim-gateway")
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("hunter2", encoding="utf-8")
    text = re.sub(r"/etc/cimstream/secrets/kafka-[a-z-]+", str(secret), text)
    text = text.replace("/etc/cimstream/secrets/kafka.key", str(made.key))
    text = re.sub(r"/etc/cimstream/kafka(-ca)?\.pem", str(made.certificate), text)
    file = tmp_path / "cimstream.toml"
    file.write_text(text, encoding="utf-8")
    settings = load_settings(file)
    kafka = kafka_settings(settings, settings.kafka.bootstrap_servers, CATALOGUE)
    AdminClient({**kafka.admin(), "log_level": 0})


def test_the_principals_of_the_page_are_accepted(tmp_path: Path) -> None:
    (text,) = [block for block in BLOCKS if "[acls.principals]" in block]
    file = tmp_path / "cimstream.toml"
    file.write_text(text, encoding="utf-8")
    found = load_settings(file).acls
    assert found.readers == {"User:analytics": ("I7", "I1")}
    assert found.principals.keys() == set(get_args(Role))

"""Names in certificates."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from cryptography import x509

from connectors.certificates import names, normal
from tests.authority import Authority, der


def test_a_certificate_is_called_by_its_subject_and_its_alternative_names(tmp_path: Path) -> None:
    made = Authority(tmp_path).issue(
        "CN=hes-north,O=Example Utility,C=CH",
        x509.DNSName("HES.example"),
        x509.UniformResourceIdentifier("spiffe://grid/hes"),
        x509.RFC822Name("hes@example.ch"),
        x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
    )
    assert names(der(made.certificate)) == {
        "CN=hes-north,O=Example Utility,C=CH", "DNS:hes.example", "URI:spiffe://grid/hes",
        "email:hes@example.ch", "IP:2001:db8::1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("written", "same"),
    [
        (r"CN=hes\, north", r"CN=hes\2C north"),
        ("DNS:HES.Example", "DNS:hes.example"),
        ("IP:2001:0db8:0:0::1", "IP:2001:db8::1"),
        ("URI:spiffe://grid/HES", "URI:spiffe://grid/HES"),
    ],
)
def test_a_name_is_compared_whatever_way_it_was_written(written: str, same: str) -> None:
    assert normal(written) == normal(same)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CN=hes", "CN=HES"),
        ("CN=hes,O=a", "O=a,CN=hes"),
        ("CN=hes", "CN=hes,O=a"),
        (r"CN=hes\,O=a", "CN=hes,O=a"),
        ("CN=DNS:hes.example", "DNS:hes.example"),
    ],
)
def test_a_name_is_never_taken_for_another(one: str, other: str) -> None:
    assert normal(one) != normal(other)


@pytest.mark.parametrize("text", ["", "hes-north", "DNS:", "IP:300.1.1.1", "CN"])
def test_what_is_no_name_is_a_mistake_of_the_file(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the parser says
        normal(text)


def test_what_is_no_certificate_names_nobody() -> None:
    assert names(b"\x30\x03abc") == frozenset()

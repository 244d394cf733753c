"""Leaving a group on purpose, which librdkafka does not do for a static member.

Lives here: the one call to kafka-python, and how an operator's librdkafka properties are said
to it. Must not live here: when to leave (see `worker`).

Invariant: a property of security that cannot be said to kafka-python is never left out: the
member then does not leave.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Thread
from typing import Final

from streams.engine.errors import TransientError
from streams.engine.kafka.settings import KafkaSettings

# Measured: 0.35 s to load the library, 0.04 s to connect and leave. Each request has a second;
# the whole has two, also where a name server is silent.
_REQUEST_MS: Final = 1_000
_LEAVE_S: Final = 2.0

_SECURITY: Final = ("security.", "ssl.", "sasl.", "enable.ssl.", "enable.sasl.", "https.")
_MECHANISMS: Final = frozenset({"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"})

Value = str | int | float | bool


class UnmappedError(ValueError):
    """A property that kafka-python has no word for."""


def leave_group(settings: KafkaSettings, group: str, instance: str, member: str) -> None:
    """Have the coordinator remove `member`, if it still holds the instance id.

    A successor that has taken the id is not touched: the coordinator refuses.

    Raises:
        TransientError: it was not removed, or not heard of in time.
    """
    try:
        properties = client_properties(settings)
    except (UnmappedError, OSError) as error:  # ssl.SSLError is an OSError
        raise TransientError(f"leave {group}: {error}") from error
    outcome: list[Exception | None] = []

    def run() -> None:
        try:
            _remove(properties, group, instance, member)
            outcome.append(None)
        except Exception as error:  # noqa: BLE001 - told by the thread that waits
            outcome.append(error)

    thread = Thread(target=run, name="leave", daemon=True)
    thread.start()
    thread.join(_LEAVE_S)
    if not outcome:
        raise TransientError(f"leave {group}: no answer in {_LEAVE_S:.0f} s")
    if (problem := outcome[0]) is not None:
        raise TransientError(f"leave {group}: {type(problem).__name__}") from problem


def _remove(properties: Mapping[str, object], group: str, instance: str, member: str) -> None:
    # Loaded when it is needed: a process that was killed is back the sooner.
    from kafka.admin import KafkaAdminClient, MemberToRemove  # noqa: PLC0415

    # What fails is told in a line of ours; what it tells at DEBUG holds passwords.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    client = KafkaAdminClient(**properties)
    try:
        identity = MemberToRemove(member_id=member, group_instance_id=instance, reason="stopped")
        for error in client.remove_group_members(group, [identity]).values():
            if error.errno:
                raise error
    finally:
        client.close()


def client_properties(settings: KafkaSettings) -> dict[str, object]:
    """Settings of a kafka-python client that reaches the same cluster as the same user.

    Properties that are not about security (buffers, intervals) need no counterpart.

    Raises:
        UnmappedError: naming the property.
        OSError: a certificate cannot be read.
    """
    given = {name: value for name, value in settings.extra.items() if name.startswith(_SECURITY)}
    protocol = str(given.pop("security.protocol", "plaintext")).upper()
    properties: dict[str, object] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "bootstrap_timeout_ms": _REQUEST_MS,
        "request_timeout_ms": _REQUEST_MS,
        "security_protocol": protocol,
    }
    if protocol.startswith("SASL_"):
        properties |= _login(given)
    if protocol.endswith("SSL"):
        properties["ssl_context"] = _tls(given)
    if protocol not in ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"):
        raise UnmappedError(f"security.protocol {protocol} has no counterpart")
    if given:
        raise UnmappedError(f"{', '.join(sorted(given))} has no counterpart")
    return properties


def _login(given: dict[str, Value]) -> dict[str, object]:
    """SASL settings, taken out of `given`."""
    mechanism = str(given.pop("sasl.mechanisms", given.pop("sasl.mechanism", "GSSAPI"))).upper()
    if mechanism not in _MECHANISMS:
        raise UnmappedError(f"sasl.mechanism {mechanism} has no counterpart")
    return {
        "sasl_mechanism": mechanism,
        "sasl_plain_username": str(given.pop("sasl.username", "")),
        "sasl_plain_password": str(given.pop("sasl.password", "")),
    }


def _tls(given: dict[str, Value]) -> ssl.SSLContext:
    """A TLS context from the ssl.* properties, taken out of `given`."""

    def take(name: str) -> str | None:
        return str(given.pop(name)) if name in given else None

    context = ssl.create_default_context()
    if (place := take("ssl.ca.location")) not in (None, "probe"):
        context = _trusting(Path(str(place)))
    if (text := take("ssl.ca.pem")) is not None:
        context = ssl.create_default_context(cadata=text)
    if (certificate := take("ssl.certificate.location")) is not None:
        context.load_cert_chain(
            certificate, take("ssl.key.location"), _password(take("ssl.key.password"))
        )
    if (revoked := take("ssl.crl.location")) is not None:
        context.load_verify_locations(revoked)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    if (ciphers := take("ssl.cipher.suites")) is not None:
        context.set_ciphers(ciphers)
    if (take("ssl.endpoint.identification.algorithm") or "https").lower() == "none":
        context.check_hostname = False
    if str(take("enable.ssl.certificate.verification") or "true").lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _trusting(place: Path) -> ssl.SSLContext:
    """Trusting nobody but the authorities in a file or, hashed, in a folder."""
    if place.is_dir():
        return ssl.create_default_context(capath=str(place))
    return ssl.create_default_context(cafile=str(place))


def _password(text: str | None) -> Callable[[], str]:
    """Never asked for at a terminal: without one, an encrypted key is an error."""
    return lambda: text or ""

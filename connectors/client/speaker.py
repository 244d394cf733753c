"""What both clients have: who they are, the messages they make, and the way to httpx.

Lives here: what does not depend on threads or event loops. Must not live here: waiting.
"""

from __future__ import annotations

import random
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypedDict

import httpx

from connectors.client import flows
from connectors.client.config import configure
from connectors.client.errors import ClientError
from connectors.client.flows import Failure, Flow, World
from connectors.client.mapping import HttpAnswer, HttpRequest, Receipt, Reply, compose

URL: Final = "http://127.0.0.1:8080"
WAIT_S: Final = 30.0
_CONNECT_S: Final = 5.0
_WRITE_S: Final = 30.0
_WORLD: Final = World(time.monotonic, random.random)


class Said(TypedDict, total=False):
    """What may be said with a change; see `connectors.client.mapping.compose`.

    `wait_s` is how long its reply is waited for.
    """

    message_id: str
    expected_revision: int
    context: str
    wait_s: float


class Speaker(ABC):
    """What both clients have: who they are, and the messages they make."""

    def __init__(
        self,
        url: str = URL,
        *,
        source: str = "",
        key: str = "",
        key_file: Path | str | None = None,
        tls: ssl.SSLContext | None = None,
        tls_elsewhere: bool = False,
        patience_s: float = 60.0,
    ) -> None:
        """Tell the client where the gateway is, and who it is itself.

        `tls` says whom to trust, and may hold a certificate of this client. The other arguments
        are those of `connectors.client.config.configure`.
        """
        self._config = configure(
            url,
            source=source,
            key=key,
            key_file=key_file,
            tls_elsewhere=tls_elsewhere,
            patience_s=patience_s,
        )
        self._connect({"base_url": self._config.url, "verify": tls or True})

    @abstractmethod
    def _connect(self, options: dict[str, Any]) -> None:
        """Make the client of httpx."""

    def message(
        self,
        verb: str,
        noun: str,
        what: bytes | str | None = None,
        *,
        message_id: str = "",
        expected_revision: int | None = None,
        context: str = "PRODUCTION",
        ack_required: bool | None = None,
    ) -> bytes:
        """A message of this client's source; see `connectors.client.mapping.compose`."""
        return compose(
            verb,
            noun,
            what,
            source=self._config.source,
            message_id=message_id,
            expected_revision=expected_revision,
            context=context,
            ack_required=ack_required,
        )

    def _publish(self, interface: str, message: bytes) -> Flow[Receipt]:
        return flows.publish(self._config, _WORLD, interface, message)

    def _request(self, interface: str, message: bytes, wait_s: float) -> Flow[Reply]:
        return flows.request(self._config, _WORLD, interface, message, wait_s)

    def _reply(self, receipt: Receipt, wait_s: float) -> Flow[Reply]:
        return flows.reply(self._config, _WORLD, receipt, wait_s)

    def _change(
        self, verb: str, interface: str, noun: str, what: bytes | str, said: Said
    ) -> Flow[Reply]:
        message = self.message(
            verb,
            noun,
            what,
            message_id=said.get("message_id", ""),
            expected_revision=said.get("expected_revision"),
            context=said.get("context", "PRODUCTION"),
        )
        return self._request(interface, message, said.get("wait_s", WAIT_S))

    def _subscription(
        self, interface: str, noun: str, begin: str, criteria: dict[str, str | Sequence[str]]
    ) -> flows.StreamFlow:
        # `field.cause` is no name of an argument in Python; `field__cause` is.
        named = {name.replace("__", "."): value for name, value in criteria.items()}
        return flows.subscription(self._config, _WORLD, interface, noun, begin, named)


def arguments(request: HttpRequest) -> dict[str, Any]:
    """The request as httpx takes it."""
    return {
        "method": request.method,
        "url": request.path,
        "headers": dict(request.headers),
        "content": request.body or None,
        "timeout": httpx.Timeout(_WRITE_S, connect=_CONNECT_S, read=request.read_s),
    }


def to_answer(response: httpx.Response) -> HttpAnswer:
    """The answer as a flow takes it."""
    return HttpAnswer(response.status_code, dict(response.headers), response.content)


def to_failure(error: httpx.RequestError) -> Failure:
    """What is worth another try.

    Raises:
        ClientError: certificate_untrusted; that is no accident.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise ClientError(
                "certificate_untrusted",
                "the certificate of the gateway is not trusted",
                why=cause.verify_message,
                fix="give the client a TLS context that trusts its authority",
            ) from None
        cause = cause.__cause__ or cause.__context__
    return Failure(f"{type(error).__name__} {error}".strip())

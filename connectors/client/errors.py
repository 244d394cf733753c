"""What a call can end with instead of an answer, by what the caller can do about it.

Lives here: the exceptions. Must not live here: which status is which (`mapping`).

Invariant: no error holds a key or what a message said, beyond what the gateway says of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectors.client.mapping import Receipt


class ClientError(Exception):
    """Base of all. `code` is stable; `what`, `why` and `fix` are for people.

    `status` is that of HTTP, 0 where there was none; `instance` names the request in the audit.
    """

    def __init__(
        self,
        code: str,
        what: str,
        *,
        why: str = "",
        fix: str = "",
        status: int = 0,
        instance: str = "",
    ) -> None:
        super().__init__(code, what, why, fix, status, instance)
        self.code = code
        self.what = what
        self.why = why
        self.fix = fix
        self.status = status
        self.instance = instance

    def __str__(self) -> str:
        said = f"{self.code}: {self.what}"
        return f"{said} ({self.why})" if self.why and self.why != self.what else said


class RefusedError(ClientError):
    """The gateway or the pipeline refused; sending the same again leads to the same.

    `errors` are those of the reply, one for each object that was refused: `code`, `what`, `why`
    and more, as in docs/gateway.md.
    """

    errors: Sequence[Mapping[str, str]] = ()


class NotAllowedError(RefusedError):
    """No key, an unknown one, or one that does not allow this."""


class NotFoundError(RefusedError):
    """There is no such interface, noun, object or call."""


class ConflictError(RefusedError):
    """What is there already speaks against it: another message, object, state or revision."""


class ExpiredError(RefusedError):
    """What is asked for is no longer kept. Of a subscription: events are lost to it."""


class UnavailableError(ClientError):
    """No answer for as long as the client was patient.

    The message may have arrived. Sending the same bytes again is safe.
    """


class NoReplyError(ClientError):
    """The message is taken, and its reply had not come in time; `receipt` asks for it again."""

    def __init__(self, receipt: Receipt) -> None:
        super().__init__(
            "no_reply_yet", "the reply has not come in time", fix="ask again with the receipt"
        )
        self.receipt = receipt

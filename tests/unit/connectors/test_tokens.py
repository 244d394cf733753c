"""Which tokens are believed: real keys, real signatures, a real HTTPS server of an issuer."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from pydantic import ValidationError

from connectors import keyring
from connectors.keyring import FRESH_S, PAUSE_S, Issuer, fetch_keys
from connectors.tokens import Named, Tokens
from schemas.errors import MessageError
from tests.authority import Authority

ISS, AUD = "https://login.example/grid", "cimstream"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
WAIT_S = 20.0


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetch that is slow because the machine is busy is no fetch that fails."""
    monkeypatch.setattr(keyring, "WAIT_S", 60.0)


def jwk(key: Any, kid: str, **more: str) -> dict[str, Any]:
    kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**json.loads(kind.to_jwk(key.public_key())), "kid": kid, **more}


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


BOTH = jwks(jwk(RSA, "r1", alg="RS256", use="sig"), jwk(EC, "e1"))


def claims(**changed: Any) -> dict[str, Any]:
    said = {"iss": ISS, "aud": AUD, "sub": "hes-north", "exp": int(time.time()) + 60, **changed}
    return {name: value for name, value in said.items() if value is not None}


def token(
    key: Any = RSA, kid: str = "r1", algorithm: str = "RS256", headers: Any = None, **changed: Any
) -> str:
    return jwt.encode(claims(**changed), key, algorithm, {"kid": kid, **(headers or {})})


def encoded(part: object) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuing:
    """Tokens of one issuer whose keys come from a function; `now` is the clock."""

    def __init__(self, answer: Callable[[Issuer], bytes], **entry: Any) -> None:
        self.now = 1_000.0
        self.asked = 0
        self.answer = answer
        where = {} if "keys_url" in entry else {"keys_file": "keys.json"}
        self.issuer = Issuer.model_validate({"issuer": ISS, "audience": AUD, **where, **entry})
        self._tokens = Tokens(self._fetch, lambda: self.now)
        self._tokens.change({"corp": self.issuer})

    def _fetch(self, issuer: Issuer) -> bytes:
        self.asked += 1
        return self.answer(issuer)

    async def tend(self) -> None:
        await self._tokens.tend()

    async def code(self, text: str) -> str:
        """Whom it names, or the code and the reason of the refusal."""
        try:
            return (await self._tokens.verify(text)).value
        except MessageError as error:
            return f"{error.code}: {error.problems[0].detail}"


def verified(text: str, answer: Callable[[Issuer], bytes] = lambda _: BOTH, **entry: Any) -> str:
    async def run() -> str:
        return await Issuing(answer, **entry).code(text)

    return asyncio.run(run())


def test_a_token_of_the_issuer_names_the_system_by_its_claim() -> None:
    assert verified(token()) == "hes-north"
    assert verified(token(EC, "e1", "ES256", aud=["x", AUD])) == "hes-north"
    assert verified(token(azp="crew"), claim="azp") == "crew"


def test_it_is_said_which_issuer_has_named_the_system() -> None:
    """Two issuers may call two systems the same."""

    async def run() -> Named:
        tokens = Tokens(lambda _: BOTH, lambda: 0.0)
        entry = {"issuer": ISS, "audience": AUD, "keys_file": "k"}
        tokens.change({"corp": Issuer.model_validate(entry)})
        return await tokens.verify(token())

    assert asyncio.run(run()) == Named("corp", "hes-north")


BAD: dict[str, tuple[Callable[[], str], str]] = {
    "expired": (lambda: token(exp=int(time.time()) - 31), "expired"),
    "not yet": (lambda: token(nbf=int(time.time()) + 60), "not valid yet"),
    "for another": (lambda: token(aud="other"), "another audience"),
    "for nobody": (lambda: token(aud=None), "lacks a claim"),
    "without an end": (lambda: token(exp=None), "lacks a claim"),
    "without its claim": (lambda: token(sub=None), "lacks a claim"),
    "of another issuer": (lambda: token(iss="https://evil.example"), "not one of an issuer"),
    "an issuer that is a list": (lambda: token(iss=None, sub="x", x=[ISS]), "not one of an issuer"),
    "signed by a stranger": (lambda: token(OTHER_RSA), "signature"),
    "another algorithm than its key's": (lambda: token(algorithm="PS256"), "way"),
    "with a key of another kind": (lambda: token(EC, "r1", "ES256"), "no such key"),
    "an unknown key": (lambda: token(kid="r9"), "no such key"),
    "a claim that is no text": (lambda: token(azp=7), "no text"),
    "a critical header": (lambda: token(headers={"crit": ["x"], "x": 1}), "no token"),
    "a payload elsewhere": (lambda: token(headers={"crit": ["b64"], "b64": False}), "no token"),
    "a key's name that is no text": (
        lambda: f"{encoded({'alg': 'RS256', 'kid': [1]})}.{encoded(claims())}.AAAA", "no token"
    ),
    "no token": (lambda: "abc", "no token"),
    "two tokens": (lambda: f"{token()}, Bearer {token()}", "no token"),
    "too long": (lambda: token(x="x" * 9_000), "too long"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_token_that_is_not_good_is_refused_and_why_is_said(case: str) -> None:
    text, why = BAD[case]
    said = verified(text(), claim="azp" if "no text" in why else "sub")
    assert said.startswith("authentication_failed: ")
    assert why in said


def test_the_skew_of_clocks_is_forgiven_as_far_as_the_file_says() -> None:
    late = token(exp=int(time.time()) - 10)
    assert verified(late) == "hes-north"
    assert "expired" in verified(late, skew_s=0)


def test_a_token_without_signature_is_none() -> None:
    for algorithm in ("none", "None", "NONE"):
        unsigned = f"{encoded({'alg': algorithm, 'kid': 'r1'})}.{encoded(claims())}."
        assert verified(unsigned).startswith("authentication_failed")


def test_a_public_key_is_no_secret_that_a_token_could_be_signed_with() -> None:
    """The confusion of HS256 with RS256."""
    public = RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = f"{encoded({'alg': 'HS256', 'kid': 'r1'})}.{encoded(claims())}"
    forged = f"{signed}.{encoded(hmac.digest(public, signed.encode(), hashlib.sha256))}"
    assert "way that is not allowed" in verified(forged)


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES256K", "RSA-OAEP"])
def test_the_file_cannot_allow_an_algorithm_without_a_public_key(algorithm: str) -> None:
    with pytest.raises(ValidationError):
        Issuer(issuer=ISS, audience=AUD, keys_file=Path("k"), algorithms=(algorithm,))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"keys_file": "k", "keys_url": "https://a/b"},
        {"keys_url": "http://login.example/keys"},
        {"keys_url": "file:///etc/passwd"},
    ],
)
def test_keys_come_from_one_place_that_cannot_be_listened_to(entry: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Issuer.model_validate({"issuer": ISS, "audience": AUD, **entry})


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_key_that_is_too_short_verifies_nothing() -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    said = verified(token(short, "s"), lambda _: jwks(jwk(short, "s")))
    assert said.startswith("authentication_failed")


def test_a_key_for_encryption_verifies_nothing_and_broken_ones_are_passed_over() -> None:
    keys = jwks(
        {"kty": "RSA"}, {"kty": "oct", "kid": "h", "k": "AAAA"},
        jwk(RSA, "r1", use="enc"), jwk(EC, "e1"),
    )  # fmt: skip
    assert "no such key" in verified(token(), lambda _: keys)
    assert verified(token(EC, "e1", "ES256"), lambda _: keys) == "hes-north"


# --- keys change and go away --------------------------------------------------------------------


def run(test: Callable[[Issuing], Awaitable[None]], issuing: Issuing) -> None:
    asyncio.run(test(issuing))  # type: ignore[arg-type]


def test_a_new_key_is_looked_for_at_once_and_the_old_one_goes_with_it() -> None:
    async def test(issuing: Issuing) -> None:
        assert await issuing.code(token()) == "hes-north"
        issuing.answer = lambda _: jwks(jwk(OTHER_RSA, "r2"))
        issuing.now += PAUSE_S
        assert await issuing.code(token(OTHER_RSA, "r2")) == "hes-north"
        assert "no such key" in await issuing.code(token())

    run(test, Issuing(lambda _: BOTH))


def test_strangers_with_invented_keys_make_us_ask_no_more_than_once_in_a_pause() -> None:
    async def test(issuing: Issuing) -> None:
        asking = [issuing.code(token(kid=f"r{number}")) for number in range(9, 60)]
        said = await asyncio.gather(*asking)
        assert all("no such key" in one for one in said)
        assert issuing.asked == 1
        issuing.now += PAUSE_S
        await issuing.code(token(kid="x"))
        await issuing.code(token(kid="y"))
        assert issuing.asked == 2

    run(test, Issuing(lambda _: BOTH))


def test_a_withdrawn_key_is_forgotten_when_its_time_is_over_without_anybody_asking() -> None:
    async def test(issuing: Issuing) -> None:
        await issuing.tend()
        issuing.answer = lambda _: jwks(jwk(EC, "e1"))
        issuing.now += FRESH_S - 1
        await issuing.tend()
        assert issuing.asked == 1
        issuing.now += 1
        await issuing.tend()
        assert "no such key" in await issuing.code(token())

    run(test, Issuing(lambda _: BOTH))


def away(_: Issuer) -> bytes:
    raise ConnectionRefusedError("away")


def test_while_the_issuer_is_away_its_keys_hold_as_long_as_they_are_kept_and_then_nothing() -> None:
    async def test(issuing: Issuing) -> None:
        await issuing.tend()
        issuing.answer = away
        issuing.now += 3_600
        await issuing.tend()
        assert await issuing.code(token()) == "hes-north"
        issuing.now += 1
        assert (await issuing.code(token())).startswith("unavailable")
        issuing.answer = lambda _: BOTH
        issuing.now += PAUSE_S
        assert await issuing.code(token()) == "hes-north"

    run(test, Issuing(lambda _: BOTH, keys_kept_s=3_600))


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"keys": {}}', b'{"keys": []}', b"<html>"])
def test_an_answer_that_is_no_set_of_keys_takes_away_none(answer: bytes) -> None:
    async def test(issuing: Issuing) -> None:
        await issuing.tend()
        issuing.answer = lambda _: answer
        issuing.now += FRESH_S
        await issuing.tend()
        assert issuing.asked == 2
        assert await issuing.code(token()) == "hes-north"

    run(test, Issuing(lambda _: BOTH))


def test_keys_that_were_never_had_are_no_fault_of_who_sends_a_token() -> None:
    assert verified(token(), away).startswith("unavailable")


# --- over HTTPS ---------------------------------------------------------------------------------


class Server:
    """An issuer's HTTPS server; `respond` answers."""

    def __init__(self, authority: Authority) -> None:
        made = authority.server()
        self.respond: Callable[[BaseHTTPRequestHandler], None] = lambda h: say(h, 200, BOTH)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with contextlib.suppress(OSError):
                    outer.respond(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.certificate, made.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}/keys?v=1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def say(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def server(authority: Authority) -> Iterator[Server]:
    made = Server(authority)
    yield made
    made.close()


def test_keys_are_had_over_https(server: Server, authority: Authority) -> None:
    seen: list[str] = []

    def respond(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.path)
        say(handler, 200, BOTH)

    server.respond = respond
    over = {"keys_url": server.url, "ca_file": authority.file}
    assert verified(token(), fetch_keys, **over) == "hes-north"
    assert seen == ["/keys?v=1"]


def test_an_issuer_with_a_certificate_that_is_not_trusted_has_no_keys(
    server: Server, tmp_path: Path
) -> None:
    for trusted in ({}, {"ca_file": Authority(tmp_path, "Another").file}):
        said = verified(token(), fetch_keys, keys_url=server.url, **trusted)
        assert said.startswith("unavailable")


@pytest.mark.parametrize(
    "respond",
    [
        pytest.param(lambda h: say(h, 500, BOTH), id="an error"),
        pytest.param(lambda h: say(h, 302, b"", Location="https://127.0.0.1:1/"), id="a redirect"),
        pytest.param(lambda h: say(h, 200, BOTH + b" " * 1024 * 1024), id="too much"),
        pytest.param(lambda h: h.wfile.write(b"SSH-2.0\r\n\r\n"), id="no HTTP"),
    ],
)
def test_an_issuer_that_answers_something_else_has_no_keys(
    server: Server, authority: Authority, respond: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    server.respond = respond
    said = verified(token(), fetch_keys, keys_url=server.url, ca_file=authority.file)
    assert said.startswith("unavailable")


def test_an_issuer_that_does_not_answer_holds_up_no_other_request(
    server: Server, authority: Authority
) -> None:
    release = threading.Event()

    def respond(handler: BaseHTTPRequestHandler) -> None:
        release.wait(WAIT_S)
        say(handler, 200, BOTH)

    server.respond = respond

    async def test() -> None:
        issuing = Issuing(fetch_keys, keys_url=server.url, ca_file=authority.file)
        waiting = asyncio.create_task(issuing.code(token()))
        for _ in range(50):  # the loop goes on turning while the thread waits
            await asyncio.sleep(0.001)
        assert not waiting.done()
        release.set()
        assert await waiting == "hes-north"

    asyncio.run(test())


def test_keys_come_from_a_file_too(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(BOTH)
    assert verified(token(), fetch_keys, keys_file=file) == "hes-north"

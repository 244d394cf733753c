"""What becomes of a message on the way to a mutated one.

Lives here: the mutations. Each is a function of the dice, the message and the corpus, and
gives bytes, whatever it was given. Must not live here: what must come of them (see `judge`).
"""

from __future__ import annotations

import base64
import gzip
import random
import re
from collections.abc import Callable
from typing import Final

from tests.fuzz.corpus import Corpus

Mutation = Callable[[random.Random, bytes, Corpus], bytes]

# Possessive, because the mutated messages are made to be hard on patterns.
_TAG: Final = re.compile(rb"</?[A-Za-z][^<>\s/]*+")
_NAME: Final = re.compile(rb"</?([A-Za-z][^<>\s/]*+)")
_ELEMENT: Final = re.compile(rb"<([A-Za-z][^<>\s/]*+)[^<>]*+(?<!/)>[^<>]*+</\1>")
_TEXT: Final = re.compile(rb">([^<>]+)<")
_ATTRIBUTE: Final = re.compile(rb"=\"([^\"<>]*)\"")
_NAMESPACE: Final = re.compile(rb"xmlns(?::\w+)?=\"([^\"]*)\"")
_COMPRESSED: Final = re.compile(rb"<((?:\w+:)?Payload)>.*</\1>", re.DOTALL)

# Pieces that parsers stumble over, and pieces of our own formats.
TOKENS: Final = (
    b"<",
    b">",
    b"&",
    b"/",
    b"</",
    b"/>",
    b"]]>",
    b"<![CDATA[",
    b"<!--",
    b"-->",
    b"<?",
    b"?>",
    b"<!DOCTYPE a>",
    b"<!DOCTYPE a [<!ENTITY x 'y'>]>",
    b"&x;",
    b"&#0;",
    b"&#x1F600;",
    b"&#xD;",
    b"&lt;",
    b"&amp;",
    b"\x00",
    b"\x0b",
    b"\x7f",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xef\xbf\xbf",
    b"\xc2\xa0",
    b" xmlns=''",
    b" xmlns:x='urn:x'",
    b" xml:space='preserve'",
    b" xml:base='http://x/'",
    b"<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='/etc/passwd'/>",
    b"<Header/>",
    b"</Header>",
    b"<Payload>",
    b"</Payload>",
    b"<OperationSet>",
    b"<Compressed>",
    b"<MeterReading/>",
    b"<Readings/>",
    b"<IntervalBlocks/>",
    b"<EndDeviceEvent/>",
    b"<Request/>",
    b"<ID idType='name'>1</ID>",
    b"<Reply><Result>OK</Result></Reply>",
    b"xsi:nil='true'",
    b"<enforceTransactionalIntegrity>true</enforceTransactionalIntegrity>",
    b"|",
    b"%",
    b"#",
    b"\n",
)
VALUES: Final = (
    b"",
    b" ",
    b"0",
    b"-0",
    b"-1",
    b"1e400",
    b"1e-400",
    b"NaN",
    b"INF",
    b"-INF",
    b"+1",
    b".5",
    b"5.",
    b"1,5",
    b"0x10",
    b"1_000",
    b"999999999999999999999",
    b"0." + b"1" * 40,
    b"1" * 400,
    b"true",
    b"1",
    b"\xd9\xa1\xd9\xa2",
    b"2026-11-01T00:00:00",
    b"2026-11-01T00:00:00Z",
    b"24:00:00",
    b"2026-11-01T24:00:00Z",
    b"2026-02-30T00:00:00Z",
    b"0000-01-01T00:00:00Z",
    b"-0001-01-01T00:00:00Z",
    b"9999-12-31T23:59:59.999Z",
    b"99999-01-01T00:00:00Z",
    b"2026-11-01T00:00:00+14:01",
    b"2026-11-01T00:00:60Z",
    b"2026-11-01T00:00:00.123456789Z",
    b"2026-13-01T00:00:00Z",
    b"created",
    b"create",
    b"get",
    b"reply",
    b"execute",
    b"delete",
    b"cancel",
    b"close",
    b"Created",
    b"MeterReadings",
    b"EndDeviceEvents",
    b"EndDeviceControls",
    b"Crews",
    b"Measurements",
    b"PRODUCTION",
    b"training",
    b"TEST",
    b"0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0",
    b"0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0",
    b"3.26.0.85",
    b"1.0.0",
    b"....",
    b"1.2.3",
    b"a|b|c",
    b"%7C",
    b"a#0",
    b"../../etc",
    b"\xc3\xa9",
    b"http://iec.ch/TC57/2011/schema/message",
    b"http://iec.ch/TC57/2021/schema/message",
    b"http://iec.ch/TC57/2011/MeterReadings#",
    b"http://iec.ch/TC57/2011/EndDeviceEvents#",
    b"OK",
    b"PARTIAL",
    b"FAILED",
    b"XML",
    b"\xf0\x9f\x92\xa1",
    b"A" * 2000,
    b"\t\r\n",
    b"&#10;",
    b"&#x20;",
)
ENCODINGS: Final = (
    "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "iso-8859-1", "iso-8859-15",
    "windows-1252", "us-ascii", "koi8-r", "gb18030", "shift_jis", "big5", "utf-7", "cp037",
    "idna", "punycode", "hz", "iso-2022-jp",
)  # fmt: skip


def flip(dice: random.Random, data: bytes, _: Corpus) -> bytes:
    """Some bytes are others."""
    damaged = bytearray(data)
    any_byte = dice.random() < 0.2  # most are ASCII, or every one would break the encoding
    for _number in range(dice.choice([1, 1, 1, 2, 4, 16])):
        if damaged:
            value = dice.randrange(256) if any_byte else dice.randrange(32, 127)
            damaged[dice.randrange(len(damaged))] = value
    return bytes(damaged)


def truncate(dice: random.Random, data: bytes, _: Corpus) -> bytes:
    """The end, or the beginning, is missing."""
    at = dice.randrange(len(data) + 1)
    return data[:at] if dice.random() < 0.8 else data[at:]


def cut(dice: random.Random, data: bytes, _: Corpus) -> bytes:
    """A piece is missing, or there twice."""
    begin, end = _span(dice, data)
    return data[:begin] + (data[begin:end] * 2 if dice.random() < 0.5 else b"") + data[end:]


def insert(dice: random.Random, data: bytes, _: Corpus) -> bytes:
    """A piece that parsers stumble over is in it."""
    at = dice.randrange(len(data) + 1)
    piece = dice.choice(TOKENS) if dice.random() < 0.9 else dice.randbytes(dice.randrange(1, 9))
    return data[:at] + piece + data[at:]


def insert_at_tag(dice: random.Random, data: bytes, _: Corpus) -> bytes:
    """The same, where an element begins or ends: more of these stay well-formed."""
    found = list(_TAG.finditer(data))
    if not found:
        return data
    at = dice.choice(found).start()
    return data[:at] + dice.choice(TOKENS) + data[at:]


def swap_tags(dice: random.Random, data: bytes, _: Corpus) -> bytes:
    """Two element names change places: one pair of tags, or everywhere."""
    names = sorted(set(_NAME.findall(data)))
    if len(names) < 2:
        return data
    one, other = dice.sample(names, 2)
    if dice.random() < 0.5:
        return re.sub(
            rb"(</?)(" + re.escape(one) + rb"|" + re.escape(other) + rb")(?=[\s/>])",
            lambda match: match[1] + (other if match[2] == one else one),
            data,
        )
    return data.replace(b"<" + one, b"<" + other, 1).replace(b"</" + one, b"</" + other, 1)


def move_element(dice: random.Random, data: bytes, corpus: Corpus) -> bytes:
    """A leaf element is gone, there twice, elsewhere, or is one of another message."""
    found = list(_ELEMENT.finditer(data))
    if not found:
        return data
    chosen = dice.choice(found)
    choice = dice.randrange(4)
    without = data[: chosen.start()] + data[chosen.end() :]
    if choice == 0:
        return without
    if choice == 1:
        return data[: chosen.end()] + chosen[0] + data[chosen.end() :]
    if choice == 2:
        tags = list(_TAG.finditer(without))
        at = dice.choice(tags).start() if tags else 0
        return without[:at] + chosen[0] + without[at:]
    others = list(_ELEMENT.finditer(dice.choice(corpus.everything)))
    piece = dice.choice(others)[0] if others else b""
    return data[: chosen.start()] + piece + data[chosen.end() :]


def splice(dice: random.Random, data: bytes, corpus: Corpus) -> bytes:
    """The beginning of one message and the end of another, cut anywhere or between tags."""
    other = dice.choice(corpus.everything)
    if dice.random() < 0.3:
        return data[: dice.randrange(len(data) + 1)] + other[dice.randrange(len(other) + 1) :]
    ours, theirs = list(_TAG.finditer(data)), list(_TAG.finditer(other))
    if not ours or not theirs:
        return data + other
    return data[: dice.choice(ours).start()] + other[dice.choice(theirs).start() :]


def replace_value(dice: random.Random, data: bytes, _: Corpus) -> bytes:
    """A text or an attribute has a value that is hard to take."""
    pattern = _TEXT if dice.random() < 0.7 else _ATTRIBUTE
    found = list(pattern.finditer(data))
    if not found:
        return data
    chosen = dice.choice(found)
    return data[: chosen.start(1)] + dice.choice(VALUES) + data[chosen.end(1) :]


def wrap_text(dice: random.Random, data: bytes, _: Corpus) -> bytes:
    """A text in another dress: CDATA, character references, comments, white space."""
    found = [match for match in _TEXT.finditer(data) if match[1].strip()]
    if not found:
        return data
    chosen = dice.choice(found)
    text = chosen[1]
    dressed = dice.choice(
        [
            b"<![CDATA[" + text + b"]]>",
            b"".join(b"&#%d;" % byte for byte in text),
            text[:1] + b"<!-- -->" + text[1:],
            text[:1] + b"<?pi?>" + text[1:],
            b"\n\t " + text + b" \r\n",
            text[:1] + b"<b/>" + text[1:],
            b"<![CDATA[]]>" + text,
        ]
    )
    return data[: chosen.start(1)] + dressed + data[chosen.end(1) :]


def rename_namespace(dice: random.Random, data: bytes, _: Corpus) -> bytes:
    """A namespace is another, or prefixes stand where there were none."""
    found = list(_NAMESPACE.finditer(data))
    if not found:
        return data
    if dice.random() < 0.5:
        chosen = dice.choice(found)
        uri = dice.choice([*VALUES, *(match[1] for match in found)])
        return data[: chosen.start(1)] + uri + data[chosen.end(1) :]
    prefix = dice.choice([b"p:", b"xml:", b"xmlns:", b"Header:", b"\xc3\xa9:"])
    declared = data.replace(b"xmlns=", b"xmlns:" + prefix[:-1] + b"=", dice.choice([1, 9]))
    return re.sub(rb"<(/?)(?=[A-Za-z])(?![\w-]+:)", rb"<\1" + prefix, declared)


def doctype(dice: random.Random, data: bytes, _: Corpus) -> bytes:
    """A document type declaration before the root, with entities of every kind, or hidden."""
    bomb = b"".join(b"<!ENTITY e%d '%s'>" % (i, b"&e%d;" % (i - 1) * 9) for i in range(1, 9))
    declared = dice.choice(
        [
            b"<!DOCTYPE a [<!ENTITY e0 'x'>" + bomb + b"]>",
            b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'>",
            b"<!DOCTYPE a [<!ENTITY e8 SYSTEM 'file:///etc/passwd'>]>",
            b"<!DOCTYPE a [<!ENTITY % p SYSTEM 'http://127.0.0.1:1/x'> %p;]>",
            b"<!DOCTYPE a [<!ATTLIST Header x CDATA 'y'>]>",
            b"<!doctype a>",
            b"<!-- --><!DOCTYPE a>",
            b"<?pi <!DOCTYPE a>?><!DOCTYPE\na>",
            b"<!-- <!DOCTYPE a> -->",
        ]
    )
    at = data.find(b"?>") + 2 if data.startswith(b"<?xml") else 0
    return data[:at] + declared + data[at:].replace(b">m-", b">&e8;m-", 1)


def reencode(dice: random.Random, data: bytes, _: Corpus) -> bytes:
    """Another encoding, another declaration, or both of them; they may contradict each other."""
    text = data.decode("utf-8", "replace")
    name = dice.choice(ENCODINGS)
    declared = dice.choice([name, dice.choice(ENCODINGS), ""])
    body = re.sub(r"^\ufeff?<\?xml[^>]*\?>", "", text)
    if declared:
        body = f'<?xml version="{dice.choice(["1.0", "1.0", "1.1"])}" encoding="{declared}"?>{body}'
    return body.encode(name, "ignore") if name != "idna" else body.encode()


def compress(dice: random.Random, data: bytes, corpus: Corpus) -> bytes:
    """The payload in a Compressed element; sound, damaged, nested, or a small bomb."""
    match = _COMPRESSED.search(data)
    if match is None:
        return data
    name = match[1]
    inner = match[0][len(name) + 2 : -len(name) - 3]
    if dice.random() < 0.4:
        inner = mutate_once(dice, inner, corpus)
    if dice.random() < 0.05:
        inner = b"<MeterReadings>" + b" " * dice.choice([1 << 12, 1 << 16, 1 << 21])
    packed = gzip.compress(inner, 1, mtime=0)
    for _ in range(dice.choice([0, 0, 0, 1, 2])):
        packed = dice.choice([flip, truncate, cut])(dice, packed, corpus)
    if dice.random() < 0.1:
        packed += gzip.compress(b"<a/>", mtime=0)
    text = base64.b64encode(packed)
    if dice.random() < 0.3:
        text = dice.choice([flip, truncate, cut])(dice, text, corpus)
    if dice.random() < 0.3:
        text = b"\n".join(text[i : i + 76] for i in range(0, len(text), 76))
    extra = dice.choice([b"<Format>XML</Format>", b"", b"<Format>PDF</Format>", inner[:200]])
    body = b"<%s><Compressed>%s</Compressed>%s</%s>" % (name, text, extra, name)
    return data[: match.start()] + body + data[match.end() :]


def enlarge(dice: random.Random, data: bytes, _: Corpus) -> bytes:
    """Very deep, very wide, very long: what quadratic work would show on."""
    found = list(_TAG.finditer(data))
    at = dice.choice(found).start() if found else 0
    size = dice.choice([100, 1_000, 10_000, 100_000])
    piece = dice.choice(
        [
            b"<a>" * size + b"</a>" * size,
            b"<a>" * size,
            b"<a b='" + b"x" * size + b"'/>",
            b"<a " + b" ".join(b"a%d='1'" % i for i in range(size // 10)) + b"/>",
            b"<a " + b" ".join(b"xmlns:a%d='u%d'" % (i, i) for i in range(size // 100)) + b"/>",
            b"<" + b"n" * size + b"/>",
            b"<a/>" * size,
            b"\n" * size,
            b"<!--" + b"-" * size,
            b"<!-- -->" * size,
            b"<![CDATA[" * size,
            b"&#65;" * size,
            b"<MeterReading/>" * (size // 100),
            b"<EndDeviceEvent/>" * (size // 100),
            b"<Readings><value>1</value></Readings>" * (size // 100),
            b"<ID>x</ID>" * (size // 10),
        ]
    )
    return data[:at] + piece + data[at:]


def random_bytes(dice: random.Random, data: bytes, _: Corpus) -> bytes:
    """No message at all."""
    return dice.randbytes(dice.randrange(200))


# (mutation, weight): what keeps a message readable is drawn more often, because only behind
# the parser it gets interesting; what is slow is drawn seldom.
MUTATIONS: Final[tuple[tuple[Mutation, float], ...]] = (
    (flip, 10),
    (truncate, 4),
    (cut, 6),
    (insert, 8),
    (insert_at_tag, 12),
    (swap_tags, 10),
    (move_element, 16),
    (splice, 6),
    (replace_value, 24),
    (wrap_text, 10),
    (rename_namespace, 6),
    (doctype, 2),
    (reencode, 5),
    (compress, 5),
    (enlarge, 0.4),
    (random_bytes, 0.3),
)
_FUNCTIONS: Final = [mutation for mutation, _ in MUTATIONS]
_WEIGHTS: Final = [weight for _, weight in MUTATIONS]


def mutate_once(dice: random.Random, data: bytes, corpus: Corpus) -> bytes:
    """One mutation, drawn by weight."""
    (mutation,) = dice.choices(_FUNCTIONS, _WEIGHTS)
    return mutation(dice, data, corpus)


def message(seed: int, number: int, corpus: Corpus) -> bytes:
    """The mutated message of this number: a function of its arguments, and of nothing else."""
    dice = random.Random(f"{seed}/{number}")
    data = dice.choice(corpus.messages)
    for _ in range(dice.choice([1, 1, 1, 2, 2, 3, 5])):
        data = mutate_once(dice, data, corpus)
    return data


def _span(dice: random.Random, data: bytes) -> tuple[int, int]:
    begin = dice.randrange(len(data) + 1)
    return begin, min(len(data), begin + dice.choice([1, 2, 8, 50, 500]))

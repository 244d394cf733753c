"""The hardened parser: what is refused, with which code, and what must stay readable."""

import time

import pytest

from schemas.errors import MessageError
from schemas.xml import DEFAULT, XmlLimits, as_utf8, line_of, parse

BILLION_LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [
 <!ENTITY lol "lol">
 <!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">
 <!ENTITY lol3 "&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;">
 <!ENTITY lol4 "&lol3;&lol3;&lol3;&lol3;&lol3;&lol3;&lol3;&lol3;&lol3;&lol3;">
]>
<lolz a="&lol4;">&lol4;</lolz>"""


def code_of(data: bytes, limits: XmlLimits = DEFAULT) -> str:
    with pytest.raises(MessageError) as caught:
        parse(data, limits)
    return caught.value.code


def line_of_error(data: bytes) -> int | None:
    with pytest.raises(MessageError) as caught:
        parse(data)
    return caught.value.problems[0].line


# --- documents type declarations and entities


@pytest.mark.parametrize(
    "data",
    [
        BILLION_LAUGHS,
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b'<!DOCTYPE a SYSTEM "http://example.invalid/a.dtd"><a/>',
        b'<!DOCTYPE a [<!ENTITY % p SYSTEM "http://example.invalid/p">%p;]><a/>',
        b"<!DOCTYPE a><a/>",
        b'\xef\xbb\xbf<?xml version="1.0"?><!-- c --><?pi ?>\n<!DOCTYPE a><a/>',
        b"<!-- a --><!-- b --> <!DOCTYPE a><a/>",
        "<!DOCTYPE a><a/>".encode("utf-16"),
        "<!DOCTYPE a><a/>".encode("utf-16-le"),
        b'<?xml version="1.0" encoding="ISO-8859-1"?><!DOCTYPE a><a/>',
        b"<!DOCTYPE a [",
    ],
)
def test_a_document_type_declaration_is_refused(data: bytes) -> None:
    assert code_of(data) == "xml_forbidden"


@pytest.mark.parametrize(
    "data",
    [
        b"<!-- <!DOCTYPE a> --><a/>",
        b"<?pi <!DOCTYPE a> ?><a/>",
        b"<a><![CDATA[<!DOCTYPE a>]]></a>",
        b"<a>&lt;!DOCTYPE a&gt;</a>",
    ],
)
def test_the_word_doctype_elsewhere_is_no_declaration(data: bytes) -> None:
    assert parse(data).tag == "a"


def test_the_line_of_a_document_type_declaration_is_named() -> None:
    assert line_of_error(b'<?xml version="1.0"?>\n\n<!DOCTYPE a><a/>') == 3


def test_a_document_type_declaration_inside_the_root_is_not_well_formed() -> None:
    assert code_of(b"<a><!DOCTYPE a></a>") == "xml_not_wellformed"


def test_looking_for_a_declaration_takes_linear_time() -> None:
    started = time.perf_counter()
    assert code_of(b"<?a ?>" * 200_000) == "xml_not_wellformed"
    assert code_of(b"<!--" * 200_000) == "xml_not_wellformed"
    assert time.perf_counter() - started < 2


def test_an_undefined_entity_is_refused_and_not_quoted() -> None:
    with pytest.raises(MessageError) as caught:
        parse(b"<name>Tom&Jerry;</name>")
    assert caught.value.code == "xml_not_wellformed"
    assert "Jerry" not in str(caught.value)


def test_a_value_without_quotes_is_refused_in_words() -> None:
    with pytest.raises(MessageError) as caught:
        parse(b"<a xmlns=urn:x/>")
    assert "quotes" in str(caught.value)


def test_the_entities_of_xml_and_character_references_are_read() -> None:
    assert parse(b"<a>&lt;&amp;&#228;&#x1F50C;</a>").text == "<&ä\N{ELECTRIC PLUG}"


# --- well-formedness


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \n ",
        b"hello",
        b"{}",
        b"<a>",
        b"<a><b></a>",
        b"<a/><b/>",
        b"<a/>junk",
        b"<a b='1' b='2'/>",
        b"<a>&</a>",
        b"<a>1 < 2</a>",
        b"<p:a/>",
        b"<a>\x00</a>",
        b"<a>\x1b</a>",
        b' <?xml version="1.0"?><a/>',
        b"<!-- a -- b --><a/>",
    ],
)
def test_what_is_not_well_formed_is_refused(data: bytes) -> None:
    assert code_of(data) == "xml_not_wellformed"


def test_the_line_where_it_breaks_is_named() -> None:
    assert line_of_error(b"<a>\n<b>\n</c>\n</a>") == 3
    assert line_of_error(b"<a>\n<b>\n<c>") == 3


def test_every_truncation_is_refused() -> None:
    data = '<?xml version="1.0"?>\n<a b="c"><b>ä</b><!-- d --><c/></a>'.encode()
    assert parse(data).tag == "a"
    for length in range(len(data)):
        assert code_of(data[:length]) in ("xml_not_wellformed", "xml_encoding"), length


def test_comments_and_instructions_are_gone_and_texts_joined() -> None:
    root = parse(b"<a>1<!-- x -->2<?pi?>3<b/></a>")
    assert root.text == "123"
    assert [child.tag for child in root] == ["b"]


def test_elements_know_their_line() -> None:
    assert line_of(parse(b"<a>\n\n<b/></a>")[0]) == 3


# --- limits


def nested(depth: int) -> bytes:
    return b"<a>" * depth + b"</a>" * depth


def test_the_deepest_allowed_element_passes_and_one_more_does_not() -> None:
    assert parse(nested(64)).tag == "a"
    assert code_of(nested(65)) == "xml_too_deep"
    assert parse(nested(3), XmlLimits(depth_max=3)).tag == "a"
    assert code_of(nested(4), XmlLimits(depth_max=3)) == "xml_too_deep"


@pytest.mark.parametrize("depth", [300, 2047, 2048, 2049, 10_000, 1_000_000])
def test_any_depth_is_refused_without_a_crash(depth: int) -> None:
    assert code_of(nested(depth)) == "xml_too_deep"


def test_depth_is_counted_on_any_branch() -> None:
    assert code_of(b"<r><a/>" + nested(64) + b"<a/></r>") == "xml_too_deep"


def test_one_byte_over_the_limit_is_too_large() -> None:
    data = b"<a>" + b"x" * 20 + b"</a>"
    assert parse(data, XmlLimits(bytes_max=len(data))).tag == "a"
    with pytest.raises(MessageError) as caught:
        parse(data, XmlLimits(bytes_max=len(data) - 1))
    assert caught.value.code == "message_too_large"
    assert f"{len(data)} of {len(data) - 1} bytes" in str(caught.value)


@pytest.mark.parametrize("size_mb", [10, 100])
def test_large_messages_are_refused_before_anything_reads_them(size_mb: int) -> None:
    started = time.perf_counter()
    assert code_of(bytes(size_mb * 1_000_000)) == "message_too_large"
    assert time.perf_counter() - started < 0.1


def test_a_single_text_may_be_as_long_as_the_limit_allows() -> None:
    """libxml2 by itself stops at 10,000,000 characters."""
    size = 12_000_000
    root = parse(b"<a>" + b"x" * size + b"</a>", XmlLimits(bytes_max=size + 100))
    assert len(root.text or "") == size


def test_a_name_that_no_parser_takes_is_too_large() -> None:
    name = b"n" * 10_000_100
    data = b"<" + name + b"/>"
    assert code_of(data, XmlLimits(bytes_max=len(data))) == "message_too_large"


# --- encodings

TEXT = "Zähler"


@pytest.mark.parametrize(
    "data",
    [
        f"<a>{TEXT}</a>".encode(),
        f"\ufeff<a>{TEXT}</a>".encode(),
        f'<?xml version="1.0" encoding="utf-8"?><a>{TEXT}</a>'.encode(),
        f"<?xml version='1.0' encoding='UTF8'?><a>{TEXT}</a>".encode(),
        f'<?xml version="1.0" encoding="ISO-8859-1"?><a>{TEXT}</a>'.encode("latin-1"),
        f'<?xml version="1.0" encoding="windows-1252"?><a>{TEXT}</a>'.encode("cp1252"),
        f'<?xml version="1.0" encoding="UTF-16"?><a>{TEXT}</a>'.encode("utf-16"),
        f'<?xml version="1.0" encoding="UTF-16"?><a>{TEXT}</a>'.encode("utf-16-be"),
        f'<?xml version="1.0" encoding="UTF-16"?><a>{TEXT}</a>'.encode("utf-16-le"),
        f'\ufeff<?xml version="1.0" encoding="UTF-16"?><a>{TEXT}</a>'.encode("utf-16-be"),
        # A UTF-16 string that somebody wrote as UTF-8 and left its declaration.
        f'<?xml version="1.0" encoding="utf-16"?><a>{TEXT}</a>'.encode(),
    ],
)
def test_texts_are_the_same_in_every_declared_encoding(data: bytes) -> None:
    assert parse(data).text == TEXT


@pytest.mark.parametrize(
    "data",
    [
        b"<a>\xff</a>",
        b"\x89PNG\r\n\x1a\n",
        b"<a>\n\xc3</a>",
        b"<a>\xed\xa0\x80</a>",
        b"<a>\xc0\x80</a>",
        b"<\xe4/>",
        f"<a>{TEXT}</a>".encode("latin-1"),
        f'<?xml version="1.0" encoding="UTF-8"?><a>{TEXT}</a>'.encode("latin-1"),
        f'<?xml version="1.0" encoding="us-ascii"?><a>{TEXT}</a>'.encode(),
        "<a/>".encode("utf-16-le") + b"\x00",
        "<a>".encode("utf-16-le") + b"\x00\xd8" + "</a>".encode("utf-16-le"),
        "<a/>".encode("utf-32"),
        "<a/>".encode("utf-32-be"),
        b'<?xml version="1.0" encoding="utf-7"?><a/>',
        b'<?xml version="1.0" encoding="hex"?><a/>',
        b'<?xml version="1.0" encoding="idna"?><a/>',
        b'<?xml version="1.0" encoding="IBM037"?><a/>',
        b'<?xml version="1.0" encoding="ISO-8859-99"?><a/>',
        b'<?xml version="1.0" encoding="ISO-2022-JP"?><a/>',
    ],
)
def test_bytes_that_are_not_what_they_declare_are_refused(data: bytes) -> None:
    assert code_of(data) == "xml_encoding"


def test_the_line_of_the_first_bad_byte_is_named() -> None:
    assert line_of_error(b"<a>\n\n\xff</a>") == 3


def test_utf_8_is_passed_through_untouched() -> None:
    data = "<a>ä</a>".encode()
    assert as_utf8(data) is data


# --- namespaces


def declarations(count: int, first: int = 0) -> str:
    return "".join(f' xmlns:p{number}="u"' for number in range(first, first + count))


MOST = DEFAULT.namespaces_max


@pytest.mark.parametrize(
    "data",
    [
        f"<a{declarations(MOST + 1)}/>",
        f"<a{declarations(MOST)}><b xmlns='u'/></a>",
        f"<a{declarations(MOST)}><b><c xmlns:q='u'/></b></a>",
        f"<a><b/><b{declarations(MOST // 2 + 1)}><c{declarations(MOST // 2, MOST)}/></b></a>",
        f"<a xmlns='{'u' * 1000}'/>",
        f"<a xmlns:{'p' * 1000}='u'/>",
        f"<a xmlns:p{' ' * 2000}={' ' * 2000}'{'u' * 1000}'/>",
    ],
    ids=["at once", "own", "below", "on one path", "long", "long prefix", "far apart"],
)
def test_more_namespaces_on_a_path_than_the_limit_or_long_ones_are_refused(data: str) -> None:
    assert code_of(data.encode()) == "xml_too_many_namespaces"
    assert code_of(data.encode("utf-16")) == "xml_too_many_namespaces"


@pytest.mark.parametrize(
    "data",
    [
        f"<a{declarations(MOST)}/>",
        f"<a>{f'<b{declarations(MOST // 2)}><c{declarations(MOST // 2)}/></b>' * 9}</a>",
        "<a>" + "<b xmlns=''/>" * 2 * MOST + "</a>",
        f"<a b='xmlns'>{'xmlns:' * 1000}<![CDATA[ xmlns:p='u']]></a>",
        f"<a xmlns='{'u' * 500}' xmlns:{'p' * 60}='u' xmlns:q = \n 'u'/>",
    ],
    ids=["at once", "side by side", "undone", "in text", "long enough"],
)
def test_as_many_namespaces_as_are_allowed_are_read_however_often(data: str) -> None:
    parse(data.encode())

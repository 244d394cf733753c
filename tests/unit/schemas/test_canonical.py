"""What counts as the same content, and what does not."""

import time

import pytest
from lxml import etree

from schemas.canonical import canonical_form, pieces_form
from schemas.xml import XmlLimits, parse

XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def form(text: str) -> str:
    return canonical_form(parse(text.encode()))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('<a xmlns="u"/>', '<x:a xmlns:x="u"></x:a>'),
        ('<a xmlns="u"><b c="1"/></a>', '<a xmlns="u" xmlns:v="v"><b c="1"/></a>'),
        ('<a b="1" c="2"/>', "<a c='2' b='1'/>"),
        (
            '<a xmlns:p="u" xmlns:q="v" p:b="1" q:b="2"/>',
            '<a xmlns:p="v" xmlns:q="u" p:b="2" q:b="1"/>',
        ),
        ("<a><b>1</b><b>2</b></a>", "<a>\n  <b>1</b>\n\t<b>2</b>\r\n</a>"),
        ("<a><b>1</b></a>", "<a><b>\n 1 </b></a>"),
        ("<a><b/></a>", "<a><b> </b></a>"),
        ("<a>x&lt;y</a>", "<a><![CDATA[x<y]]></a>"),
        ("<a>é</a>", "<a>&#233;</a>"),
        ("<a><b/></a>", "<a><!-- c --><b/><?pi?></a>"),
        ("<a>12</a>", "<a>1<!-- c -->2</a>"),
        (f'<a {XSI} xsi:schemaLocation="u u.xsd"/>', "<a/>"),
        (f'<a {XSI} xsi:noNamespaceSchemaLocation="u.xsd" b="1"/>', '<a b="1"/>'),
        (f'<a {XSI} xmlns:p="u" xsi:type="p:T"/>', f'<a {XSI} xmlns:q="u" xsi:type=" q:T"/>'),
        (f'<a {XSI} xmlns="u" xsi:type="T"/>', f'<q:a {XSI} xmlns:q="u" xsi:type="q:T"/>'),
        (
            f'<a {XSI} xmlns:p="u"><b xmlns:p="v" xsi:type="p:T"/><b xsi:type="p:T"/></a>',
            f'<a {XSI} xmlns:v="v" xmlns:u="u"><b xsi:type="v:T"/><b xsi:type="u:T"/></a>',
        ),
    ],
)
def test_other_serialisations_have_the_same_form(one: str, other: str) -> None:
    assert form(one) == form(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('<a xmlns="u"/>', '<a xmlns="v"/>'),
        ("<a/>", "<b/>"),
        ("<a><b/></a>", "<a><b/><b/></a>"),
        ("<a><b/><c/></a>", "<a><c/><b/></a>"),
        ("<a><b><c/></b></a>", "<a><b/><c/></a>"),
        ('<a b="1"/>', '<a b="2"/>'),
        ('<a b="1"/>', '<a b=" 1"/>'),
        ('<a b="1"/>', '<a c="1"/>'),
        ('<a b=""/>', "<a/>"),
        ('<a b="1"><c/></a>', '<a><c b="1"/></a>'),
        ("<a>1</a>", "<a>1.0</a>"),
        ("<a>1 2</a>", "<a>1  2</a>"),
        ("<a>x</a>", "<a><x/></a>"),
        ("<a>x<b/></a>", "<a><b/>x</a>"),
        ("<a>x<b/></a>", "<a>x <b/></a>"),
        ("<a><b/>x<c/></a>", "<a><b/><c/>x</a>"),
        ("<a>\u00a0</a>", "<a/>"),
        (f'<a {XSI} xmlns:p="u" xsi:type="p:T"/>', f'<a {XSI} xmlns:p="v" xsi:type="p:T"/>'),
        (f'<a {XSI} xmlns="u" xsi:type="T"/>', f'<q:a {XSI} xmlns:q="u" xsi:type="T"/>'),
        (f'<a {XSI} xsi:type="undeclared:T"/>', f'<a {XSI} xsi:type="T"/>'),
        (f'<a {XSI} xmlns:p="u" xsi:type="p:T"/>', f'<a {XSI} xsi:type="1:uT"/>'),
        (f'<a {XSI} xsi:nil="true"/>', "<a/>"),
    ],
)
def test_other_contents_have_other_forms(one: str, other: str) -> None:
    assert form(one) != form(other)


def test_the_form_of_a_part_is_that_of_the_part_alone() -> None:
    root = parse(b'<r xmlns:p="u"> x <p:a/> tail <p:a/>y</r>')
    assert canonical_form(root[0]) == canonical_form(root[1]) == form('<a xmlns="u"/>')


def test_comments_in_an_element_made_elsewhere_do_not_count() -> None:
    commented = etree.fromstring("<a>1<!-- c -->2<b/><!-- d --></a>")
    assert canonical_form(commented) == form("<a>12<b/></a>")
    assert len(commented) == 3  # it is a copy that was cleaned


def test_namespaces_are_merged_for_elements_on_request() -> None:
    one, other = parse(b'<a xmlns="u"><b/></a>'), parse(b'<a xmlns="v"><b/></a>')
    merged = frozenset({"u", "v"})
    assert canonical_form(one, merged=merged, into="w") == canonical_form(
        other, merged=merged, into="w"
    )
    assert canonical_form(one, merged=frozenset({"u"}), into="w") != canonical_form(
        other, merged=frozenset({"u"}), into="w"
    )


def test_lists_of_texts_do_not_run_together() -> None:
    assert pieces_form("ab", "c") != pieces_form("a", "bc")
    assert pieces_form() != pieces_form("")
    assert pieces_form("1:a") != pieces_form("1", "a")


def test_depth_is_no_matter() -> None:
    deep = "<a>" * 1_500 + "</a>" * 1_500
    element = etree.fromstring(deep, etree.XMLParser(huge_tree=True))
    assert canonical_form(element).count("1:a") == 1_500


def test_prefixes_declared_outside_the_part_count_inside_it() -> None:
    one = parse(f'<r {XSI} xmlns:p="u"><a xsi:type="p:T"/></r>'.encode())
    other = parse(f'<r {XSI} xmlns:q="u"><a xsi:type="q:T"/></r>'.encode())
    third = parse(f'<r {XSI} xmlns:p="v"><a xsi:type="p:T"/></r>'.encode())
    assert canonical_form(one[0]) == canonical_form(other[0]) != canonical_form(third[0])


def test_many_declarations_and_many_types_take_linear_time() -> None:
    declared = " ".join(f'xmlns:p{number}="u{number}"' for number in range(20_000))
    types = '<b xsi:type="p1:T"/>' * 20_000
    limits = XmlLimits(namespaces_max=30_000)
    element = parse(f"<a {XSI} {declared}>{types}</a>".encode(), limits)
    started = time.perf_counter()
    assert canonical_form(element).count("2:u1T") == 20_000
    assert time.perf_counter() - started < 5


def test_a_large_payload_takes_milliseconds() -> None:
    reading = "<r><t>2026-01-01T00:15:00Z</t><v>1.25</v></r>"
    element = parse(f"<a>{reading * 4_000}</a>".encode())
    started = time.perf_counter()
    canonical_form(element)
    assert time.perf_counter() - started < 0.5

# ruff: noqa: E501 - payloads are kept whole
"""No text from a cluster or a bundle acts: not in a browser, not in a terminal, not on a forge."""

from __future__ import annotations

import json
import re
from functools import cache
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from tests.unit.report.html import Page
from tests.unit.report.payloads import ALL, BREAKOUTS, MARKDOWN, TERMINAL, XSS, laced

from aiconform.report import render_html, render_json, render_junit, render_markdown
from aiconform.report.text import one_line, visible

TAGS = frozenset(
    """
    html head meta title link style body a aside strong span ul li header p h1 h2 h3 h4 div nav main section table
    thead tbody tr th td svg desc line text tspan rect path circle figure figcaption article code dl dt dd b details summary pre footer
    """.split()  # noqa: SIM905
)
ATTRIBUTES = frozenset(
    """
    lang charset http-equiv content name rel href class id aria-label aria-labelledby aria-hidden title scope role
    tabindex x y x1 x2 y1 y2 width height text-anchor viewbox preserveaspectratio d cx cy r
    """.split()  # noqa: SIM905
)
RAW = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e0fff]"
)


def shape(tokens: list[Token]) -> list[str]:
    """The blocks of a document, but for paragraphs: a cut body adds one that says what was left out."""
    return [token.type for token in tokens if not token.type.startswith("paragraph") and token.type != "inline"]


@cache
def clean_shape() -> list[str]:
    """The blocks of the Markdown report of a harmless run."""
    return shape(MarkdownIt("commonmark").enable("table").parse(render_markdown(laced(""))))


def batches(size: int, payloads: list[str] = ALL) -> list[list[str]]:
    """All payloads, some at a time: each is still looked for by itself in the Markdown, where order matters."""
    return [payloads[start : start + size] for start in range(0, len(payloads), size)]


def test_there_are_enough_payloads() -> None:
    assert len(set(ALL)) == len(ALL) >= 150
    assert len({*ALL, *BREAKOUTS}) >= 450


@pytest.mark.parametrize("batch", batches(3) + batches(15, BREAKOUTS), ids=lambda batch: repr(batch[0])[:24])
def test_page(batch: list[str]) -> None:
    html = render_html(laced(" " + " ".join(batch)))
    page = Page(html)
    assert set(page.tags) <= TAGS
    assert {name for _, name, _ in page.attributes} <= ATTRIBUTES
    own = {"manifest.json", "plan.json", "verdicts.json", "log.jsonl"}
    for target in page.values("href"):
        inside = target.removeprefix("bundle/")
        assert (
            target.startswith("#")
            or target == "data:,"
            or inside in own
            or re.fullmatch(r"blobs/sha256/[0-9a-f]{64}", inside)
        )
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {target[1:] for target in page.values("href") if target.startswith("#")} <= set(ids)
    assert not RAW.search(html)


@pytest.mark.parametrize("payload", XSS[:12] + TERMINAL[:8] + MARKDOWN[:8], ids=repr)
def test_page_shows_what_was_there(payload: str) -> None:
    """A payload is shown, not swallowed, in every sink that the page has."""
    page = Page(render_html(laced(payload)))
    shown = visible(payload)
    whole = sum(text.count(shown) for text in page.texts)
    flat = sum(one_line(text).count(one_line(shown)) for text in page.texts)
    assert max(whole, flat) >= 60


@pytest.mark.parametrize("payload", ALL, ids=[f"p{number}" for number in range(len(ALL))])
@pytest.mark.parametrize("before", ["", " "], ids=["joined", "word"])
def test_markdown(payload: str, before: str) -> None:
    text = render_markdown(laced(before + payload))
    assert not RAW.search(text)
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    kinds = {token.type for token in tokens}
    assert not kinds & {"html_block", "blockquote_open", "ordered_list_open", "hr", "code_block"}
    assert shape(tokens) == clean_shape()
    for token in tokens:
        for inline in token.children or []:
            assert inline.type not in {"html_inline", "image", "s_open", "em_open", "hardbreak"}
            if inline.type == "link_open":
                target = str(inline.attrs["href"])
                assert target.startswith("#") or re.fullmatch(r"bundle/blobs/sha256/[0-9a-f]{64}", target)
            if inline.type == "text":
                assert not re.search(
                    r"@|://|www\.|#\d|GH-\d|\b[0-9a-f]{40}\b|mailto:|:\w+:|\$", inline.content, re.IGNORECASE
                )


@pytest.mark.parametrize("batch", batches(5), ids=lambda batch: repr(batch[0])[:24])
def test_junit_and_json(batch: list[str]) -> None:
    payload = " ".join(batch)
    bundle = laced(payload)
    root = ET.fromstring(render_junit(bundle))
    assert len(root.findall("testsuite")) == len(bundle.plan.checks)
    assert not any(
        RAW.search(value) for element in root.iter() for value in [*element.attrib.values(), element.text or ""]
    )
    document = json.loads(render_json(bundle))
    assert document["requirements"][0]["id"] == "dra_support" + payload


def test_lone_surrogates_do_not_stop_a_report() -> None:
    bundle = laced('"')
    for digest in list(bundle.blobs):
        bundle.blobs[digest] = (
            b'{"kind": "Table", "columnDefinitions": [{"name": "\\ud800"}], "rows": [{"cells": ["\\udfff"]}]}'
        )
    assert "\\ud800" in render_html(bundle)
    assert "\\udfff" in render_markdown(bundle)


def test_odd_bodies_do_not_stop_a_report() -> None:
    odd = [b"[" * 100_000, b"\xff\xfe\x00", b'{"kind":"Table","columnDefinitions":5,"rows":{}}', b'{"kind":"Table","rows":[{"cells":7}]}',
           b'{"kind":"Table","columnDefinitions":[{"name":1}],"rows":[{"cells":"abc"},3]}', b"null", b'""', b"0",
           b'{"type":"ADDED","object":{"metadata":4,"status":{"conditions":[1,{}]}}}', b"9" * 5000, b"[" * 900 + b"]" * 900]  # fmt: skip
    for number, data in enumerate(odd):
        bundle = laced("")
        for digest in list(bundle.blobs):
            bundle.blobs[digest] = data
        assert Page(render_html(bundle)).text, number
        assert render_markdown(bundle), number

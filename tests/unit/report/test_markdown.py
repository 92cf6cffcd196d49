from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from tests.unit.report.sample import sample

from aiconform.report import render_markdown
from aiconform.report.markdown import block, code, escape
from aiconform.report.text import one_line, visible


@pytest.fixture(scope="module")
def text() -> str:
    return render_markdown(sample())


def test_it_tells_the_run(text: str) -> None:
    for wanted in (
        "# k0s v1.35.3+k0s: AI Conformance 1.35",
        "**SIMULATED.**",
        "Exit code 1: at least one MUST failed.",
        "| [secure\\_accelerator\\_access](#secure_accelerator_access) | **failed** | MUST |",
        "* Observed (failed): 2 device nodes: /dev/nvidia0, /dev/nvidia1",
        "* Fails if: It sees a device",
        "* Not shown: Privileged pods and pods with host paths were not tried.",
        "Left behind: pod/bare (finalizers: example.com/hold)",
        "share-3   1/1     Running   0          3s",
        "* Asked for: NVIDIA GPU by device plugin (nvidia.com/gpu); allocation auto",
        "* Left alone: 1 nvidia.com/gpu on worker-9: taint team",
    ):
        assert wanted in text, wanted


def test_it_is_shorter_than_the_page_by_far(text: str) -> None:
    assert len(text) < 30_000


def rendered(line: str) -> str:
    tokens = MarkdownIt("commonmark").enable("table").parse(f"* {line}\n")
    return "".join(
        inline.content for token in tokens for inline in token.children or [] if inline.type in {"text", "code_inline"}
    )


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.characters(), max_size=40))
def test_escaped_text_reads_as_it_was(text: str) -> None:
    shown = rendered(escape(text))
    assert shown.strip() == one_line(visible(text)).strip()


@given(st.text(alphabet="`~ ab\n|\\", max_size=30))
def test_a_block_never_ends_early(text: str) -> None:
    lines = block(text)
    tokens = MarkdownIt("commonmark").parse("\n".join([*lines, "", "after"]))
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]


@given(st.text(alphabet="`ab ", min_size=1, max_size=20))
def test_a_code_span_holds_any_backticks(text: str) -> None:
    if one_line(text):
        assert rendered(code(text)).strip() == one_line(text)

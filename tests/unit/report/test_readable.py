# ruff: noqa: E501 - texts are kept whole
from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aiconform.report.readable import readable

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12) | st.sampled_from(
    ["a\nb", "a\n  b\n", "set -e\n\nls\n", "yes", "null", "1.30", "0x1f", "~", "- a", "a: b", "a #b", "1_000", "12:30", "a\n\n", " a\nb", "a\tb\nc", "=", "<<"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(VALUES, min_size=1) | st.dictionaries(TEXT, VALUES, min_size=1))
def test_it_loads_as_the_same_value(value: Any) -> None:
    assert yaml.safe_load(readable(value) + "\n") == value


def test_a_manifest_reads_like_a_manifest() -> None:
    pod = {
        "apiVersion": "v1",
        "spec": {"containers": [{"name": "main", "command": ["sh", "-c", "ls /dev\necho done\n"], "resources": {}}], "hostPID": False},
    }  # fmt: skip
    assert readable(pod).split("\n") == [
        "apiVersion: v1",
        "spec:",
        "  containers:",
        "  - name: main",
        "    command:",
        "    - sh",
        '    - "-c"',
        "    - |",
        "      ls /dev",
        "      echo done",
        "    resources: {}",
        "  hostPID: false",
    ]


def test_hidden_characters_are_never_put_in_a_block() -> None:
    assert readable({"a": "x\n\x1b[31m\n"}) == 'a: "x\\n\\u001b[31m\\n"'


def test_too_deep_is_said_not_survived() -> None:
    with pytest.raises(RecursionError):
        readable(json.loads("[" * 900 + "1" + "]" * 900))

from __future__ import annotations

from typing import Any

import pytest

from aiconform.checks._kit.selectors import matches, satisfying


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ({}, {}, True),
        ({"matchLabels": {"team": "a"}}, {"team": "a", "more": "x"}, True),
        ({"matchLabels": {"team": "a"}}, {"team": "b"}, False),
        ({"matchLabels": {"team": "a"}}, {}, False),
        ({"matchExpressions": [{"key": "k", "operator": "In", "values": ["1", "2"]}]}, {"k": "2"}, True),
        ({"matchExpressions": [{"key": "k", "operator": "In", "values": ["1", "2"]}]}, {"k": "3"}, False),
        ({"matchExpressions": [{"key": "k", "operator": "In", "values": ["1"]}]}, {}, False),
        ({"matchExpressions": [{"key": "k", "operator": "NotIn", "values": ["1"]}]}, {}, True),
        ({"matchExpressions": [{"key": "k", "operator": "NotIn", "values": ["1"]}]}, {"k": "1"}, False),
        ({"matchExpressions": [{"key": "k", "operator": "Exists"}]}, {"k": ""}, True),
        ({"matchExpressions": [{"key": "k", "operator": "Exists"}]}, {}, False),
        ({"matchExpressions": [{"key": "k", "operator": "DoesNotExist"}]}, {}, True),
        ({"matchExpressions": [{"key": "k", "operator": "DoesNotExist"}]}, {"k": "1"}, False),
        ({"matchExpressions": [{"key": "k", "operator": "Newer"}]}, {"k": "1"}, False),
    ],
)
def test_labels_match(selector: dict[str, Any], labels: dict[str, str], expected: bool) -> None:
    assert matches(selector, labels) is expected


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, {}),
        ({"matchLabels": {"release": "stack"}}, {"release": "stack"}),
        (
            {"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "In", "values": ["x", "y"]}]},
            {"a": "1", "b": "x"},
        ),
        ({"matchExpressions": [{"key": "b", "operator": "Exists"}]}, {"b": "aiconform"}),
        ({"matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]}, {}),
        ({"matchLabels": {"b": "1"}, "matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]}, None),
        ({"matchExpressions": [{"key": "b", "operator": "Newer"}]}, None),
    ],
)
def test_labels_that_match_are_found(selector: dict[str, Any], expected: dict[str, str] | None) -> None:
    assert satisfying(selector) == expected

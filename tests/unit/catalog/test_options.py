"""What may be told of a cluster: known by name, held against a pattern, never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiconform.catalog.options import OPTIONS, Option, checked
from aiconform.errors import UsageError

TELLING = (Path(__file__).parents[3] / "docs" / "telling.md").read_text(encoding="utf-8")


def test_options_are_sorted_and_empty_ones_are_left_out() -> None:
    assert checked({"gateway-class": "envoy"}) == {"gateway-class": "envoy"}
    assert checked({"gateway-class": ""}) == {}


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown option 'gateway'"):
        checked({"gateway": "envoy"})


def test_a_value_that_is_not_of_its_form_is_refused_with_an_example() -> None:
    with pytest.raises(UsageError) as refused:
        checked({"gateway-class": "Not A Name"})
    assert refused.value.hint == "for example --gateway-class envoy"


def test_of_choices_only_these_are_taken() -> None:
    option = Option("allocation", "HOW", "How.", "dra", choices=("auto", "dra"))
    option.check("dra")
    with pytest.raises(UsageError, match="not one of auto, dra"):
        option.check("device")


@pytest.mark.parametrize("option", OPTIONS.values(), ids=list(OPTIONS))
def test_each_example_is_allowed(option: Option) -> None:
    option.check(option.example)
    assert option.help.endswith(".")
    assert f"| `--{option.name} " in TELLING


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gateway-port", "{port}"),
        ("prometheus", "monitoring/vmselect:{port}"),
        ("prometheus", "monitoring/vmselect:{port}/select/0/prometheus"),
        ("prometheus-url", "http://metrics.example.com:{port}"),
    ],
)
def test_a_port_is_one_that_can_be(name: str, value: str) -> None:
    for port in (1, 65535):
        OPTIONS[name].check(value.format(port=port))
    for port in (65536, 99999, 100000):
        with pytest.raises(UsageError, match=f"{port}.*: no port has a number above 65535") as refused:
            OPTIONS[name].check(value.format(port=port))
        assert refused.value.hint.startswith(f"for example --{name} ")
    with pytest.raises(UsageError, match=": not "):
        OPTIONS[name].check(value.format(port=0))

"""Values over time: what is drawn, what stands in tables, and that no value does harm."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.report.html import Page
from tests.unit.report.sample import MemoryBundle, sample

from aiconform.evidence.documents import Verdicts
from aiconform.evidence.records import SeriesData
from aiconform.report import render_html, render_json, render_markdown
from aiconform.report.plot import MAX_POINTS, Piece, Plot, plot
from aiconform.report.series import number, table, thinned, tidy

REPLICAS = [(10.0, 1.0), (12.0, 2.0), (14.0, 2.0), (20.0, 1.0)]


def drawn(*series: tuple[str, str, list[tuple[float, float]]]) -> Plot:
    pieces = [Piece("up", tidy(SeriesData(name=name, unit=unit, points=points))) for name, unit, points in series]
    found = plot("p", "title", pieces)
    assert found
    return found


def numbers(path: str) -> list[float]:
    return [float(text) for text in re.findall(r"-?[0-9.]+", path)]


def test_few_whole_numbers_are_steps_and_the_rest_are_lines() -> None:
    drawing = drawn(("replicas", "pods", REPLICAS), ("share", "%", [(10.0, 1.5), (20.0, 3.0)]))
    steps, line = (panel.curves[0].path for panel in drawing.panels)
    assert steps == "M0.0 50.0H200.0V0.0H400.0V0.0H1000.0V50.0"
    assert line == "M0.0 50.0L1000.0 0.0"


def test_a_panel_for_each_unit_from_zero_with_round_labels() -> None:
    drawing = drawn(("desired", "pods", REPLICAS), ("running", "pods", REPLICAS), ("queue", "requests", [(10.0, 37.0)]))
    pods, requests = drawing.panels
    assert [curve.name for curve in pods.curves] == ["desired", "running"]
    assert [label for _, label in pods.grid] == ["0", "1", "2"]
    assert [label for _, label in requests.grid] == ["0", "10", "20", "30", "40"]
    assert requests.y > pods.y + 96
    assert {curve.style for panel in drawing.panels for curve in panel.curves} == {0, 1, 2}


def test_a_target_is_a_level_and_a_lone_value_is_a_dot() -> None:
    drawing = drawn(("queue", "", [(5.0, 3.0)]), ("target per pod", "", [(5.0, 5.0), (9.0, 5.0)]))
    queue, target = drawing.panels[0].curves
    assert (queue.level, target.level) == (False, True)
    assert queue.dots
    assert not target.dots


def test_pieces_of_several_probes_are_one_curve_with_a_gap_and_a_band_each() -> None:
    one = tidy(SeriesData(name="replicas", unit="pods", points=[(0, 1), (10, 2)]))
    two = tidy(SeriesData(name="replicas", unit="pods", points=[(90, 2), (100, 1)]))
    drawing = plot("p", "title", [Piece("up", one), Piece("down", two)])
    assert drawing
    (curve,) = drawing.panels[0].curves
    assert curve.path.count("M") == 2
    assert [(band.label, band.x, band.width) for band in drawing.bands] == [
        ("up", "0.00%", "10.00%"),
        ("down", "90.00%", "10.00%"),
    ]
    assert "lowest 1, highest 2, 4 values" in drawing.description


def test_nothing_measured_nothing_drawn() -> None:
    assert plot("p", "title", []) is None
    assert plot("p", "title", [Piece("up", tidy(SeriesData(name="x", points=[(1.0, math.nan)])))]) is None


@given(st.lists(st.tuples(st.floats(), st.floats() | st.integers(-3, 300).map(float)), max_size=40))
def test_no_value_breaks_the_drawing(points: list[tuple[float, float]]) -> None:
    series = tidy(SeriesData(name="x", unit="u", points=points))
    assert series.dropped + len(series.points) == len(points)
    drawing = plot("p", "title", [Piece("up", series)])
    if drawing is None:
        assert not series.points
        return
    for panel in drawing.panels:
        assert 2 <= len(panel.grid) <= 12
        for curve in panel.curves:
            assert all(-0.1 <= value <= 1000.1 for value in numbers(curve.path))
            assert "nan" not in curve.path + curve.said
    assert 0 <= len(drawing.axis) <= 8


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=3000), st.integers(9, 200))
def test_thinning_keeps_ends_and_extremes(values: list[float], most: int) -> None:
    points = [(float(at), value) for at, value in enumerate(values)]
    kept = thinned(points, most)
    assert len(kept) <= most + 4
    assert {points[0], points[-1]} <= set(kept)
    assert kept == sorted(kept)
    assert (max(v for _, v in kept), min(v for _, v in kept)) == (max(values), min(values))


def test_many_values_stay_small() -> None:
    many = [(at / 10, math.sin(at)) for at in range(100_000)]
    drawing = drawn(("wave", "", many))
    assert len(drawing.panels[0].curves[0].path) < 20 * MAX_POINTS
    values = table([tidy(SeriesData(name="wave", points=many))], 120)
    assert len(values.rows) == 120
    assert values.left_out == "120 of 100000 moments; all are in the bundle and in the JSON report"


def test_a_table_has_a_row_for_each_moment_and_says_what_is_missing() -> None:
    one = tidy(SeriesData(name="a", unit="pods", points=[(1.0, 1.0), (2.5, 2.0), (3.0, math.inf)]))
    two = tidy(SeriesData(name="b", points=[(2.5, 0.125)]))
    values = table([one, two], 10)
    assert values.columns == ("time", "a (pods)", "b")
    assert values.rows == (("0:01.000", "1", ""), ("0:02.500", "2", "0.125"))
    assert values.left_out == "1 value left out: not a number that can be shown"


@pytest.mark.parametrize(
    ("value", "shown"), [(2.0, "2"), (0.1 + 0.2, "0.3"), (-0.0, "0"), (123456.7, "123457"), (1e15, "1e+15")]
)
def test_numbers_read_well(value: float, shown: str) -> None:
    assert number(value) == shown


def section(html: str) -> str:
    found = re.search(r'<section class="req[^"]*" id="gpu_sharing".*?</section>', html, re.DOTALL)
    assert found
    return found.group()


def test_the_page_draws_names_and_lists_them() -> None:
    html = section(render_html(sample()))
    text = Page(html).text
    assert html.count('<svg class="plot" role="img"') == 1
    assert "What was measured for gpu_sharing, over time" in text
    assert "utilisation of GPU-A, %" in text
    assert "pods running pods: 0 at" in text
    assert "Values over time" in text
    assert "level" in html


def test_markdown_and_json_have_the_values() -> None:
    text, document = render_markdown(sample()), json.loads(render_json(sample()))
    assert "| time | pods running (pods) | utilisation of GPU-A (%) | target (%) |" in text
    sharing = next(part for part in document["requirements"] if part["id"] == "gpu_sharing")
    series = sharing["probes"][0]["observations"][0]["series"]
    assert [one["name"] for one in series] == ["pods running", "utilisation of GPU-A", "target"]
    assert len(series[0]["points"]) == 12


def with_series(series: list[dict[str, Any]]) -> MemoryBundle:
    """The made-up run, all of its series replaced; models are made without being checked."""
    bundle = sample()
    bundle.verdicts = Verdicts.model_validate(bundle.verdicts.model_dump())
    for check in bundle.verdicts.checks:
        for probe in check.probes:
            for at, seen in enumerate(probe.observations):
                if seen.series:
                    probe.observations[at] = seen.model_copy(update={"series": [SeriesData(**one) for one in series]})
    return dataclasses.replace(bundle)


@pytest.mark.parametrize(
    "series",
    [
        [{"name": "", "points": []}],
        [{"name": "x", "points": [(math.nan, math.nan), (math.inf, 1), (-math.inf, 2), (-5, 3), (1e300, 4)]}],
        [{"name": "x", "points": [(1, 1e308), (2, -1e308), (3, 5e-324)]}],
        [{"name": "x", "unit": "u", "points": [(1, n)]} for n in range(50)],
        [{"name": f"x{n}", "unit": f"u{n}", "points": [(1, n)]} for n in range(50)],
        [{"name": "x", "points": [(n / 100, n % 7) for n in range(100_000)]}],
        [
            {
                "name": "</title><script>alert(1)</script>",
                "unit": '"><script>alert(1)</script>',
                "points": [(1, 1), (2, 2)],
            }
        ],
    ],
    ids=["empty", "no numbers", "huge", "same name", "many units", "many values", "markup"],
)
def test_hostile_series_are_harmless(series: list[dict[str, Any]]) -> None:
    bundle = with_series(series)
    html = render_html(bundle)
    page = Page(html)
    assert len(html) < 1_000_000
    assert "script" not in page.tags
    assert len(page.values("id")) == len(set(page.values("id")))
    assert not re.search(r' (?:d|cx|cy|x|y)="[^"]*(?:nan|inf)', html)
    assert render_markdown(bundle)
    json.loads(render_json(bundle), parse_constant=pytest.fail)

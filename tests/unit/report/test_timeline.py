# ruff: noqa: E501 - texts are kept whole
from __future__ import annotations

from aiconform.report.timeline import Lane, Mark, Span, draw

SECOND = 1_000_000


def test_nothing_ran_nothing_is_drawn() -> None:
    assert draw("t", "title", "said", [Lane("a", "positive", "not run")]) is None


def test_bars_stand_where_their_time_is() -> None:
    drawing = draw("t", "title", "said", [
        Lane("a", "positive", "passed", (Span(10 * SECOND, 20 * SECOND, "passed", "a"),)),
        Lane("b", "negative", "failed", (Span(20 * SECOND, 50 * SECOND, "failed", "b"),), marks=(Mark(30 * SECOND, "key", "GET"),)),
    ])  # fmt: skip
    assert drawing
    first, second = drawing.rows
    assert [(bar.x, bar.width) for bar in first.bars + second.bars] == [("0.00%", "25.00%"), ("25.00%", "75.00%")]
    assert [(tick.x, tick.kind) for tick in second.ticks] == [("50.00%", "key")]
    assert second.y > first.y
    assert drawing.height > second.y


def test_the_axis_has_a_few_round_labels_inside_the_drawing() -> None:
    for length in (3_000, 40_000, 900_000, 7 * SECOND, 95 * SECOND, 4_000 * SECOND, 90_000 * SECOND):
        drawing = draw("t", "title", "said", [Lane("a", "", "passed", (Span(333, 333 + length, "passed", "a"),))])
        assert drawing
        assert 1 <= len(drawing.axis) <= 8
        assert all(0 <= float(x.rstrip("%")) <= 100 for x, _, _ in drawing.axis)
        assert len({label for _, label, _ in drawing.axis}) == len(drawing.axis)


def test_a_moment_is_still_seen_and_nothing_leaves_the_drawing() -> None:
    drawing = draw("t", "title", "said", [
        Lane("a", "", "passed", (Span(0, 100 * SECOND, "passed", "a"), Span(100 * SECOND, 100 * SECOND, "passed", "b")),
             marks=(Mark(500 * SECOND, "request", "late"),)),
    ])  # fmt: skip
    assert drawing
    for bar in drawing.rows[0].bars:
        assert float(bar.width.rstrip("%")) >= 0.25
        assert float(bar.x.rstrip("%")) + float(bar.width.rstrip("%")) <= 100
    assert drawing.rows[0].ticks[0].x == "100.00%"

"""Answers that must fail the probes of a service's metrics."""

from __future__ import annotations

from tests.support.substitutions import InLogs, InText
from tests.unit.checks.cases.contract import Case

METRICS = "ai_service_metrics"
QUERY, PAGE = "/api/v1/query", "/proxy/metrics"
NOTHING = '"result":\\[\\]'
SERIES = '"result":[{"metric":{"job":"somebody"},"value":[0,"1"]}]'

CASES = (
    Case(InText(f"{METRICS}/answers", QUERY, '"1"\\]', '"2"]'), "answers 2"),
    Case(InText(f"{METRICS}/answers", QUERY, '"result":.*]', '"result":[]'), "answers nothing"),
    Case(InText(f"{METRICS}/answers", QUERY, '"vector"', '"matrix"'), "with no vector", "undecided"),
    Case(
        InText(f"{METRICS}/answers", "/prometheuses", '"(service|pod)MonitorSelector":{}', r'"\1":{}'),
        "takes no",
        "undecided",
    ),
    Case(InText(f"{METRICS}/serving", PAGE, "inference_queue_depth", "queue"), "no inference_queue_depth"),
    Case(InText(f"{METRICS}/serving", PAGE, "_total{(.*)} 0", "_total{\\1} 1"), "inference_requests_total 1"),
    Case(InText(f"{METRICS}/unmonitored", QUERY, NOTHING, SERIES), "1 series, such as {'job': 'somebody'}"),
    Case(InText(f"{METRICS}/unmonitored", PAGE, "inference_requests_total", "requests"), "meanwhile the pod"),
    Case(InText(f"{METRICS}/discovered", QUERY, '"namespace":"[^"]*"', '"namespace":"other"'), "of namespace other"),
    Case(InText(f"{METRICS}/counted", QUERY, '"37"', '"38"'), "38"),
    Case(InText(f"{METRICS}/counted", QUERY, '"7"', '"8"'), "8"),
    Case(InText(f"{METRICS}/counted", QUERY, r'("le":"\+Inf".*?)"37"', r'\1"36"'), "+Inf bucket: 36"),
    Case(InText(f"{METRICS}/counted", PAGE, "_total{(.*)} 37", "_total{\\1} 36"), "the pod itself has counted 37 36"),
    Case(InLogs(f"{METRICS}/counted", '"200": 7', '"200": 6, "500": 1'), "6 times 200; 1 times 500"),
    Case(InText(f"{METRICS}/queue_followed", PAGE, "_depth{(.*)} 11", "_depth{\\1} 12"), "the pod itself says 11 12"),
    Case(InText(f"{METRICS}/unwatched", QUERY, NOTHING, SERIES), "1 series, such as {'job': 'somebody'}"),
    Case(InText(f"{METRICS}/resumed", QUERY, '"namespace":"[^"]*"', '"namespace":"other"'), "of namespace other"),
    Case(InText(f"{METRICS}/resumed", QUERY, '"5"', '"6"'), "6"),
)

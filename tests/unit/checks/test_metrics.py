"""Pages of accelerator exporters: what is read from them, and what is not taken for an answer."""

from __future__ import annotations

import pytest

from aiconform.catalog import accelerators
from aiconform.checks._kit import metrics_collected
from aiconform.checks._kit.metrics_devices import complete, describe
from aiconform.checks._kit.metrics_exporters import Device, parse
from aiconform.checks._kit.prometheus import Sample

NVIDIA = accelerators.by_resource("nvidia.com/gpu")
assert NVIDIA is not None
assert NVIDIA.exporter is not None
DCGM = NVIDIA.exporter

TEXT = """\
# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-A",modelName="Tesla T4",pod="trainer",namespace="team"} 97
DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-B",modelName="Tesla T4"} 0
# TYPE DCGM_FI_DEV_FB_USED gauge
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-A"} 1024
DCGM_FI_DEV_FB_USED{gpu="1",UUID="GPU-B"} 0
# TYPE DCGM_FI_DEV_FB_FREE gauge
DCGM_FI_DEV_FB_FREE{gpu="0",UUID="GPU-A"} 14336
DCGM_FI_DEV_FB_FREE{gpu="1",UUID="GPU-B"} 15360
"""


OPEN, PLAIN = "application/openmetrics-text; version=1.0.0; charset=utf-8", "text/plain; version=0.0.4"


def page(**values: float) -> Device:
    return Device("GPU-A", {}, {f"DCGM_FI_DEV_{name}": value for name, value in values.items()})


def test_devices_with_their_values_and_labels() -> None:
    found = parse(TEXT, PLAIN, DCGM)
    assert (found.format, sorted(found.devices), found.nameless) == ("Prometheus text", ["GPU-A", "GPU-B"], 0)
    assert describe(found.devices["GPU-A"], DCGM) == "97 %, 1024 of 15360 MiB; modelName Tesla T4"
    assert all(complete(device, DCGM) for device in found.devices.values())


def test_a_page_is_in_the_format_that_it_says_it_is_in() -> None:
    assert parse(TEXT + "# EOF\n", OPEN, DCGM).format == "OpenMetrics"
    assert parse(TEXT + "# EOF\n", PLAIN, DCGM).format == "Prometheus text"
    with pytest.raises(ValueError, match="EOF"):
        parse(TEXT, OPEN, DCGM)


def test_a_series_twice_is_no_page() -> None:
    twice = TEXT + 'DCGM_FI_DEV_GPU_UTIL{gpu="9",UUID="GPU-C"} 1\nDCGM_FI_DEV_GPU_UTIL{UUID="GPU-C",gpu="9"} 2\n'
    with pytest.raises(ValueError, match="DCGM_FI_DEV_GPU_UTIL is there twice"):
        parse(twice, PLAIN, DCGM)


def test_series_without_an_id_are_counted_and_are_no_device() -> None:
    found = parse('DCGM_FI_DEV_GPU_UTIL{gpu="0"} 1\nDCGM_FI_DEV_GPU_UTIL{gpu="1",UUID=""} 1\n', PLAIN, DCGM)
    assert (dict(found.devices), found.nameless) == ({}, 2)


def test_two_devices_under_one_id_are_one() -> None:
    assert sorted(parse(TEXT.replace("GPU-B", "GPU-A"), PLAIN, DCGM).devices) == ["GPU-A"]


def test_help_lines_alone_are_no_metric() -> None:
    assert not parse("\n".join(line for line in TEXT.splitlines() if line.startswith("#")) + "\n", PLAIN, DCGM).devices


@pytest.mark.parametrize(
    "text",
    [
        "<html><body>502 Bad Gateway</body></html>",
        TEXT.replace('UUID="GPU-A"', 'UUID="GPU-A', 1),
        TEXT.replace("} 97", "} much", 1),
        TEXT + '# TYPE DCGM_FI_DEV_GPU_UTIL gauge\nDCGM_FI_DEV_GPU_UTIL{UUID="GPU-C"} 1\n# EOF\n',
        TEXT.replace("# TYPE DCGM_FI_DEV_FB_USED gauge", "# TYPE DCGM_FI_DEV_FB_USED guage") + "# EOF\n",
    ],
)
def test_what_is_not_in_the_format_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text, OPEN if text.endswith("# EOF\n") else PLAIN, DCGM)


@pytest.mark.parametrize(
    "device",
    [
        page(GPU_UTIL=5, FB_USED=1),
        page(GPU_UTIL=5, FB_FREE=1),
        page(FB_USED=1, FB_FREE=1),
        page(GPU_UTIL=101, FB_USED=1, FB_FREE=1),
        page(GPU_UTIL=-1, FB_USED=1, FB_FREE=1),
        page(GPU_UTIL=float("nan"), FB_USED=1, FB_FREE=1),
        page(GPU_UTIL=5, FB_USED=-1, FB_FREE=1),
    ],
)
def test_a_device_without_sane_utilisation_and_memory_is_not_complete(device: Device) -> None:
    assert not complete(device, DCGM)


def test_a_cut_page_of_openmetrics_is_not_complete() -> None:
    """Without its end it is read as the older format, in which nothing says that it is whole."""
    whole = TEXT + "# EOF\n"
    cut = parse(whole[: whole.index("# TYPE DCGM_FI_DEV_FB_FREE")], PLAIN, DCGM)
    assert not any(complete(device, DCGM) for device in cut.devices.values())


def target(instance: str, value: float, job: str = "dcgm") -> Sample:
    labels = {"job": job, "instance": instance} if instance else {"job": job}
    return Sample(labels, value)


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        ([target("a", 1), target("b", 1)], "met"),
        ([target("a", 1), target("b", 0)], "waiting"),
        ([target("a", 1), target("b", 1), target("fenced", 0)], "met"),
        ([target("a", 1), target("b", 1), target("a", 0, job="node-exporter")], "met"),
        ([target("a", 1), target("fenced", 1)], "waiting"),
        ([], "waiting"),
    ],
)
def test_only_the_targets_that_tell_of_the_devices_must_be_up(found: list[Sample], outcome: str) -> None:
    theirs = frozenset({("dcgm", "a"), ("dcgm", "b")})
    assert metrics_collected.up(found, theirs, 2).outcome == outcome


def test_where_no_instance_is_told_the_job_decides() -> None:
    assert metrics_collected.up([target("a", 1), target("b", 0)], frozenset({("dcgm", "")}), 1).outcome == "waiting"
    assert metrics_collected.up([target("a", 1), target("b", 1)], frozenset({("dcgm", "")}), 2).outcome == "met"

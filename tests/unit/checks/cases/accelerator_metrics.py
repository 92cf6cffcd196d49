"""Answers that must fail the probes of accelerators' metrics."""

from __future__ import annotations

from tests.support.substitutions import InJson, InLogs, InText
from tests.unit.checks.cases.contract import Case
from tests.unit.checks.cases.edits import Obj, condition, pending

METRICS = "accelerator_metrics"
PAGE, QUERY = "/proxy/metrics", "/api/v1/query"


def page(probe: str, old: str, new: str) -> InText:
    return InText(f"{METRICS}/{probe}", PAGE, old, new)


def answer(probe: str, old: str, new: str) -> InText:
    return InText(f"{METRICS}/{probe}", QUERY, old, new)


def logs(probe: str, old: str, new: str) -> InLogs:
    return InLogs(f"{METRICS}/{probe}", old, new)


def elsewhere(pod: Obj) -> None:
    pod["spec"]["nodeName"] = "control"


CASES = (
    Case(InJson(f"{METRICS}/each_device", "/pods", elsewhere), "gpu-0: none"),
    Case(InJson(f"{METRICS}/each_device", "/pods", condition("Ready", "False")), "gpu-0: none"),
    Case(InText(f"{METRICS}/each_device", "/pods", '"items":.*', '"items":[]}'), "not known", "undecided"),
    Case(page("each_device", r"DCGM_FI_DEV_GPU_UTIL", "GPU_UTIL"), "without both"),
    Case(page("each_device", r"DCGM_FI_DEV_FB_USED", "FB_USED"), "without both"),
    Case(page("each_device", r"DCGM_FI_DEV_FB_FREE", "FB_FREE"), "without both"),
    Case(page("each_device", r"\n.*nvidia1.*", ""), "1 device(s) in"),
    Case(page("each_device", r'UUID="[^"]*"', 'UUID="GPU-same"'), "1 device(s) in"),
    Case(page("each_device", r'UUID="[^"]*",', ""), "0 device(s) in"),
    Case(page("each_device", r'UUID="[^"]*"(.*nvidia1.*)', r'UUID="gpu-0"\1'), "gpu-0"),
    Case(page("each_device", r"(_GPU_UTIL{.*}) .*", r"\1 101"), "out of range"),
    Case(page("each_device", r"(_GPU_UTIL{.*}) .*", r"\1 NaN"), "out of range"),
    Case(page("each_device", r"(_GPU_TEMP{.*}) .*", r"\1 999"), "999"),
    Case(page("each_device", r'="nvidia', "=nvidia"), "is valid"),
    Case(page("same_devices", r'UUID="', 'UUID="x'), "UUID of gpu-0"),
    Case(page("same_devices", r'modelName="Tesla', 'modelName="Quadro'), "but the container finds Tesla T4"),
    Case(page("same_devices", r'modelName="[^"]*"', 'model="x"'), "not there: modelName"),
    Case(page("each_device", r"# EOF\n?", ""), "is valid"),
    Case(page("same_devices", r'Hostname="gpu-.', 'Hostname="control'), "but the container finds gpu-0"),
    Case(page("same_devices", r'VERSION="', 'VERSION="1'), "DCGM_FI_DRIVER_VERSION"),
    Case(page("same_devices", r'bus_id="0', 'bus_id="1'), "pci_bus_id"),
    Case(logs("same_devices", "uuid=GPU", "uuid=OTHER"), "UUID of gpu-0"),
    Case(logs("same_devices", "^uuid=.*", ""), "could not tell", "undecided"),
    Case(InJson(f"{METRICS}/same_devices", "/pods", pending), "is Pending"),
    Case(answer("collected", '"modelName":"[^"]*"', '"modelName":"other"'), "modelName"),
    Case(answer("collected", '"vector"', '"matrix"'), "no Prometheus", "undecided"),
    Case(logs("load_rises", "load=on", "load=cuInit answers 100"), "no load could be made", "undecided"),
    Case(logs("load_rises", r"^load=.*", ""), "did not say why", "undecided"),
    Case(page("load_rises", r"\n.*nvidia1.*", ""), "not there any more"),
    Case(page("load_rises", '="nvidia', "=nvidia"), "is valid"),
    Case(InJson(f"{METRICS}/load_rises", "/namespaces/aiconform-", pending), "is Pending"),
    Case(page("others_stay", r"(_GPU_UTIL{.*}) 0", r"\1 44"), "rose too"),
    Case(page("others_stay", r"(_FB_USED{.*}) 0", r"\1 512"), "rose too"),
    Case(page("others_stay", r"(_GPU_UTIL{.*}) 100", r"\1 4"), "not busy any more", "undecided"),
    Case(page("load_ends", r"\n.*nvidia1.*", ""), "not there any more"),
    Case(page("load_ends", '="nvidia', "=nvidia"), "is valid"),
)

"""The simulated driver, asked through its own nvidia-smi and NVIDIA's C interface in a private mount namespace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiconform.checks._kit import workloads
from aiconform.local.accelerators.devices import DRIVER_VERSION, devices_of, free_major
from aiconform.local.accelerators.driver import LIBRARY, ensure_driver, unsupported_functions
from aiconform.local.accelerators.driver_root import LIBRARIES, write_driver_root
from aiconform.local.profiles import Accelerators
from aiconform.local.programs.build import module_dir

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("go") is None or shutil.which("gcc") is None,
    reason="needs root, a C compiler and Go's module cache",
)
pytestmark = needs_root


@pytest.fixture(scope="module")
def header() -> Path:
    return module_dir("github.com/NVIDIA/go-nvml") / "pkg/nvml/nvml.h"


@pytest.fixture(scope="module")
def driver(header: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield ensure_driver(header=header, compiler=["gcc"])


class Node:
    """Runs shell lines where /dev holds the simulated devices of one node."""

    def __init__(self, root: Path, major: int) -> None:
        self.root = root
        self.major = major

    def run(self, script: str, devices: tuple[int, ...] = (0, 1), dev_options: str = "mode=755") -> list[str]:
        minors = " ".join(str(minor) for minor in (*devices, 255))
        prepare = f"""
            set -eu
            smi={self.root}/usr/bin/nvidia-smi
            mount -t tmpfs -o {dev_options} tmpfs /dev
            mknod -m 666 /dev/null c 1 3
            for minor in {minors}; do mknod -m 666 /dev/nvidia$minor c {self.major} $minor; done
            mv /dev/nvidia255 /dev/nvidiactl
            figures() {{ $smi --query-gpu=index,utilization.gpu,memory.used --format=csv,noheader,nounits; }}
            until_load() {{
                for i in $(seq 100); do figures | grep -q "$1" && return; sleep 0.02; done
                figures >&2; exit 9
            }}
        """
        command = [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            "bash",
            "-c",
            prepare + script,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()


@pytest.fixture
def node(driver: Path, tmp_path: Path) -> Node:
    major = free_major()
    root = tmp_path / "driver"
    write_driver_root(root, driver, devices_of("gpu-0", "test", Accelerators("Tesla T4", 2), major))
    return Node(root, major)


@pytest.fixture
def virtual_node(driver: Path, tmp_path: Path) -> Node:
    major = free_major()
    root = tmp_path / "driver"
    write_driver_root(root, driver, devices_of("vgpu-0", "test", Accelerators("GRID T4-4Q", 1, virtual=True), major))
    return Node(root, major)


QUERY = "$smi --format=csv,noheader --query-gpu="


def test_both_devices_tell_product_and_version(node: Node) -> None:
    rows = node.run(QUERY + "index,name,driver_version,memory.total")
    assert rows == [f"{i}, Tesla T4, {DRIVER_VERSION}, 15360 MiB" for i in (0, 1)]


def test_output_says_simulated(node: Node) -> None:
    assert any("SIMULATED" in line for line in node.run("$smi"))
    assert any("SIMULATED" in line for line in node.run("$smi --version"))


def test_uuids_differ_and_are_stable(node: Node) -> None:
    first, second = node.run(QUERY + "uuid")
    assert first != second
    assert node.run(QUERY + "uuid") == [first, second]


def test_a_device_without_its_node_is_not_there(node: Node) -> None:
    assert node.run(QUERY + "index,gpu_uuid", devices=(1,)) == [f"0, {node.run(QUERY + 'uuid')[1]}"]


def test_no_device_node_at_all(node: Node) -> None:
    assert node.run("$smi -L || echo $?", devices=()) == ["No devices were found", "6"]


def test_a_foreign_device_under_that_name_is_not_taken_for_it(node: Node) -> None:
    assert node.run("rm /dev/nvidia0; mknod -m 666 /dev/nvidia0 c 1 3; $smi -L | wc -l") == ["1"]


def test_nodes_that_may_not_be_opened_hide_the_driver(node: Node) -> None:
    refused = node.run("$smi -L || echo $?", dev_options="nodev")
    assert refused[-1] == "9"


def test_the_device_cgroup_hides_a_device(node: Node, denied_group: Path) -> None:
    (denied_group / "devices.deny").write_text(f"c {node.major}:0 rwm")
    visible = node.run(f"echo 0 > {denied_group}/cgroup.procs; $smi -L")
    assert len(visible) == 1
    assert node.run(QUERY + "uuid")[1] in visible[0]


@pytest.fixture
def denied_group() -> Iterator[Path]:
    top = Path("/sys/fs/cgroup/devices")
    if not top.is_dir():
        pytest.skip("the device controller of cgroup v2 is a BPF program; the cluster tests cover it")
    group = top / f"aiconform-test-{os.getpid()}"
    group.mkdir()
    yield group
    group.rmdir()


def test_load_is_summed_over_processes_and_stays_on_its_device(node: Node) -> None:
    rows = node.run("""
        $smi simulate-load --utilization 30 --memory 4GiB --id 0 >/dev/null &
        $smi simulate-load --utilization 40 --memory 512MiB --id 0 >/dev/null &
        until_load "0, 70, 4608"
        figures
    """)
    assert rows == ["0, 70, 4608", "1, 0, 0"]


def test_load_ends_with_a_killed_process(node: Node) -> None:
    rows = node.run("""
        $smi simulate-load --utilization 55 --id 1 >/dev/null & load=$!
        until_load "1, 55, 0"
        kill -9 $load; wait $load || true
        figures
    """)
    assert rows == ["0, 0, 0", "1, 0, 0"]


def test_load_of_another_mount_and_pid_namespace_is_seen(node: Node) -> None:
    rows = node.run("""
        unshare --mount --pid --fork --mount-proc --kill-child $smi simulate-load --utilization 12 --id 0 >/dev/null &
        until_load "0, 12, 0"
        figures
    """)
    assert rows == ["0, 12, 0", "1, 0, 0"]


def test_busy_device_is_warmer_and_draws_more(node: Node) -> None:
    idle, busy = node.run(f"""
        {QUERY}temperature.gpu,power.draw,pstate --id=0
        $smi simulate-load --utilization 100 --id 0 >/dev/null &
        until_load "0, 100"
        {QUERY}temperature.gpu,power.draw,pstate --id=0
    """)
    assert (idle, busy) == ("32, 9.00 W, P8", "76, 70.00 W, P0")


def test_total_never_exceeds_the_device(node: Node) -> None:
    rows = node.run("""
        for i in 1 2; do $smi simulate-load --utilization 80 --memory 7GiB --id 0 >/dev/null & done
        until_load "0, 100, 14336"
        $smi simulate-load --memory 2GiB --id 0 2>&1 || echo $?
    """)
    assert rows == ["simulate-load: device 0: not enough free device memory", "1"]


def test_processes_are_listed(node: Node) -> None:
    table = node.run("""
        $smi simulate-load --utilization 1 --memory 100MiB --id 1 >/dev/null & until_load "1, 1, 100"
        $smi
    """)
    assert any(" 100MiB |" in line and "nvidia-smi" in line for line in table)


@pytest.mark.parametrize("arguments", ["--memory 4", "--utilization 101", "--memory -1GiB", "--utilization x"])
def test_bad_load_is_refused(node: Node, arguments: str) -> None:
    assert node.run(f"$smi simulate-load {arguments} 2>/dev/null || echo $?") == ["2"]


def test_virtual_device_tells_so(virtual_node: Node) -> None:
    rows = virtual_node.run(QUERY + "name,gpu_virtualization_mode,temperature.gpu", devices=(0,))
    assert rows == ["GRID T4-4Q, VGPU, [N/A]"]
    assert any("License Status" in line and "Licensed" in line for line in virtual_node.run("$smi -q", devices=(0,)))


def test_physical_device_is_not_virtual(node: Node) -> None:
    assert node.run(QUERY + "gpu_virtualization_mode --id=0") == ["None"]
    assert not any("License" in line for line in node.run("$smi -q"))


def test_unknown_property_is_a_usage_error(node: Node) -> None:
    assert node.run(QUERY + "colour || echo $?")[-1] == "2"


def test_every_function_of_the_header_is_there(node: Node, header: Path) -> None:
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", str(node.root / LIBRARIES / LIBRARY)], check=True, capture_output=True, text=True
    )
    defined = {line.split()[-1] for line in listed.stdout.splitlines()}
    declared = {
        line.split()[2].removesuffix("(void)") for line in unsupported_functions(header.read_text()).splitlines()
    }
    assert len(declared) > 300
    assert declared <= defined


NVML = """
import ctypes, sys
nvml = ctypes.CDLL(sys.argv[1])
first, second, number = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint()
rates = (ctypes.c_uint * 2)()
def ask(name, *arguments):
    print(getattr(nvml, name)(*(ctypes.byref(a) if a is number else a for a in arguments)))
ask("nvmlDeviceGetCount_v2", number)
ask("nvmlInit_v2")
ask("nvmlDeviceGetCount_v2", number)
print("count", number.value)
ask("nvmlDeviceGetHandleByIndex_v2", 0, ctypes.byref(first))
ask("nvmlDeviceGetHandleByIndex_v2", 1, ctypes.byref(second))
ask("nvmlDeviceGetHandleByIndex_v2", 2, number)
ask("nvmlDeviceGetHandleByUUID", b"GPU-x", number)
ask("nvmlDeviceGetTopologyCommonAncestor", first, second, number)
print("topology", number.value)
ask("nvmlDeviceGetMinorNumber", ctypes.c_void_p(1), number)
ask("nvmlDeviceGetFanSpeed", first, number)
for load in (40, 50, 0):
    ask("simDeviceHoldLoad", first, load, load * 2)
    ask("nvmlDeviceGetUtilizationRates", first, rates)
    print("load", rates[0])
ask("nvmlShutdown")
ask("nvmlShutdown")
"""
SUCCESS, UNINITIALIZED, INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND = "0", "1", "2", "3", "6"  # nvmlReturn_t


def test_nvml_answers_as_its_header_says(node: Node, tmp_path: Path) -> None:
    script = tmp_path / "ask.py"
    script.write_text(NVML)
    answers = node.run(f"{sys.executable} {script} {node.root / LIBRARIES / LIBRARY}")
    assert answers == [
        UNINITIALIZED,
        *(SUCCESS, SUCCESS, "count 2", SUCCESS, SUCCESS),
        *(INVALID_ARGUMENT, NOT_FOUND),
        *(SUCCESS, "topology 40"),  # NVML_TOPOLOGY_NODE
        *(INVALID_ARGUMENT, NOT_SUPPORTED),
        *(SUCCESS, SUCCESS, "load 40", SUCCESS, SUCCESS, "load 50", SUCCESS, SUCCESS, "load 0"),
        *(SUCCESS, UNINITIALIZED),
    ]


def test_a_second_build_is_taken_from_the_cache(header: Path, driver: Path) -> None:
    assert ensure_driver(header=header, compiler=["/nonexistent"]) == driver


READY = "until grep -q ready {}/said; do sleep 0.02; done"


def cuda_load(node: Node, tmp_path: Path, memory_mib: int, then: str) -> list[str]:
    """Runs the program that checks load an accelerator with, which is written for NVIDIA's own libcuda."""
    program = tmp_path / "load.py"
    program.write_text(workloads.program("loading_nvidia"))
    library = f"LD_LIBRARY_PATH={node.root / LIBRARIES}"
    return node.run(f"{library} {sys.executable} -u {program} {memory_mib} ready >{tmp_path}/said & {then}")


def test_a_launched_kernel_and_its_memory_show_on_its_device_alone(node: Node, tmp_path: Path) -> None:
    shown = cuda_load(
        node, tmp_path, 1024, f"{READY.format(tmp_path)}; figures; kill -9 $!; until_load '^0, 0, 0'; figures"
    )
    assert shown == ["0, 100, 1024", "1, 0, 0", "0, 0, 0", "1, 0, 0"]
    uuid = node.run(QUERY + "uuid")[0]
    assert (tmp_path / "said").read_text().splitlines() == [f"uuid={uuid}", "load=on", "ready"]


def test_cuda_has_no_more_memory_than_the_device(node: Node, tmp_path: Path) -> None:
    assert cuda_load(node, tmp_path, 15361, f"{READY.format(tmp_path)}; figures; kill -9 $!") == ["0, 0, 0", "1, 0, 0"]
    assert (tmp_path / "said").read_text().splitlines() == ["load=cuMemAlloc_v2 answers 2", "ready"]

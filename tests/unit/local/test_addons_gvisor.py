"""gVisor on the nodes of a local cluster: its RuntimeClass, what is missing, and how its shim is started."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from aiconform.local import node_services
from aiconform.local.addons import gvisor
from aiconform.local.addons.registry import FOR_REQUIREMENT, wanted
from aiconform.local.api import ApiError
from aiconform.local.components import COMPONENTS
from aiconform.local.node import kernel
from aiconform.local.programs.build import Binaries


class Answering:
    """An API server that has these paths."""

    def __init__(self, **found: Any) -> None:
        self._found = found

    def get(self, path: str) -> Any:
        for part, answer in self._found.items():
            if part in path:
                return answer
        raise ApiError(404, f"{path} not found")


def test_its_requirement_brings_it_with_both_programs() -> None:
    assert wanted(FOR_REQUIREMENT["workload_sandboxing"]) == (gvisor.GVISOR,)
    assert set(gvisor.GVISOR.programs) == set(COMPONENTS["gvisor"].programs)


def test_the_runtime_class_is_for_nodes_that_have_it_and_its_handler_is_containerds() -> None:
    made = gvisor.runtime_class()
    assert made["scheduling"]["nodeSelector"] == {gvisor.LABEL: "true"}
    runtimes = tomllib.loads(node_services.containerd_config())["plugins"]["io.containerd.cri.v1.runtime"][
        "containerd"
    ]["runtimes"]
    assert runtimes[made["handler"]]["runtime_type"] == "io.containerd.runsc.v1"
    assert runtimes[made["handler"]]["options"]["ConfigPath"] == node_services.RUNSC_CONFIG


def test_the_shims_configuration_names_a_platform_that_needs_no_virtual_machine() -> None:
    found = tomllib.loads(gvisor._CONFIG)
    assert found["runsc_config"] == {"platform": "systrap"}
    assert found["binary_name"].endswith("/bin/runsc")


@pytest.mark.parametrize(
    ("api", "missing"),
    [
        (Answering(runtimeclasses={}, nodes={"items": [{}]}), False),
        (Answering(runtimeclasses={}, nodes={"items": []}), True),
        (Answering(nodes={"items": [{}]}), True),
    ],
)
def test_it_is_there_with_its_class_and_a_node(api: Any, missing: bool) -> None:
    assert bool(gvisor.missing(api)) is missing


def test_programs_are_shared_by_all_nodes_and_replaced_when_installed_again(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    for text in ("old", "new"):
        built = tmp_path / text
        built.mkdir()
        for name in gvisor.PROGRAMS:
            (built / name).write_text(f"{text} {name}")
        gvisor._share(Binaries({name: built / name for name in gvisor.PROGRAMS}), shared)
        assert {file.name: file.read_text() for file in shared.iterdir()} == {
            name: f"{text} {name}" for name in gvisor.PROGRAMS
        }


def test_programs_are_copied_where_they_cannot_be_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_paths: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "built").mkdir()
    for name in gvisor.PROGRAMS:
        (tmp_path / "built" / name).write_text(name)
        (tmp_path / "built" / name).chmod(0o755)
    gvisor._share(Binaries({name: tmp_path / "built" / name for name in gvisor.PROGRAMS}), tmp_path / "shared")
    assert all(os.access(tmp_path / "shared" / name, os.X_OK) for name in gvisor.PROGRAMS)


class Nodes:
    """A cluster that remembers what is run in its nodes."""

    def __init__(self, code: int = 0) -> None:
        self.ran: list[str] = []
        self._code = code

    def enter(self, _node: str, argv: list[str], **options: str) -> Any:
        self.ran.append(f"{argv[-1]}\n{options['input']}")
        return subprocess.CompletedProcess(argv, self._code, "", "no room\n")


@pytest.mark.parametrize("able", [True, False])
def test_the_shim_is_indulged_only_where_we_lack_the_capability(able: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "has_capability", lambda _number: able)
    nodes = Nodes()
    gvisor._install(nodes, "gpu-0")  # type: ignore[arg-type]
    assert any("uid_map" in text for text in nodes.ran) is not able
    assert all(f"{name} /run/aiconform/bin/{name}" in nodes.ran[0] for name in gvisor.PROGRAMS)


def test_what_a_node_refuses_is_told() -> None:
    with pytest.raises(Exception, match="cannot put gVisor on node gpu-0"):
        gvisor._install(Nodes(1), "gpu-0")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "shown"), [(["-id", "x", "start"], True), (["-id", "x", "delete"], False), ([], False)]
)
def test_only_the_process_that_starts_a_shim_is_shown_a_user_namespace(
    words: list[str], shown: bool, tmp_path: Path
) -> None:
    shim, bin_ = tmp_path / "shim", tmp_path / "bin"
    bin_.mkdir()
    shim.write_text('#!/bin/sh\necho "shim $$ $*"\n')
    (bin_ / "mount").write_text('#!/bin/sh\necho "mount $*"\n')
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(gvisor._INDULGENT.replace(f"{gvisor._SHARED}/{gvisor.SHIM}", str(shim)))
    for file in (shim, bin_ / "mount", wrapper):
        file.chmod(0o755)
    done = subprocess.run(
        [wrapper, *words], env={"PATH": f"{bin_}:/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    *mounts, last = done.stdout.splitlines()
    number = last.split()[1]
    assert last.split() == ["shim", number, *words]
    assert mounts == ([f"mount --bind {gvisor._USER_NAMESPACE} /proc/{number}/uid_map"] if shown else [])

"""Whatever is done to a bundle, only a BundleError comes of reading it, and nothing changed passes as intact."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.bundles import make_bundle
from tests.support.forgery import remanifest, reseal
from tests.unit.evidence.test_attacks_on_archives import mutated

from aiconform.errors import BundleError
from aiconform.evidence import layout
from aiconform.evidence.integrity import findings
from aiconform.evidence.reader import open_bundle
from aiconform.evidence.strictjson import StrictJSONError, canonical

quiet = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
odd = st.sampled_from(
    [
        None,
        True,
        -1,
        2**53 - 1,
        1.5,
        "",
        "x",
        "\x1b[2J\u202e",
        "../../etc/passwd",
        "0" * 64,
        [],
        {},
        [[]],
        {"a": [None]},
    ]
)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("pristine"))


@pytest.fixture(scope="module")
def scratch(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(pristine, tmp_path_factory.mktemp("scratch") / "bundle")


def restored(scratch: Path, pristine: Path) -> Path:
    """The copy, as it was."""
    for name in layout.REQUIRED:
        shutil.copyfile(pristine / name, scratch / name)
    return scratch


def accepted(path: Path) -> bool:
    """Whether nothing is said against it. Any error but a BundleError goes through and fails the test."""
    try:
        return not findings(open_bundle(path))
    except BundleError as problem:
        assert problem.message.isprintable()  # noqa: PT017 - names in it come from the bundle
        return False


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a JSON value."""
    found = [at] if at else []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        found += places(item, (*at, key))
    return found


def changed(value: Any, at: tuple[Any, ...], action: str, new: Any) -> Any:
    """The value with one place removed, replaced, or with something added beside it."""
    value = copy.deepcopy(value)
    parent = value
    for key in at[:-1]:
        parent = parent[key]
    if action == "remove":
        del parent[at[-1]]
    elif action == "add" and isinstance(parent, list):
        parent.insert(at[-1], new)
    elif action == "add":
        parent["added"] = new
    else:
        parent[at[-1]] = new
    return value


@pytest.mark.parametrize("name", [layout.PLAN, layout.VERDICTS, layout.MANIFEST])
@given(data=st.data())
@settings(quiet, max_examples=60)
def test_odd_values_in_documents(scratch: Path, pristine: Path, name: str, data: st.DataObject) -> None:
    bundle = restored(scratch, pristine)
    before = json.loads((bundle / name).read_bytes())
    at = data.draw(st.sampled_from(places(before)))
    after = changed(before, at, data.draw(st.sampled_from(["remove", "add", "replace"])), data.draw(odd))
    (bundle / name).write_bytes(canonical(after))
    assert accepted(bundle) == (canonical(after) == canonical(before))


@given(data=st.data())
@settings(quiet, max_examples=120)
def test_odd_values_in_the_log_of_a_careful_forger(scratch: Path, pristine: Path, data: st.DataObject) -> None:
    bundle = restored(scratch, pristine)
    lines = (bundle / layout.LOG).read_bytes().splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    before = json.loads(lines[number])
    at = data.draw(st.sampled_from(places(before)))
    after = changed(before, at, data.draw(st.sampled_from(["remove", "add", "replace"])), data.draw(odd))
    lines[number] = canonical(after)
    (bundle / layout.LOG).write_bytes(b"\n".join([*lines, b""]))
    remanifest(bundle)
    accepted(bundle)
    if data.draw(st.booleans()):
        try:
            reseal(bundle)
        except (KeyError, TypeError, AttributeError, StrictJSONError):
            return  # too odd for the forger's own tools
        accepted(bundle)


@given(data=st.binary(max_size=300))
@settings(quiet, max_examples=100)
def test_any_bytes_as_an_archive(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tar.gz").write_bytes(data)
    assert not accepted(tmp_path / "a.tar.gz")


@pytest.mark.parametrize("name", layout.REQUIRED)
def test_any_mutation_of_a_file_is_found(scratch: Path, pristine: Path, name: str) -> None:
    """Bytes changed, cut, doubled, moved: none is accepted."""
    bundle = restored(scratch, pristine)
    good = (bundle / name).read_bytes()
    source = random.Random(f"20261124 {name}")
    for round_ in range(120):
        (bundle / name).write_bytes(mutated(good, source))
        assert not accepted(bundle), f"round {round_}"


def test_a_flipped_bit_anywhere_is_found(scratch: Path, pristine: Path) -> None:
    """Bits flipped all over every file; hundreds of places, and none is left out of the digests."""
    bundle = restored(scratch, pristine)
    source = random.Random(1)
    for path in sorted(path for path in bundle.rglob("*") if path.is_file()):
        good = path.read_bytes()
        for at in range(0, len(good), 151 if path.suffix else 29):
            path.write_bytes(good[:at] + bytes([good[at] ^ (1 << source.randrange(8))]) + good[at + 1 :])
            assert not accepted(bundle), f"{path.name} byte {at}"
        path.write_bytes(good)
    assert accepted(bundle)


@pytest.mark.parametrize("what", ["nothing", "an empty directory", "a text", "a device", "someone's directory"])
def test_what_is_no_bundle(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x"
    if what == "an empty directory":
        path.mkdir()
    elif what == "a text":
        path.write_text("hello\n" * 1000)
    elif what == "a device":
        path = Path("/dev/null")
    elif what == "someone's directory":
        path.mkdir()
        (path / "thesis.odt").write_text("x")
    with pytest.raises(BundleError) as refused:
        open_bundle(path)
    assert refused.value.hint
    assert refused.value.exit_code == 1


def test_a_blob_is_read_by_its_digest_only(pristine: Path) -> None:
    bundle = open_bundle(pristine)
    digest = min((pristine / layout.BLOBS).iterdir()).name
    assert layout.sha256(bundle.blob(digest)) == digest
    for wrong in ("../../plan.json", "f" * 63, "F" * 64, ""):
        with pytest.raises(BundleError, match="is no digest"):
            bundle.blob(wrong)
    with pytest.raises(BundleError, match="is missing"):
        bundle.blob("f" * 64)


@pytest.mark.parametrize(
    ("swap", "why"),
    [("pipe", "is no plain file"), ("link", "cannot be read"), ("growth", "has more than"), ("gone", "missing")],
)
def test_a_file_that_changes_while_it_is_read(pristine: Path, tmp_path: Path, swap: str, why: str) -> None:
    """Between the look at the directory and the reading, somebody puts another file there."""
    bundle = open_bundle(shutil.copytree(pristine, tmp_path / "bundle"))
    path = min((tmp_path / "bundle" / layout.BLOBS).iterdir())
    path.unlink()
    if swap == "pipe":
        os.mkfifo(path)
    elif swap == "link":
        path.symlink_to("/etc/passwd")
    elif swap == "growth":
        with path.open("wb") as file:
            file.truncate(layout.MAX_BLOB + 1)
    with pytest.raises(BundleError, match=why):
        bundle.blob(path.name)

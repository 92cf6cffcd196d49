from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from tests.support.bundles import make_bundle, make_plan

from aiconform.errors import InternalError, UsageError
from aiconform.evidence import layout
from aiconform.evidence.documents import Manifest, Plan
from aiconform.evidence.integrity import findings
from aiconform.evidence.layout import sha256
from aiconform.evidence.reader import open_bundle
from aiconform.evidence.records import GENESIS, NoteData, RequestData
from aiconform.evidence.writer import END_LANE, BundleWriter, timestamp

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def new_writer(directory: Path) -> BundleWriter:
    return BundleWriter(directory, wall=lambda: NOON, mono_us=lambda: 5)


def test_records_are_chained_and_numbered_in_their_lanes(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "b")
    first = writer.commit_plan(make_plan())
    second = writer.append("a", NoteData(text="x"))
    assert (writer.next_n("a"), writer.next_n("b")) == (1, 0)
    third = writer.append("a", NoteData(text="y"))
    lines = (tmp_path / "b" / "log.jsonl").read_bytes().splitlines()
    assert first.prev == GENESIS
    assert [record.prev for record in (second, third)] == [sha256(line) for line in lines[:2]]
    assert [(record.seq, record.lane, record.n) for record in (first, second, third)] == [
        (0, "run", 0),
        (1, "a", 0),
        (2, "a", 1),
    ]
    assert writer.last_wall == "2026-11-24T12:00:00.000Z"
    writer.close()


def test_options_are_in_the_plan_and_read_back(tmp_path: Path) -> None:
    for number, options in enumerate(({}, {"gateway-class": "envoy"})):
        writer = new_writer(tmp_path / f"b{number}")
        plan = make_plan().model_copy(update={"options": options})
        writer.commit_plan(plan)
        data = (tmp_path / f"b{number}" / layout.PLAN).read_bytes()
        assert json.loads(data)["options"] == options
        assert Plan.model_validate_json(data).options == options
        writer.close()


def test_each_record_is_in_the_file_when_append_returns(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "b")
    writer.commit_plan(make_plan())
    writer.append("a", RequestData(method="GET", path="/", audit_id="x"))
    last = json.loads((tmp_path / "b" / "log.jsonl").read_bytes().splitlines()[-1])
    assert last["data"]["path"] == "/"
    writer.close()


def test_a_blob_is_stored_once_under_its_digest(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "b")
    digest = writer.blob(b"some bytes")
    path = tmp_path / "b" / layout.blob_name(digest)
    before = path.stat().st_mtime_ns, path.stat().st_ino
    assert writer.blob(b"some bytes") == digest == sha256(b"some bytes")
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    assert path.read_bytes() == b"some bytes"
    assert [name.name for name in path.parent.iterdir()] == [digest]
    writer.close()


def test_seal_returns_the_digest_of_the_manifest(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    manifest = (bundle / "manifest.json").read_bytes()
    assert open_bundle(bundle).root_sha256 == sha256(manifest)
    listed = Manifest.model_validate_json(manifest)
    assert listed.log_head == sha256((bundle / "log.jsonl").read_bytes().splitlines()[-1])
    on_disk = {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()}
    assert {file.path for file in listed.files} == on_disk - {"manifest.json"}


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = make_bundle(tmp_path, name="one"), make_bundle(tmp_path, name="two")
    assert (one / "manifest.json").read_bytes() == (two / "manifest.json").read_bytes()


def test_nothing_can_be_written_after_the_seal(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "b")
    writer.commit_plan(make_plan())
    verdicts = open_bundle(make_bundle(tmp_path, name="other")).verdicts
    writer.seal(verdicts=verdicts)
    with pytest.raises(InternalError, match="sealed"):
        writer.append("a", NoteData(text="late"))
    with pytest.raises(InternalError, match="sealed"):
        writer.blob(b"late")


def test_the_plan_comes_first(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "b")
    with pytest.raises(InternalError, match="plan must be committed"):
        writer.append("a", NoteData(text="early"))
    writer.commit_plan(make_plan())
    with pytest.raises(InternalError, match="plan must be committed before"):
        writer.commit_plan(make_plan())
    writer.close()


def test_only_payloads_of_records_are_recorded(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "b")
    writer.commit_plan(make_plan())
    with pytest.raises(InternalError, match="Plan is no payload"):
        writer.append("a", make_plan())
    writer.close()


@pytest.mark.parametrize("what", ["file in it", "bundle in it", "archive beside it", "is a file", "parent is a file"])
def test_what_is_there_is_never_overwritten(tmp_path: Path, what: str) -> None:
    target = tmp_path / "b"
    if what == "file in it":
        target.mkdir()
        (target / "precious.txt").write_text("x")
    elif what == "bundle in it":
        make_bundle(tmp_path, name="b")
    elif what == "archive beside it":
        (tmp_path / "b.tar.gz").write_bytes(b"precious")
    elif what == "is a file":
        target.write_text("precious")
    else:
        target.write_text("precious")
        target = target / "below"
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UsageError) as refused:
        new_writer(target)
    assert refused.value.exit_code == 2
    assert refused.value.hint
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_an_empty_directory_is_used(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    new_writer(tmp_path / "b").close()
    assert (tmp_path / "b" / "log.jsonl").exists()


def test_a_directory_that_cannot_be_written_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="cannot write the bundle") as refused:
        new_writer(Path("/proc/no-such-place/bundle"))
    assert "/proc/no-such-place/bundle" in refused.value.render()


def no_space(*_args: object, **_keywords: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_stops_the_log_at_a_whole_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = new_writer(tmp_path / "b")
    writer.commit_plan(make_plan())
    real_write = os.write

    def half_a_write(fd: int, data: bytes) -> int:
        return real_write(fd, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half_a_write)
        with pytest.raises(UsageError, match="No space left on device") as refused:
            writer.append("a", NoteData(text="x" * 100))
    assert "free some space" in refused.value.hint
    log = (tmp_path / "b" / "log.jsonl").read_bytes()
    assert log.endswith(b"}\n")
    assert len(log.splitlines()) == 1
    verdicts = open_bundle(make_bundle(tmp_path, name="other")).verdicts
    with pytest.raises(UsageError, match="No space left"):
        writer.seal(verdicts=verdicts)
    assert not (tmp_path / "b" / "manifest.json").exists()
    writer.close()


def test_a_full_disk_at_the_manifest_leaves_no_sealed_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = open_bundle(make_bundle(tmp_path, name="other")).verdicts
    writer = new_writer(tmp_path / "b")
    writer.commit_plan(make_plan())
    real_replace = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if Path(target).name == "manifest.json":
            no_space()
        return real_replace(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(UsageError, match="No space left"):
        writer.seal(verdicts=verdicts)
    assert not list((tmp_path / "b").glob("*manifest*"))
    assert not (tmp_path / "b.tar.gz").exists()


def test_a_full_disk_at_the_archive_keeps_the_sealed_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_replace = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if Path(target).name.endswith(".tar.gz"):
            no_space()
        return real_replace(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(UsageError, match="the bundle is sealed, but its archive cannot be written"):
        make_bundle(tmp_path)
    assert findings(open_bundle(tmp_path / "bundle")) == []
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("what", ["blob", "line", "log", "total", "files"])
def test_nothing_is_written_that_no_reader_would_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(layout, "MAX_BLOB", 1000)
    monkeypatch.setattr(layout, "MAX_LINE", 2000)
    monkeypatch.setattr(layout, "MAX_LOG", 20_000)
    monkeypatch.setattr("aiconform.evidence.writer._MAX_TOTAL", 30_000)
    monkeypatch.setattr("aiconform.evidence.writer._MAX_FILES", 20)
    writer = new_writer(tmp_path / "b")
    writer.commit_plan(make_plan())

    def write_much() -> None:
        for number in range(200):
            if what == "blob":
                writer.blob(b"x" * 1001)
            elif what == "total":
                writer.blob(b"%1000d" % number)
            elif what == "files":
                writer.blob(b"%d" % number)
            writer.append("a", NoteData(text="x" * {"line": 1900, "log": 500}.get(what, 1)))

    with pytest.raises(UsageError, match="too large to be read again") as refused:
        write_much()
    assert refused.value.hint
    assert sum(path.stat().st_size for path in (tmp_path / "b").rglob("*") if path.is_file()) <= 30_000
    writer.close()


@pytest.mark.parametrize("what", ["log", "total", "files"])
def test_what_stays_just_below_the_limits_is_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    verdicts = open_bundle(make_bundle(tmp_path, name="other")).verdicts
    monkeypatch.setattr(layout, "MAX_DOCUMENT", 20_000)
    monkeypatch.setattr(layout, "MAX_LOG", 20_000)
    monkeypatch.setattr(layout, "MAX_TOTAL", 75_000)
    monkeypatch.setattr(layout, "MAX_FILES", 24)
    monkeypatch.setattr("aiconform.evidence.writer._MAX_TOTAL", 30_000)
    monkeypatch.setattr("aiconform.evidence.writer._MAX_FILES", 20)

    def write(writer: BundleWriter, number: int) -> None:
        body = {"total": b"%2000d", "files": b"%d"}.get(what)
        blob = writer.blob(body % number) if body else None
        writer.append("a", RequestData(method="GET", path="/", audit_id=f"{make_plan().run}.a.{number}", body=blob))

    def written(writer: BundleWriter, most: int) -> int:
        writer.commit_plan(make_plan())
        for number in range(most):
            try:
                write(writer, number)
            except UsageError:
                return number
        return most

    most = written(new_writer(tmp_path / "too_much"), 200)
    assert 0 < most < 200
    writer = new_writer(tmp_path / "b")
    assert written(writer, most) == most
    writer.append(END_LANE, NoteData(text="ended"))
    writer.seal(verdicts=verdicts)
    assert open_bundle(tmp_path / "b").root_sha256 == open_bundle(tmp_path / "b.tar.gz").root_sha256


ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from aiconform.errors import UsageError
from tests.support.bundles import make_bundle
try:
    make_bundle(Path(sys.argv[1]))
except UsageError as problem:
    print(problem.render())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk in a namespace of its own")
@pytest.mark.parametrize("kib", [8, 16, 32, 48, 64, 68, 72, 76, 80, 84, 88, 256])
def test_a_disk_that_is_really_full(tmp_path: Path, kib: int) -> None:
    """At whatever moment the disk fills up: one clear error, a log of whole lines, and sealed only if complete."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").mkdir()
    script = (
        f'mount -t tmpfs -o size={kib}k none {tmp_path}/disk && "$0" -c "$1" {tmp_path}/disk'
        f" && cp -r {tmp_path}/disk/. {tmp_path}/out/"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, sys.executable, ON_A_SMALL_DISK],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    out = tmp_path / "out"
    if (out / "bundle.tar.gz").exists():
        assert done.stdout == ""
        assert findings(open_bundle(out / "bundle.tar.gz")) == []
    else:
        assert "No space left on device" in done.stdout
        assert "hint: free some space" in done.stdout
    if (out / "bundle" / "manifest.json").exists():
        assert findings(open_bundle(out / "bundle")) == []
    log = out / "bundle" / "log.jsonl"
    assert not log.exists() or log.read_bytes()[-1:] in (b"", b"\n")
    assert not list(out.rglob("*unfinished*"))


def test_wall_times_are_utc_with_milliseconds() -> None:
    india = datetime(2026, 11, 24, 17, 30, 0, 123_999, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert timestamp(india) == "2026-11-24T12:00:00.123Z"

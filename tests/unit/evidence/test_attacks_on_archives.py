"""Hostile archives: links, devices, tricks of tar and gzip, bombs. Each is refused before anything in it counts."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import resource
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.bundles import make_bundle

from aiconform.errors import BundleError
from aiconform.evidence import layout
from aiconform.evidence.archive import END, GZIP_HEAD, GZIP_HEADER_SIZE, member_header, padding
from aiconform.evidence.census import Census
from aiconform.evidence.integrity import findings
from aiconform.evidence.reader import open_bundle

BLOB = "blobs/sha256/" + "a" * 64
CASES: list[Any] = []


def hostile(*expected: str) -> Callable[[Callable[[bytes], bytes]], Callable[[bytes], bytes]]:
    """Register a tar made from a good one, with what the refusal must say."""

    def register(function: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        CASES.append(pytest.param(function, expected, id=function.__name__))
        return function

    return register


def zipped(tar: bytes) -> bytes:
    """Gzip with the right framing and digest around any content."""
    squeeze = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = squeeze.compress(tar) + squeeze.flush() + struct.pack("<II", zlib.crc32(tar), len(tar) & 0xFFFFFFFF)
    return GZIP_HEAD + hashlib.sha256(body).digest() + body


def member(name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, **fields: Any) -> bytes:
    """A tar member as any tool could write it."""
    info = tarfile.TarInfo(name)
    info.size, info.type = len(content), kind
    for key, value in fields.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.USTAR_FORMAT) + content + padding(len(content))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    bundle = make_bundle(tmp_path_factory.mktemp("good"))
    return bundle.with_name("bundle.tar.gz").read_bytes()


@pytest.fixture(scope="module")
def tar(good: bytes) -> bytes:
    return gzip.decompress(good)


def refusal(path: Path) -> str:
    """What is said against an archive; only one kind of error may come."""
    try:
        bundle = open_bundle(path)
    except BundleError as problem:
        return problem.message
    return "; ".join(f"{found.file}: {found.what}" for found in findings(bundle))


def test_a_common_tar_can_read_it(good: bytes, tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(good)) as archive:
        names = archive.getnames()
        assert names == sorted(names)
        assert {"bundle/log.jsonl", "bundle/manifest.json"} <= set(names)
        assert all(entry.isreg() and entry.mode == 0o644 and entry.mtime == 0 for entry in archive)


def test_a_header_is_what_a_common_tar_writes() -> None:
    info = tarfile.TarInfo(f"bundle/{BLOB}")
    info.size = 123_456
    assert member_header(BLOB, 123_456)[:329] == info.tobuf(tarfile.USTAR_FORMAT)[:329]


def test_the_archive_depends_on_nothing_but_the_files(tmp_path: Path, good: bytes) -> None:
    again = make_bundle(tmp_path, name="another-name")
    assert again.with_name("another-name.tar.gz").read_bytes() == good


def test_a_plain_tar_is_read_too(tar: bytes, tmp_path: Path) -> None:
    (tmp_path / "bundle.tar").write_bytes(tar)
    assert refusal(tmp_path / "bundle.tar") == ""


@hostile("bundle/log.jsonl", "a symbolic link")
def symbolic_link(tar: bytes) -> bytes:
    return member("bundle/log.jsonl", b"", tarfile.SYMTYPE, linkname="/etc/passwd") + tar


@hostile("bundle/plan.json", "a hard link")
def hard_link(tar: bytes) -> bytes:
    return member("bundle/plan.json", b"", tarfile.LNKTYPE, linkname="bundle/log.jsonl") + tar


@hostile("a character device")
def character_device(tar: bytes) -> bytes:
    return member("bundle/plan.json", b"", tarfile.CHRTYPE, devmajor=1, devminor=5) + tar


@hostile("a block device")
def block_device(tar: bytes) -> bytes:
    return member("bundle/plan.json", b"", tarfile.BLKTYPE, devmajor=8) + tar


@hostile("a named pipe")
def named_pipe(tar: bytes) -> bytes:
    return member("bundle/plan.json", b"", tarfile.FIFOTYPE) + tar


@hostile("a directory")
def directory(tar: bytes) -> bytes:
    return member("bundle/blobs", b"", tarfile.DIRTYPE) + tar


@hostile("a pax extension")
def pax_path(tar: bytes) -> bytes:
    return member("bundle/plan.json", b"30 path=bundle/../../evil.txt\n", tarfile.XHDTYPE) + tar


@hostile("a pax extension")
def global_pax(tar: bytes) -> bytes:
    return member("bundle/plan.json", b"20 comment=12345678\n", tarfile.XGLTYPE) + tar


@hostile("a GNU long name")
def gnu_long_name(tar: bytes) -> bytes:
    return member("././@LongLink", b"bundle/" + b"x" * 200, tarfile.GNUTYPE_LONGNAME) + tar


@hostile("a GNU long link")
def gnu_long_link(tar: bytes) -> bytes:
    return member("././@LongLink", b"x" * 200, tarfile.GNUTYPE_LONGLINK) + tar


@hostile("a sparse file")
def sparse(tar: bytes) -> bytes:
    return member("bundle/plan.json", b"", tarfile.GNUTYPE_SPARSE) + tar


@hostile("of an unknown type")
def old_style_type(tar: bytes) -> bytes:
    return member("bundle/plan.json", b"{}", tarfile.AREGTYPE) + tar


@hostile("../evil.txt", "leaves the bundle")
def path_out_of_the_bundle(tar: bytes) -> bytes:
    return member("bundle/../evil.txt") + tar


@hostile("leaves the bundle")
def path_out_and_in_again(tar: bytes) -> bytes:
    return member("bundle/blobs/../log.jsonl") + tar


@hostile("/etc/cron.d/evil", "is not below bundle/", "absolute")
def absolute_path(tar: bytes) -> bytes:
    return member("/etc/cron.d/evil") + tar


@hostile("absolute")
def doubled_slash(tar: bytes) -> bytes:
    return member("bundle//log.jsonl") + tar


@hostile("has a character that no file of a bundle has")
def backslash(tar: bytes) -> bytes:
    return member("bundle/..\\evil.txt") + tar


@hostile("has a character", "\\x1b")
def escape_in_a_name(tar: bytes) -> bytes:
    return member("bundle/\x1b[2J") + tar


@hostile("is not below bundle/")
def another_top(tar: bytes) -> bytes:
    return member("elsewhere/log.jsonl") + tar


@hostile("is not below bundle/")
def dot_before_the_top(tar: bytes) -> bytes:
    return member("./bundle/log.jsonl") + tar


@hostile("upper and lower case only")
def case_clash(tar: bytes) -> bytes:
    return member("bundle/PLAN.json") + tar


@hostile("upper and lower case only")
def blob_in_capitals(tar: bytes) -> bytes:
    return member("bundle/" + BLOB.replace("a", "A").replace("shA", "sha")) + tar


@hostile("is no file of a bundle")
def full_width_name(tar: bytes) -> bytes:
    return member("bundle/\uff4cog.jsonl") + tar


@hostile("is no file of a bundle")
def trailing_dot(tar: bytes) -> bytes:
    return member("bundle/log.jsonl.") + tar


@hostile("is there twice")
def same_file_twice(tar: bytes) -> bytes:
    first = tar[: 512 + int(tar[124:135], 8)]
    return first + padding(len(first)) + tar


@hostile("not sorted by name")
def files_not_sorted(tar: bytes) -> bytes:
    return member_header("verdicts.json", 1) + b"x" + padding(1) + tar


@hostile("not the one that aiconform writes")
def executable_bit(tar: bytes) -> bytes:
    return member("bundle/" + BLOB, mode=0o755) + tar


@hostile("not the one that aiconform writes")
def set_uid_bit(tar: bytes) -> bytes:
    return member("bundle/" + BLOB, mode=0o4644) + tar


@hostile("not the one that aiconform writes")
def owner(tar: bytes) -> bytes:
    return member("bundle/" + BLOB, uid=1000, uname="somebody") + tar


@hostile("not the one that aiconform writes")
def time(tar: bytes) -> bytes:
    return member("bundle/" + BLOB, mtime=1) + tar


@hostile("not the one that aiconform writes")
def name_hidden_in_the_prefix(tar: bytes) -> bytes:
    header = bytearray(member_header(BLOB, 1))
    header[345:352] = b"../../x"
    return bytes(header) + b"x" + padding(1) + tar


@hostile("not the one that aiconform writes")
def wrong_checksum(tar: bytes) -> bytes:
    header = bytearray(member_header(BLOB, 1))
    header[148:154] = b"000000"
    return bytes(header) + b"x" + padding(1) + tar


@hostile("no valid size")
def negative_size(tar: bytes) -> bytes:
    header = bytearray(member_header(BLOB, 1))
    header[124:136] = b"\xff" * 12
    return bytes(header) + tar


@hostile("no valid size")
def base_256_size(tar: bytes) -> bytes:
    header = bytearray(member_header(BLOB, 1))
    header[124:136] = b"\x80" + (2**40).to_bytes(11, "big")
    return bytes(header) + tar


@hostile("at most")
def eight_gigabytes_promised(tar: bytes) -> bytes:
    return member_header(BLOB, 8 * 2**30 - 1) + tar


@hostile("is cut")
def content_cut(tar: bytes) -> bytes:
    return member_header(BLOB, 4096) + b"x" * 100


@hostile("followed by something else than padding")
def data_in_the_padding(tar: bytes) -> bytes:
    return member_header(BLOB, 1) + b"x" + b"y" * 511 + tar


@hostile("is cut")
def end_missing(tar: bytes) -> bytes:
    return tar[: -len(END)]


@hostile("something follows the end of the tar")
def second_end_block_missing(tar: bytes) -> bytes:
    return tar[:-512]


@hostile("something follows the end of the tar")
def more_after_the_end(tar: bytes) -> bytes:
    return tar + bytes(512)


@hostile("something follows the end of the tar")
def second_tar_after_the_end(tar: bytes) -> bytes:
    return tar + tar


@hostile("this is no tar of a bundle")
def no_tar(tar: bytes) -> bytes:
    return b"PK\x03\x04" + bytes(508) + tar


@hostile("is cut")
def empty_tar(tar: bytes) -> bytes:
    return b""


@hostile("is no bundle: it is empty")
def tar_of_nothing(tar: bytes) -> bytes:
    return END


@hostile("more than 20000 files")
def very_many_files(tar: bytes) -> bytes:
    return b"".join(member_header(f"blobs/sha256/{number:064x}", 0) for number in range(20_001)) + END


@hostile("more than 167772160 bytes")
def bomb_of_many_files(tar: bytes) -> bytes:
    parts = []
    for number in range(5):
        parts += [member_header(f"blobs/sha256/{number:064x}", 40 * 2**20), bytes(40 * 2**20)]
    return b"".join(parts) + END


@pytest.mark.parametrize(("make", "expected"), CASES)
def test_hostile_tar_is_refused(tar: bytes, tmp_path: Path, make: Callable[[bytes], bytes], expected: Any) -> None:
    for name, data in (("hostile.tar", make(tar)), ("hostile.tar.gz", zipped(make(tar)))):
        path = tmp_path / name
        path.write_bytes(data)
        said = refusal(path)
        if data:
            assert all(part in said for part in expected), said
        else:
            assert said


def test_nothing_is_ever_written(tar: bytes, tmp_path: Path) -> None:
    for case in CASES[:30]:
        (tmp_path / "x.tar").write_bytes(case.values[0](tar))
        refusal(tmp_path / "x.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar"]
    assert not (tmp_path.parent / "evil.txt").exists()


def test_a_bomb_costs_little_memory(tmp_path: Path) -> None:
    """Three hundred megabytes of zeros behind a header that promises a small file."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = squeeze.compress(member_header(BLOB, 10))
    for _ in range(300):
        body += squeeze.compress(bytes(2**20))
    body += squeeze.flush() + bytes(8)
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(GZIP_HEAD + hashlib.sha256(body).digest() + body)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "something follows the end of the tar" in refusal(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_a_bomb_that_is_a_right_tar_is_cut_off(tar: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MAX_TOTAL", len(tar) // 2 - 1)
    monkeypatch.setattr(Census, "admit", lambda _census, _name, _size: None)
    (tmp_path / "a.tar.gz").write_bytes(zipped(tar))
    assert "it unpacks to more than" in refusal(tmp_path / "a.tar.gz")


def test_damaged_compression_is_named(good: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(good[:GZIP_HEADER_SIZE] + b"\xff" * 200)
    assert "its compressed data is damaged" in refusal(tmp_path / "a.tar.gz")


GZIP_EDITS = {
    "time": (4, b"\x01", "gzip header"),
    "operating system": (9, b"\x03", "gzip header"),
    "flags with a name": (3, b"\x08", "gzip header"),
    "digest": (GZIP_HEADER_SIZE - 1, b"", "digest"),
    "extra field": (12, b"XX", "gzip header"),
}


@pytest.mark.parametrize("what", GZIP_EDITS)
def test_an_edit_of_the_gzip_header_is_found(good: bytes, tmp_path: Path, what: str) -> None:
    offset, new, expected = GZIP_EDITS[what]
    data = bytearray(good)
    data[offset : offset + max(1, len(new))] = new or bytes([data[offset] ^ 1])
    (tmp_path / "a.tar.gz").write_bytes(data)
    assert expected in refusal(tmp_path / "a.tar.gz")


def test_the_same_content_squeezed_in_another_way_is_found(good: bytes, tar: bytes, tmp_path: Path) -> None:
    squeeze = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = squeeze.compress(tar) + squeeze.flush() + good[-8:]
    (tmp_path / "a.tar.gz").write_bytes(good[:GZIP_HEADER_SIZE] + body)
    assert "its compressed bytes are not those that its header's digest names" in refusal(tmp_path / "a.tar.gz")


def test_what_a_common_gzip_writes_is_refused(tar: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(tar))
    assert "its gzip header is not the one that aiconform writes" in refusal(tmp_path / "a.tar.gz")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: data[:-1], "is cut"),
        (lambda data: data[:-9], "is cut"),
        (lambda data: data[:30], "gzip header"),
        (lambda data: data + b"\0", "something follows the end of the gzip"),
        (lambda data: data + data, "something follows the end of the gzip"),
        (lambda data: data[:-1] + b"\x01", "checksum or length"),
        (lambda data: data[:-5] + b"\x99" + data[-4:], "checksum or length"),
    ],
)
def test_an_edit_of_the_gzip_frame_is_found(
    good: bytes, tmp_path: Path, change: Callable[[bytes], bytes], expected: str
) -> None:
    (tmp_path / "a.tar.gz").write_bytes(change(good))
    assert expected in refusal(tmp_path / "a.tar.gz")


def test_any_mutation_of_an_archive_is_found(good: bytes, tmp_path: Path) -> None:
    """Bytes changed, cut out, doubled, moved: two thousand times, none is accepted and nothing but refusals come."""
    source = random.Random(20261124)
    path = tmp_path / "a.tar.gz"
    for round_ in range(2000):
        data = mutated(good, source)
        path.write_bytes(data)
        assert refusal(path), f"round {round_}"


def test_any_mutation_of_a_tar_is_found(tar: bytes, tmp_path: Path) -> None:
    source = random.Random(20261125)
    path = tmp_path / "a.tar"
    for round_ in range(1500):
        path.write_bytes(mutated(tar, source))
        assert refusal(path), f"round {round_}"


def mutated(data: bytes, source: random.Random) -> bytes:
    """Another sequence of bytes, close to the given one."""
    while True:
        at, to = sorted((source.randrange(len(data)), source.randrange(len(data))))
        near = min(at + source.randrange(1, 64), len(data))
        changed = source.choice(
            [
                data[:at] + bytes([data[at] ^ (1 << source.randrange(8))]) + data[at + 1 :],
                data[:at] + source.randbytes(near - at) + data[near:],
                data[:at] + data[near:],
                data[:at],
                data[:at] + data[at:near] + data[at:],
                data[:to] + data[at:near] + data[to:],
                data[:at] + data[to:] + data[at:to],
            ]
        )
        if changed != data:
            return changed

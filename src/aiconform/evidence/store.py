"""The files of a bundle, as a directory or as an archive, behind one door. Nothing is ever extracted.

Everything that a hostile bundle could bring is refused here, before a byte of it means anything: links, devices, names
that are not those of a bundle, and more than a bundle may have.
"""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

from aiconform.errors import BundleError
from aiconform.evidence import layout
from aiconform.evidence.archive import BLOCK, END, GZIP_HEAD, GZIP_HEADER_SIZE, TOP, member_header, padding

_READ = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
HINT: Final = "ask for the bundle again, and compare its root digest with the one that its author names"
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"5": "a directory",
    b"6": "a named pipe",
    b"x": "a pax extension",
    b"g": "a pax extension",
    b"L": "a GNU long name",
    b"K": "a GNU long link",
    b"S": "a sparse file",
}


class Store(Protocol):
    """The files of a bundle."""

    sizes: dict[str, int]
    """Bytes per file, by name."""

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            BundleError: it is not there, or not readable as a plain file.
        """


def refuse(name: str, why: str, *, hint: str = HINT) -> BundleError:
    """The error for a file of a bundle; names are shown so that nothing in them acts on a terminal."""
    shown = ascii(name)[1:-1]
    return BundleError(f"{shown[:120]}: {why}", hint=hint)


def open_store(path: Path) -> Store:
    """The files of the bundle at a path: a directory, or an archive (``.tar.gz`` or ``.tar``).

    Raises:
        BundleError: no bundle, or one that must not be trusted with being read.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return DirectoryStore(path)
        if stat.S_ISREG(mode):
            return ArchiveStore(path)
    except OSError as problem:
        raise BundleError(
            f"cannot read {path}: {problem.strerror or problem}", hint="name a bundle's directory or its .tar.gz"
        ) from problem
    raise BundleError(
        f"{path} is neither a directory nor a plain file", hint="name a bundle's directory or its .tar.gz"
    )


class _Census:
    """Counts what is in a bundle, and refuses what may not be."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self._total = 0

    def admit(self, name: str, size: int) -> None:
        if name in self.sizes:
            raise refuse(name, "is there twice")
        if not layout.is_known(name):
            raise refuse(name, _why_unknown(name))
        if size > layout.size_limit(name):
            raise refuse(name, f"has {size} bytes; at most {layout.size_limit(name)} are read")
        self._total += size
        if self._total > layout.MAX_TOTAL:
            raise refuse(name, f"with it the bundle has more than {layout.MAX_TOTAL} bytes")
        if len(self.sizes) >= layout.MAX_FILES:
            raise refuse(name, f"with it the bundle has more than {layout.MAX_FILES} files")
        self.sizes[name] = size


def _why_unknown(name: str) -> str:
    parts = name.split("/")
    if name.startswith("/"):
        return "is an absolute path"
    if ".." in parts:
        return "is a path that leaves the bundle"
    if "\\" in name or any(ord(char) < 32 for char in name):
        return "has a character that no file of a bundle has in its name"
    if layout.is_known(name.lower()):
        return "differs from a file of a bundle in upper and lower case only"
    return "is no file of a bundle"


class DirectoryStore:
    """A bundle as a directory. No symbolic link is followed in it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        census = _Census()
        self.sizes = census.sizes
        root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._list(root, "", census)
        finally:
            os.close(root)

    def _list(self, folder: int, prefix: str, census: _Census) -> None:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + entry.name
                info = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(info.st_mode) and name in layout.FOLDERS:
                    below = os.open(entry.name, _DIRECTORY, dir_fd=folder)
                    try:
                        self._list(below, name + "/", census)
                    finally:
                        os.close(below)
                elif stat.S_ISREG(info.st_mode):
                    census.admit(name, info.st_size)
                else:
                    raise refuse(name, f"is {_kind(info.st_mode)}, not a plain file of a bundle")

    def read(self, name: str) -> bytes:
        """See :class:`Store`."""
        limit = layout.size_limit(name)
        try:
            with open(self._open(name), "rb") as file:  # noqa: PTH123 - a descriptor, opened without following links
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise refuse(name, "is no plain file")
                data = file.read(limit + 1)
        except OSError as problem:
            why = "is missing" if problem.errno == errno.ENOENT else f"cannot be read: {problem.strerror}"
            raise refuse(name, why) from problem
        if len(data) > limit:
            raise refuse(name, f"has more than {limit} bytes")
        return data

    def _open(self, name: str) -> int:
        *folders, last = name.split("/")
        at = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for folder in folders:
                below = os.open(folder, _DIRECTORY, dir_fd=at)
                os.close(at)
                at = below
            return os.open(last, _FILE, dir_fd=at)
        finally:
            os.close(at)


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a character device",
        stat.S_IFBLK: "a block device",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")


class ArchiveStore:
    """A bundle as one file. It is read once, in order, and held in memory."""

    def __init__(self, path: Path) -> None:
        self._files: dict[str, bytes] = {}
        census = _Census()
        self.sizes = census.sizes
        with path.open("rb") as file:
            magic = file.read(2)
            file.seek(0)
            pieces = _gunzipped(file.read) if magic == GZIP_HEAD[:2] else _plain(file.read)
            self._read_members(_Window(pieces), census)

    def read(self, name: str) -> bytes:
        """See :class:`Store`."""
        if name not in self._files:
            raise refuse(name, "is missing")
        return self._files[name]

    def _read_members(self, tar: _Window, census: _Census) -> None:
        before = ""
        while True:
            header = tar.take(BLOCK)
            if header == END[:BLOCK]:
                if tar.take(BLOCK) != END[BLOCK:] or tar.take_some():
                    raise _framing("something follows the end of the tar")
                return
            if len(header) < BLOCK:
                raise _framing("the archive is cut")
            name, size = _member(header)
            census.admit(name, size)
            if name < before:
                raise _framing(f"{name!a} comes after {before!a}: files are not sorted by name")
            before = name
            content = tar.take(size)
            if len(content) < size or (filler := tar.take(-size % BLOCK)) != padding(size)[: len(filler)]:
                raise _framing(f"{name} is cut, or followed by something else than padding")
            self._files[name] = content


def _framing(why: str) -> BundleError:
    return BundleError(f"archive: {why}", hint=HINT)


def _member(header: bytes) -> tuple[str, int]:
    """Name in the bundle and size, of a header that is exactly what the writer would have written."""
    raw_name, raw_size, kind = header[:100].split(b"\0", 1)[0], header[124:136], header[156:157]
    name = raw_name.decode("utf-8", "replace")
    if header[257:262] != b"ustar":
        raise _framing("this is no tar of a bundle")
    if kind != b"0":
        raise refuse(name, f"is {_KINDS.get(kind, 'of an unknown type')} in the archive, not a plain file")
    digits = raw_size.rstrip(b"\0 ")
    if not digits or digits.strip(b"01234567"):
        raise refuse(name, "has no valid size in the archive")
    size = int(digits, 8)
    inside = name.removeprefix(TOP)
    if inside == name or not layout.is_known(inside):
        raise refuse(name, _why_unknown(inside) if inside != name else f"is not below {TOP}: {_why_unknown(name)}")
    if header != member_header(inside, size):
        raise refuse(name, "its header in the archive is not the one that aiconform writes")
    return inside, size


class _Window:
    """Takes exact amounts from a stream of pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def take(self, size: int) -> bytes:
        """The next bytes; fewer where the stream ends."""
        parts, missing = [], size
        while missing > 0:
            if not self._rest:
                self._rest = next(self._pieces, b"")
                if not self._rest:
                    break
            part, self._rest = self._rest[:missing], self._rest[missing:]
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def take_some(self) -> bytes:
        """Whatever comes next; this also drives the stream to its end."""
        return self._rest or next(self._pieces, b"")


def _plain(read: _Read) -> Iterator[bytes]:
    while data := read(_READ):
        yield data


class _Read(Protocol):
    def __call__(self, size: int, /) -> bytes: ...


def _gunzipped(read: _Read) -> Iterator[bytes]:
    """The content of a gzip whose framing is exactly what the writer writes.

    Raises:
        BundleError: it is not, or its digest or checksum is wrong; possibly after the last piece.
    """
    head = read(GZIP_HEADER_SIZE)
    if len(head) < GZIP_HEADER_SIZE or not head.startswith(GZIP_HEAD):
        raise _framing("its gzip header is not the one that aiconform writes")
    digest = sha256()
    unpack = zlib.decompressobj(-zlib.MAX_WBITS)
    crc = length = 0
    tail = b""
    while len(tail) <= 8 and (data := read(_READ)):
        digest.update(data)
        if unpack.eof:
            tail += data
            continue
        for piece in _inflated(unpack, data):
            crc, length = zlib.crc32(piece, crc), length + len(piece)
            if length > 2 * layout.MAX_TOTAL:
                raise _framing(f"it unpacks to more than {2 * layout.MAX_TOTAL} bytes")
            yield piece
        tail = unpack.unused_data
    _check_tail(tail, ended=unpack.eof, crc=crc, length=length)
    if head[len(GZIP_HEAD) :] != digest.digest():
        raise _framing("its compressed bytes are not those that its header's digest names")


def _inflated(unpack: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """What compressed data stands for, in pieces of limited size."""
    while True:
        try:
            piece = unpack.decompress(data, _READ)
        except zlib.error:
            raise _framing("its compressed data is damaged") from None
        data = unpack.unconsumed_tail
        if piece:
            yield piece
        if unpack.eof or (not data and len(piece) < _READ):
            return


def _check_tail(tail: bytes, *, ended: bool, crc: int, length: int) -> None:
    if not ended or len(tail) < 8:
        raise _framing("the archive is cut")
    if len(tail) > 8:
        raise _framing("something follows the end of the gzip")
    if tail != crc.to_bytes(4, "little") + (length & 0xFFFFFFFF).to_bytes(4, "little"):
        raise _framing("its checksum or length is wrong")

"""Reads a bundle's archive in one pass, in memory: nothing is extracted, and no byte of the packing is left unchecked.

See :mod:`aiconform.evidence.archive` for the packing. Whatever else a tar or a gzip can hold is refused.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

from aiconform.errors import BundleError
from aiconform.evidence import layout
from aiconform.evidence.archive import BLOCK, END, GZIP_HEAD, GZIP_HEADER_SIZE, TOP, member_header, padding
from aiconform.evidence.census import HINT, NAME_ONE, Census, refuse, why_unknown

_READ: Final = 1 << 20
_NO_TAR: Final = "this is no tar of a bundle"
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


class ArchiveStore:
    """A bundle as one file. It is read once, in order, and held in memory."""

    def __init__(self, path: Path) -> None:
        self._files: dict[str, bytes] = {}
        census = Census()
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

    def _read_members(self, tar: _Window, census: Census) -> None:
        before = ""
        while True:
            header = tar.take(BLOCK)
            if header == END[:BLOCK]:
                if tar.take(BLOCK) != END[BLOCK:] or tar.take_some():
                    raise _framing("something follows the end of the tar")
                return
            if header and not before and not _is_tar(header):
                raise _framing(_NO_TAR, hint=NAME_ONE)
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


def _framing(why: str, *, hint: str = HINT) -> BundleError:
    return BundleError(f"archive: {why}", hint=hint)


def _is_tar(header: bytes) -> bool:
    return header[257:262] == b"ustar"


def _member(header: bytes) -> tuple[str, int]:
    """Name in the bundle and size, of a header that is exactly what the writer would have written."""
    raw_name, raw_size, kind = header[:100].split(b"\0", 1)[0], header[124:136], header[156:157]
    name = raw_name.decode("utf-8", "replace")
    if not _is_tar(header):
        raise _framing(_NO_TAR)
    if kind != b"0":
        raise refuse(name, f"is {_KINDS.get(kind, 'of an unknown type')} in the archive, not a plain file")
    digits = raw_size.rstrip(b"\0 ")
    if not digits or digits.strip(b"01234567"):
        raise refuse(name, "has no valid size in the archive")
    size = int(digits, 8)
    inside = name.removeprefix(TOP)
    if inside == name or not layout.is_known(inside):
        raise refuse(name, why_unknown(inside) if inside != name else f"is not below {TOP}: {why_unknown(name)}")
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

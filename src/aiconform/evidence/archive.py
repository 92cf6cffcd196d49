"""The one-file form of a bundle: a tar in gzip, of which every byte is fixed by the files in it.

Framing, so that a second reader needs nothing but a gzip library and the ustar header layout:

- gzip (RFC 1952): of the header's 48 bytes 16 are always the same; the other 32, in its extra field ``AC``, are the
  SHA-256 of all bytes after it. Deflate can say one thing in many ways; that digest finds an edit that changes nothing
  but the way.
- tar (POSIX ustar): regular files only, sorted by name, below ``bundle/``, mode 0644, owner and time 0, no padding but
  what ustar needs, two empty blocks at the end.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

TOP: Final = "bundle/"
BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
GZIP_HEAD: Final = b"\x1f\x8b\x08\x04\0\0\0\0\x02\xff" + struct.pack("<H2sH", 36, b"AC", 32)
GZIP_HEADER_SIZE: Final = len(GZIP_HEAD) + 32


def member_header(name: str, size: int) -> bytes:
    """The one ustar header (POSIX.1-1988) that a file of a bundle has.

    Written out here because :mod:`tarfile` fills the device fields differently from one Python to another.
    """
    header = bytearray(BLOCK)
    fields = (
        (0, f"{TOP}{name}".encode()),
        (100, b"0000644"),  # mode
        (108, b"0000000"),  # owner
        (116, b"0000000"),  # group
        (124, b"%011o" % size),
        (136, b"00000000000"),  # time
        (148, b" " * 8),  # what the checksum field counts as in its own sum
        (156, b"0"),  # a regular file
        (257, b"ustar\x0000"),
    )
    for offset, value in fields:
        header[offset : offset + len(value)] = value
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def padding(size: int) -> bytes:
    """What follows the content of a member of that size."""
    return bytes(-size % BLOCK)


def write_archive(target: Path, files: Iterable[tuple[str, Path, int]]) -> None:
    """Write the archive of some files, atomically.

    Args:
        target: the archive, ``<bundle>.tar.gz``.
        files: name in the bundle, file on disk, size in bytes; sorted by name.

    Raises:
        OSError: a file cannot be read or the archive cannot be written; nothing is left then.
    """
    unfinished = target.with_name(target.name + ".unfinished")
    try:
        with unfinished.open("xb") as out:
            _write(out, files)
        unfinished.replace(target)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise


def _write(out: BinaryIO, files: Iterable[tuple[str, Path, int]]) -> None:
    out.write(bytes(GZIP_HEADER_SIZE))
    squeeze = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    digest = hashlib.sha256()
    crc = length = 0
    for piece in _tar(files):
        crc = zlib.crc32(piece, crc)
        length += len(piece)
        squeezed = squeeze.compress(piece)
        digest.update(squeezed)
        out.write(squeezed)
    last = squeeze.flush() + struct.pack("<II", crc, length & 0xFFFFFFFF)
    digest.update(last)
    out.write(last)
    out.seek(0)
    out.write(GZIP_HEAD + digest.digest())


def _tar(files: Iterable[tuple[str, Path, int]]) -> Iterator[bytes]:
    for name, path, size in files:
        content = path.read_bytes()
        if len(content) != size:
            raise OSError(f"{path} has {len(content)} bytes instead of {size}")
        yield member_header(name, size)
        yield content
        yield padding(size)
    yield END

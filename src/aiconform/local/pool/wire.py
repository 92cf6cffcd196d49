"""Protocol Buffers on the wire, as much of it as talking to an autoscaler takes: numbers, text, nested messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

Value = int | str | bytes
Fields = Mapping[int, Value | Sequence[Value]]

_VARINT, _LONG, _BYTES, _INT = 0, 1, 2, 5


def encode(fields: Fields) -> bytes:
    """A message: values by field number, a sequence for a repeated field. Nested messages are given encoded."""
    return b"".join(_field(number, value) for number, values in fields.items() for value in _each(values))


def _each(values: Value | Sequence[Value]) -> Iterable[Value]:
    return (values,) if isinstance(values, (int, str, bytes)) else values


def _field(number: int, value: Value) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value & (1 << 64) - 1)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


class Message:
    """A message that was received.

    Raises:
        ValueError: the bytes are none.
    """

    def __init__(self, data: bytes) -> None:
        self._values: dict[int, list[int | bytes]] = {}
        position = 0
        while position < len(data):
            key, position = _read_varint(data, position)
            value, position = _read(data, position, key & 7)
            self._values.setdefault(key >> 3, []).append(value)

    def text(self, number: int) -> str:
        """A text field; empty if absent."""
        return self.raw(number).decode()

    def raw(self, number: int) -> bytes:
        """A field of bytes, or a nested message; empty if absent."""
        value = self._values.get(number, [b""])[-1]
        if not isinstance(value, bytes):
            raise ValueError(f"field {number} is a number")  # noqa: TRY004 - a message that is not what it should be
        return value

    def number(self, number: int) -> int:
        """A field of type int32 or int64; 0 if absent."""
        value = self._values.get(number, [0])[-1]
        if not isinstance(value, int):
            raise ValueError(f"field {number} is no number")  # noqa: TRY004 - as above
        return value - (1 << 64) if value >> 63 else value

    def messages(self, number: int) -> list[Message]:
        """The nested messages of a repeated field."""
        return [Message(value) for value in self._values.get(number, []) if isinstance(value, bytes)]


def _read(data: bytes, position: int, kind: int) -> tuple[int | bytes, int]:
    if kind == _VARINT:
        return _read_varint(data, position)
    if kind == _BYTES:
        length, position = _read_varint(data, position)
    elif kind in (_LONG, _INT):
        length = 8 if kind == _LONG else 4
    else:
        raise ValueError(f"wire type {kind}")
    if position + length > len(data):
        raise ValueError("cut short")
    return data[position : position + length], position + length


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if not byte & 0x80:
            return value, position
    raise ValueError("cut short")

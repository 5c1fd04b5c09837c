"""Messages in Protocol Buffers' wire format, as far as writing them goes.

A message is a list of fields; each has its number and its value: an int, text
or bytes, or a message. https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterable

Value = int | str | bytes


def message(*fields: tuple[int, Value | Iterable[Value]]) -> bytes:
    """Write a message; a field whose value is no text, bytes or int is repeated."""
    written = bytearray()
    for number, value in fields:
        repeated = [value] if isinstance(value, int | str | bytes) else value
        for each in repeated:
            written += _field(number, each)
    return bytes(written)


def _field(number: int, value: Value) -> bytes:
    if isinstance(value, int):
        # A negative number is written as its 64 bits.
        return _varint(number << 3) + _varint(value & (2**64 - 1))
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)

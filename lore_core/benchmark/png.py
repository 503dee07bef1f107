"""A small PNG writer whose bytes are the same everywhere; what zlib writes depends on the library that is installed.

Formats: PNG (ISO/IEC 15948) with a palette and four bits a pixel; DEFLATE (RFC 1951) with the fixed Huffman codes.
"""

import zlib
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

Colour = tuple[int, int, int]

_LENGTH_BASE: Final = (
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
)  # fmt: skip
_LENGTH_BITS: Final = (0,) * 8 + (1,) * 4 + (2,) * 4 + (3,) * 4 + (4,) * 4 + (5,) * 4 + (0,)
_DISTANCE_BASE: Final = (1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257)
_DISTANCE_BITS: Final = (0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7)
_LONGEST: Final = 258
_SHORTEST: Final = 3
_END: Final = 256


def png(rows: Sequence[bytes], palette: Sequence[Colour]) -> bytes:
    """A picture from rows of palette indices (at most 16 colours, an even width)."""
    width, height = len(rows[0]), len(rows)
    packed = b"".join(b"\0" + _packed(row) for row in rows)
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((4, 3, 0, 0, 0))
    colours = bytes(part for colour in palette for part in colour)
    data = _zlib(packed, width // 2 + 1)
    chunks = ((b"IHDR", header), (b"PLTE", colours), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks)


def _packed(row: bytes) -> bytes:
    return bytes(left << 4 | right for left, right in zip(row[::2], row[1::2], strict=True))


def _chunk(name: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")


def _zlib(data: bytes, stride: int) -> bytes:
    return b"\x78\x01" + _deflate(data, stride) + zlib.adler32(data).to_bytes(4, "big")


# Some bits and how many they are; the first bit of the stream is the lowest.
_Bits = tuple[int, int]


def _deflate(data: bytes, stride: int) -> bytes:
    """One block; repeats are looked for one byte and one row back only, which is where drawings repeat."""
    found: list[_Bits] = [(0b011, 3)]
    place = 0
    while place < len(data):
        length, distance = _repeat(data, place, 1), 1
        if (above := _repeat(data, place, stride)) > length:
            length, distance = above, stride
        found.append(_symbol(data[place]) if length < _SHORTEST else _match(length, distance))
        place += 1 if length < _SHORTEST else length
    found.append(_symbol(_END))
    return _joined(found)


def _joined(found: Iterable[_Bits]) -> bytes:
    out, waiting, count = bytearray(), 0, 0
    for value, length in found:
        waiting |= value << count
        count += length
        out += (waiting & (1 << count // 8 * 8) - 1).to_bytes(count // 8, "little")
        waiting >>= count // 8 * 8
        count %= 8
    return bytes(out) + waiting.to_bytes((count + 7) // 8, "little")


def _repeat(data: bytes, place: int, back: int) -> int:
    """How many bytes from `place` on equal those `back` bytes earlier."""
    if back > place or data[place] != data[place - back]:
        return 0
    end = min(len(data), place + _LONGEST)
    at = place
    while at < end and data[at] == data[at - back]:
        at += 1
    return at - place


@cache
def _symbol(symbol: int) -> _Bits:
    """The fixed Huffman code of a literal, a length or the end."""
    if symbol < 144:
        return _code(0x30 + symbol, 8)
    if symbol < 256:
        return _code(0x190 + symbol - 144, 9)
    if symbol < 280:
        return _code(symbol - 256, 7)
    return _code(0xC0 + symbol - 280, 8)


def _code(value: int, length: int) -> _Bits:
    """A Huffman code: its highest bit comes first."""
    return int(f"{value:0{length}b}"[::-1], 2), length


@cache
def _match(length: int, distance: int) -> _Bits:
    place = max(index for index, base in enumerate(_LENGTH_BASE) if base <= length)
    far = max(index for index, base in enumerate(_DISTANCE_BASE) if base <= distance)
    parts = (
        _symbol(257 + place),
        (length - _LENGTH_BASE[place], _LENGTH_BITS[place]),
        _code(far, 5),
        (distance - _DISTANCE_BASE[far], _DISTANCE_BITS[far]),
    )
    value = count = 0
    for bits, more in parts:
        value |= bits << count
        count += more
    return value, count

"""A picture as base64: which kind of file it is and how large a drawing, read from its first bytes without decoding it.

Formats: PNG (ISO/IEC 15948), header chunk IHDR; JPEG (ISO/IEC 10918-1), first frame header SOFn.
"""

import base64
import binascii
import re
from typing import Final

MAX_BYTES: Final = 1 << 20
MAX_SIDE: Final = 4096
"""Pixels. A small file can be a huge drawing, which a server would unpack."""

_DATA_URL: Final = re.compile(r"data:image/(?:png|jpeg);base64,([A-Za-z0-9+/]+={0,2})")
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
_NO_FRAME: Final = frozenset({0xC4, 0xC8, 0xCC})
"""Markers between SOF0 and SOF15 that begin no frame."""


class BadPicture(ValueError):
    """Not a picture that may be shown to a model; the message says why and what to give instead."""

    reason = "BadPicture"


def from_data_url(url: str) -> str:
    """The base64 of a picture given as a data: URL, at most MAX_BYTES and MAX_SIDE. Raises BadPicture.

    Addresses are refused whatever they name: nothing here fetches anything.
    """
    if (found := _DATA_URL.fullmatch(url)) is None:
        raise BadPicture("must be data:image/png;base64,… or data:image/jpeg;base64,…; addresses are never fetched")
    data = found[1]
    if len(data) * 3 // 4 > MAX_BYTES + 2:
        raise BadPicture(f"larger than {MAX_BYTES} bytes; give a smaller picture")
    try:
        width, height = size(base64.b64decode(data, validate=True))
    except binascii.Error as error:
        raise BadPicture(f"not base64: {error}") from error
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise BadPicture(f"{width} × {height} pixels, at most {MAX_SIDE} a side are allowed; scale it down")
    return data


def data_url(data: str) -> str:
    """The data: URL of a picture's base64. Raises BadPicture where it is neither PNG nor JPEG."""
    head = base64.b64decode(data[:16])
    if head.startswith(_PNG):
        return f"data:image/png;base64,{data}"
    if head.startswith(_JPEG):
        return f"data:image/jpeg;base64,{data}"
    raise BadPicture("neither PNG nor JPEG")


def size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels. Raises BadPicture where the file does not say them."""
    if data.startswith(_PNG) and data[12:16] == b"IHDR" and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data.startswith(_JPEG):
        return _jpeg_size(data)
    raise BadPicture("neither PNG nor JPEG, or cut off")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise BadPicture("a JPEG without a frame, or cut off")

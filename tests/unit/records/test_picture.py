"""Which pictures may be shown to a model: files given as they are, of a bounded size; an address is never one."""

import base64
import io

import pytest

from lore_core.benchmark.png import png
from lore_core.records.picture import MAX_BYTES, MAX_SIDE, BadPicture, data_url, from_data_url, size

PNG = png([bytes([0, 1] * 4)] * 6, [(255, 0, 0), (0, 0, 255)])


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def jpeg(width: int, height: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, "JPEG")
    return file.getvalue()


def png_of(width: int, height: int) -> bytes:
    return PNG[:16] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + PNG[24:]


@pytest.mark.parametrize(("kind", "data", "sides"), [("png", PNG, (8, 6)), ("jpeg", jpeg(20, 10), (20, 10))])
def test_a_png_or_jpeg_is_taken_as_it_is(kind: str, data: bytes, sides: tuple[int, int]) -> None:
    url = f"data:image/{kind};base64,{b64(data)}"

    assert from_data_url(url) == b64(data)
    assert data_url(b64(data)) == url
    assert size(data) == sides


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:8080/x.png",
        "http://[::1]/x.png",
        "http://10.0.0.1/x.png",
        "http://metadata.google.internal/x.png",
        "https://shop.example/x.png",
        "file:///etc/passwd",
        "ftp://10.0.0.1/x.png",
        "//10.0.0.1/x.png",
        "data:text/html;base64,PGI+",
        "data:image/svg+xml;base64,PHN2Zz4=",
        "data:image/png,raw",
        " data:image/png;base64,iVBORw0KGgo=",
        "",
    ],
)
def test_an_address_is_refused_whatever_it_names(address: str) -> None:
    with pytest.raises(BadPicture, match=r"data:image/png;base64,.*; addresses are never fetched"):
        from_data_url(address)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GIF89a" + b"x" * 40, "neither PNG nor JPEG"),
        (PNG[:20], "cut off"),
        (jpeg(20, 10)[:4], "cut off"),
        (jpeg(20, 10)[:2] + b"\xff\xe0\xff\xff" + b"x" * 20, "without a frame, or cut off"),
        (png_of(MAX_SIDE + 1, 8), f"{MAX_SIDE + 1} × 8 pixels, at most {MAX_SIDE} a side"),
        (png_of(8, 0), "8 × 0 pixels"),
        (png_of(2**32 - 1, 2**32 - 1), "pixels, at most"),
        (PNG + b"x" * MAX_BYTES, f"larger than {MAX_BYTES} bytes"),
    ],
    ids=["gif", "cut png", "cut jpeg", "jpeg without end", "wide", "flat", "unpacks to exabytes", "heavy"],
)
def test_a_file_that_is_no_bounded_picture_is_refused_with_the_reason(data: bytes, words: str) -> None:
    with pytest.raises(BadPicture, match=words):
        from_data_url(f"data:image/png;base64,{b64(data)}")


def test_torn_base64_is_refused() -> None:
    with pytest.raises(BadPicture, match="not base64"):
        from_data_url(f"data:image/png;base64,{b64(PNG)[:41]}")

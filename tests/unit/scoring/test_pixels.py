"""What a model is shown of a picture: the patches that its makers' processor cuts, or an error that says what to do."""

import base64
import io
import json
from typing import Any

import numpy as np
import pytest

from lore_core.benchmark.lexicon import vocabulary
from lore_core.prompts import TextEncoder
from lore_core.prompts.render import Picture
from lore_core.records.picture import MAX_SIDE, BadPicture
from lore_core.scoring.pixels import END, PAD, START, PictureReader
from lore_core.training.tokenizer import build_tokenizer

pytest.importorskip("transformers")
Image = pytest.importorskip("PIL.Image")

PATCH, MERGE = 14, 2
BOUNDS = {"shortest_edge": 28 * 28, "longest_edge": 112 * 56}


def encoder() -> TextEncoder:
    from tokenizers import AddedToken, Tokenizer

    tokenizer = Tokenizer.from_str(build_tokenizer(vocabulary()).decode())
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in (START, PAD, END)])
    return TextEncoder(tokenizer.to_str().encode())


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> PictureReader:
    folder = tmp_path_factory.mktemp("folder")
    sizes = {"patch_size": PATCH, "merge_size": MERGE, "temporal_patch_size": 2, "size": BOUNDS}
    about = {**sizes, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "image_processor_type": "Qwen2VLImageProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(about))
    return PictureReader(folder, encoder())


def noise(width: int, height: int, mode: str = "RGB") -> Any:
    layers = len(mode)
    pixels = np.random.default_rng(3).integers(0, 256, (height, width, layers), dtype=np.uint8)
    return Image.fromarray(pixels, mode=mode) if mode != "RGB" else Image.fromarray(pixels)


def encoded(image: Any, kind: str = "PNG", **options: Any) -> str:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return base64.b64encode(file.getvalue()).decode()


def cut(image: Any) -> Any:
    """The patches of a picture that needs no scaling, cut by hand: pixels of -1 to 1, merged neighbours side by side."""
    pixels = np.asarray(image, dtype=np.float32).transpose(2, 0, 1) / 255 * 2 - 1
    rows, columns = pixels.shape[1] // PATCH, pixels.shape[2] // PATCH
    found = [
        np.stack([pixels[:, y * PATCH : (y + 1) * PATCH, x * PATCH : (x + 1) * PATCH]] * 2, axis=1).ravel()
        for top in range(0, rows, MERGE)
        for left in range(0, columns, MERGE)
        for y in range(top, top + MERGE)
        for x in range(left, left + MERGE)
    ]
    return np.stack(found)


def test_a_picture_of_whole_patches_is_cut_as_it_is(reader: PictureReader) -> None:
    image = noise(112, 56)

    found = reader.read(encoded(image))

    assert (found.rows, found.columns) == (4, 8)
    assert np.abs(found.values - cut(image)).max() < 1e-6


@pytest.mark.parametrize("size", [(100, 50), (400, 300), (20, 20)])
def test_others_are_scaled_to_the_folders_bounds(reader: PictureReader, size: tuple[int, int]) -> None:
    found = reader.read(encoded(noise(*size), "JPEG"))

    assert BOUNDS["shortest_edge"] <= found.rows * found.columns * PATCH**2 <= BOUNDS["longest_edge"]
    assert len(found.values) // MERGE**2 + 2 <= reader.most_tokens == 10


def test_what_is_transparent_is_white_and_a_turned_photo_is_turned_back_as_in_the_server(reader: PictureReader) -> None:
    clear, white = Image.new("RGBA", (56, 56), (9, 9, 9, 0)), Image.new("RGB", (56, 56), "white")
    photo = noise(112, 56)
    exif = Image.Exif()
    exif[0x0112] = 8  # show it turned by 90 degrees
    turned = reader.read(encoded(photo.rotate(-90, expand=True), exif=exif))

    assert np.array_equal(reader.read(encoded(clear)).values, reader.read(encoded(white)).values)
    assert np.array_equal(turned.values, reader.read(encoded(photo)).values)


def test_the_tokens_of_a_picture_stand_between_the_words(reader: PictureReader) -> None:
    ids, shown = reader.placed(((5, 6, 7), Picture(encoded(noise(56, 56)), 2)))

    assert ids == [5, 6, reader.start, *[reader.pad] * 4, reader.end, 7]
    assert shown is not None
    assert reader.placed(((5, 6, 7), None)) == ([5, 6, 7], None)


def test_a_pictures_token_that_a_model_wrote_is_no_picture(reader: PictureReader) -> None:
    ids, _ = reader.placed(((5, 6, reader.pad), Picture(encoded(noise(56, 56)), 1)))

    assert ids.count(reader.pad) == 4
    assert reader.placed(((5, reader.pad), None)) == ([5, reader.end], None)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("AAAA", "neither PNG nor JPEG.*"),
        ("A", "not base64.*; encode the file anew"),
        (encoded(noise(112, 56))[:4000], "cannot be read.*; save it anew as PNG or JPEG"),
        (encoded(Image.new("RGB", (MAX_SIDE + 1, 4))), f"more than {MAX_SIDE} pixels a side; scale it down"),
        (encoded(Image.new("RGB", (2500, 10))), "aspect ratio.*; crop it"),
    ],
)
def test_what_cannot_be_shown_is_an_error_with_a_remedy(reader: PictureReader, data: str, said: str) -> None:
    with pytest.raises(BadPicture, match=said):
        reader.read(data)

"""Prompts with pictures as a Qwen3-VL model of transformers takes them: ids with the picture's tokens in them, and patches.

Words and places are those of the rendered prompt; the tokens around a picture are those that the server's chat template
and processor put there (`wire.CHAT_TEMPLATE`). Patches are cut by transformers' own processor in its Pillow form, under the
bounds of the model's folder; a file is opened as vLLM opens it.
"""

import base64
import binascii
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lore_core.prompts import ModelKit, TextEncoder
from lore_core.prompts.render import Picture
from lore_core.records.picture import MAX_SIDE, BadPicture, size

START: Final = "<|vision_start|>"
PAD: Final = "<|image_pad|>"
END: Final = "<|vision_end|>"

Row = tuple[Sequence[int], Picture | None]
"""Ids of the words, and the picture between them."""


@dataclass(frozen=True, slots=True)
class Patches:
    """A picture as the vision tower reads it: `values` are n×d float32, cut from a grid of `rows` × `columns` patches."""

    values: npt.NDArray[np.float32]
    rows: int
    columns: int


class PictureReader:
    """Reads the pictures of a model's prompts."""

    def __init__(self, folder: Path, encoder: TextEncoder) -> None:
        """`folder` has the model's `preprocessor_config.json`. Raises OSError without it, KeyError for an unfit tokenizer."""
        from transformers import Qwen2VLImageProcessorPil

        self._processor: Any = Qwen2VLImageProcessorPil.from_pretrained(str(folder))
        self.start, self.pad, self.end = (encoder.control(name) for name in (START, PAD, END))
        self._merged: int = self._processor.merge_size**2

    @classmethod
    def of(cls, folder: Path, kit: ModelKit) -> "PictureReader | None":
        """The reader of a model folder; None where its contract shows no pictures."""
        return cls(folder, kit.encoder) if kit.contract.image_tokens is not None else None

    @property
    def most_tokens(self) -> int:
        """Most tokens of one picture under the folder's bounds, those that enclose it included."""
        side = int(self._processor.patch_size * self._processor.merge_size)
        return int(self._processor.size["longest_edge"]) // (side * side) + 2

    def read(self, data: str) -> Patches:
        """The patches of a picture's base64. Raises BadPicture where it cannot be read."""
        image = _opened(data)
        try:
            found = self._processor(images=[image], return_tensors="np")
        except ValueError as error:
            raise BadPicture(f"{error}; crop it") from error
        _, rows, columns = found["image_grid_thw"][0]
        return Patches(found["pixel_values"], int(rows), int(columns))

    def placed(self, row: Row) -> tuple[list[int], Patches | None]:
        """The row's ids with the picture's own among them. Raises BadPicture.

        A picture's token that a model wrote itself is none: it stands as the end of a picture.
        """
        written, picture = row
        ids = [self.end if id_ == self.pad else id_ for id_ in written]
        if picture is None:
            return ids, None
        patches = self.read(picture.data)
        shown = [self.start, *[self.pad] * (len(patches.values) // self._merged), self.end]
        return [*ids[: picture.after], *shown, *ids[picture.after :]], patches

    def blank(self) -> tuple[list[int], Patches]:
        """A row that is nothing but the smallest picture there is."""
        side, depth = self._processor.merge_size, self._processor.temporal_patch_size
        width = 3 * depth * self._processor.patch_size**2
        values = np.zeros((self._merged, width), dtype=np.float32)
        return [self.start, self.pad, self.end], Patches(values, side, side)

    def tensors(self, pictures: Sequence[Patches], ids: Any) -> dict[str, Any]:
        """The model's further inputs beside padded `ids`, in the order of the rows; none where no row has a picture."""
        import torch

        if not pictures:
            return {}
        return {
            "pixel_values": torch.from_numpy(np.concatenate([one.values for one in pictures])),
            "image_grid_thw": torch.tensor([[1, one.rows, one.columns] for one in pictures]),
            "mm_token_type_ids": (ids == self.pad).int(),
        }


def _opened(data: str) -> Any:
    """A picture in RGB, turned as its file says, on white where it is transparent: what vLLM makes of the same bytes."""
    from PIL import Image, ImageOps

    try:
        file = base64.b64decode(data, validate=True)
        if max(size(file)) > MAX_SIDE:
            raise BadPicture(f"more than {MAX_SIDE} pixels a side; scale it down")
        image: Any = ImageOps.exif_transpose(Image.open(io.BytesIO(file)))
        image.load()
    except binascii.Error as error:
        raise BadPicture(f"not base64 ({error}); encode the file anew") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, BadPicture):
            raise
        raise BadPicture(f"cannot be read ({error}); save it anew as PNG or JPEG") from error
    if "transparency" not in image.info and image.mode not in ("RGBA", "LA", "PA"):
        return image.convert("RGB")
    layers = image.convert("RGBA")
    white = Image.new("RGB", layers.size, (255, 255, 255))
    white.paste(layers, mask=layers.getchannel("A"))
    return white

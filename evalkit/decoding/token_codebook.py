"""The extension point for decoding mask tokens; closed until a codebook is proven.

Gemini's tokens have the shape of PaliGemma's mask VQ-VAE (16 tokens, 128 codes, 64 x 64 pixels;
arXiv 2301.02229, weights ``vae-oid.npz``), but nobody has shown that the codebook is the same, and
no pair of Gemini's tokens with the mask they stand for is public. So ``decode.token_codebook:
vae-oid.npz`` alone decodes nothing: beside the file must lie ``vae-oid.known.npz`` with

    known_tokens   K x 16 integers in 0..127, as the model wrote them
    known_masks    K x 64 x 64, the masks that they are known to stand for inside their boxes

and the codebook must reproduce at least ``LEAST_KNOWN`` of them with a mean IoU of ``LEAST_IOU``. A
file of other names or shapes is not used. Until then tokens are ``mask_tokens``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evalkit.decoding.codes import Unreadable
from evalkit.decoding.context import Context, MaskRead
from evalkit.decoding.images import crop_mask
from evalkit.errors import ConfigError

TOKENS: Final = 16
LEAST_KNOWN: Final = 10
LEAST_IOU: Final = 0.9
"""Our bar: a codebook that is not the model's gives unrelated masks, far below it."""

Array = NDArray[np.float32]
Parameters = Mapping[str, Array]


def decode_tokens(tokens: Sequence[int], context: Context) -> MaskRead:
    """Return the mask of 16 tokens by the settings' codebook. Raises ``Unreadable`` (mask_tokens) unless proven."""
    from PIL import Image

    parameters = proven_codebook(context.settings.token_codebook or "")
    if parameters is None or len(tokens) != TOKENS or not all(0 <= token < 128 for token in tokens):
        raise Unreadable("mask_tokens")
    box = context.needed_box()
    values = np.clip(token_map(parameters, tokens) * 127.5 + 127.5, 0, 255)
    x0, y0, x1, y1 = box.place_px_xyxy
    context.budget.spend((x1 - x0) * (y1 - y0))
    grey = Image.fromarray(values.astype(np.uint8))
    levels = context.images.place(grey, box.place_px_xyxy, box.visible_px_xyxy, context.settings)
    size_px, threshold = (context.height_px, context.width_px), context.settings.threshold
    return MaskRead(crop_mask(levels, box.visible_px_xyxy, *size_px, threshold))


def check_codebook(path: str | None) -> None:
    """Raise ``ConfigError`` where a codebook is named and no such file is there."""
    if path is not None and not Path(path).is_file():
        raise ConfigError(
            f"decode.token_codebook: there is no file {path}. Give the path of a PaliGemma vae-oid.npz "
            "(from the config's folder), or leave the key out: mask tokens then count as mask_tokens"
        )


@lru_cache(maxsize=4)
def proven_codebook(path: str) -> Parameters | None:
    """Return the parameters of a codebook that passes its self-check, else None."""
    try:
        parameters = dict(np.load(path))
        known = np.load(Path(path).with_suffix(".known.npz"))
        tokens, masks = known["known_tokens"], known["known_masks"]
        good = len(tokens) >= LEAST_KNOWN and self_check(parameters, tokens, masks) >= LEAST_IOU
    except (OSError, ValueError, KeyError, IndexError):
        return None
    return parameters if good else None


def self_check(parameters: Parameters, known_tokens: NDArray[Any], known_masks: NDArray[Any]) -> float:
    """Return the mean IoU of decoded against known masks. Raises on arrays that do not fit together."""
    ious = []
    for tokens, mask in zip(known_tokens, known_masks, strict=True):
        got, wanted = token_map(parameters, tokens) > 0, mask > 0
        union = np.count_nonzero(got | wanted)
        ious.append(np.count_nonzero(got & wanted) / union if union else 1.0)
    return float(np.mean(ious))


def token_map(parameters: Parameters, tokens: Sequence[int]) -> Array:
    """Return the decoder's 64 x 64 map, foreground above 0, of 16 codes in reading order.

    The decoder of arXiv 2301.02229: embedding, 1 x 1 convolution, two residual blocks, four
    transposed convolutions that each double the side, 1 x 1 convolution.
    """
    codes = parameters["_vq_vae._embedding"][np.asarray(tokens)]
    x: Array = codes.reshape(4, 4, -1).transpose(2, 0, 1)
    x = np.maximum(_conv(parameters, "decoder.0", x), 0)
    for block in ("decoder.2.net", "decoder.3.net"):
        inner = np.maximum(_conv(parameters, f"{block}.0", x), 0)
        inner = np.maximum(_conv(parameters, f"{block}.2", inner), 0)
        x = x + _conv(parameters, f"{block}.4", inner)
    for layer in (4, 6, 8, 10):
        x = np.maximum(_conv_transposed(parameters, f"decoder.{layer}", x), 0)
    mapped: Array = _conv(parameters, "decoder.12", x)[0]
    return mapped


def _conv(parameters: Parameters, name: str, x: Array) -> Array:
    """Return a convolution that keeps the size; ``x`` is channels x H x W, weights out x in x k x k."""
    weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
    pad = weight.shape[-1] // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(1, 2))
    summed: Array = np.einsum("ihwkl,oikl->ohw", windows, weight) + bias[:, None, None]
    return summed


def _conv_transposed(parameters: Parameters, name: str, x: Array) -> Array:
    """Return a 4 x 4 transposed convolution of stride 2 (weights in x out x 4 x 4): twice the side."""
    weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
    _, height, width = x.shape
    canvas = np.zeros((weight.shape[1], 2 * height + 2, 2 * width + 2), dtype=np.float32)
    for row in range(4):
        for column in range(4):
            part = np.einsum("ihw,io->ohw", x, weight[:, :, row, column])
            canvas[:, row : row + 2 * height : 2, column : column + 2 * width : 2] += part
    cropped: Array = canvas[:, 1:-1, 1:-1] + bias[:, None, None]
    return cropped

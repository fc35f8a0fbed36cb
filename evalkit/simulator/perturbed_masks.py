"""How a simulated model sees: the annotated objects of a sample, drawn a little wrong.

Pure and seeded; the error of a drawn object depends on the generator that is passed, never on time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evalkit.masks import box_of, region_mask

if TYPE_CHECKING:
    from evalkit.types import BoolMask, GroundTruth

SHRUNK_PX = 256
"""Objects are blurred at this size at most, so that a large photograph costs no more than a small one."""


@dataclass(frozen=True, slots=True)
class MaskNoise:
    """How steadily a persona draws.

    ``edge``: blur of the outline, as a share of the object's mean width (area / longest side). ``wobble``: how far smooth noise moves it. ``erosion``: how much
    of the blurred value is lost (0 keeps the area; 0.2 draws clearly too small).
    """

    edge: float = 0.0
    wobble: float = 0.0
    erosion: float = 0.0


NO_NOISE = MaskNoise()


def truth_instances(truth: GroundTruth) -> list[BoolMask]:
    """Return the annotated objects (bool, H x W each), without empty ones."""
    masks = [region_mask(region, truth.height_px, truth.width_px) for region in truth.instances]
    return [mask for mask in masks if mask.any()]


def perturbed(mask_hw: BoolMask, mask_noise: MaskNoise, rng: np.random.Generator) -> BoolMask:
    """Return the object with ``mask_noise`` applied (bool, H x W): its outline blurred, moved and shrunk.

    An object too small to survive is returned as it was.
    """
    box = box_of(mask_hw)
    if box is None or mask_noise == NO_NOISE:
        return mask_hw
    x0, y0, x1, y1 = box
    margin = max(2, round(0.08 * max(x1 - x0, y1 - y0)))
    height_px, width_px = mask_hw.shape
    left, top = max(0, x0 - margin), max(0, y0 - margin)
    right, bottom = min(width_px, x1 + margin), min(height_px, y1 + margin)
    drawn = _perturbed_crop(mask_hw[top:bottom, left:right], mask_noise, rng)
    if not drawn.any():
        return mask_hw
    full = np.zeros_like(mask_hw)
    full[top:bottom, left:right] = drawn
    return full


def _perturbed_crop(crop_hw: BoolMask, mask_noise: MaskNoise, rng: np.random.Generator) -> BoolMask:
    from PIL import Image, ImageFilter

    height, width = crop_hw.shape
    scale = min(1.0, SHRUNK_PX / max(height, width))
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = Image.fromarray(crop_hw.astype(np.uint8) * 255).resize(small, Image.Resampling.BILINEAR)
    width_small_px = int(np.count_nonzero(np.asarray(image))) / max(small)
    soft = image.filter(ImageFilter.GaussianBlur(mask_noise.edge * width_small_px))
    coarse = rng.normal(size=(6, 6)).astype(np.float32)
    noise = np.asarray(Image.fromarray(coarse).resize(small, Image.Resampling.BICUBIC))
    drawn = np.asarray(soft, dtype=np.float32) / 255 + mask_noise.wobble * noise > 0.5 + mask_noise.erosion
    back = Image.fromarray(drawn.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(back) > 127


def displaced(mask_hw: BoolMask, rng: np.random.Generator) -> BoolMask:
    """Return the object's shape at another place: what answering about the wrong object looks like."""
    box = box_of(mask_hw)
    if box is None:
        return mask_hw
    x0, y0, x1, y1 = box
    height_px, width_px = mask_hw.shape
    left = int(rng.integers(0, width_px - (x1 - x0) + 1))
    top = int(rng.integers(0, height_px - (y1 - y0) + 1))
    moved = np.zeros_like(mask_hw)
    moved[top : top + (y1 - y0), left : left + (x1 - x0)] = mask_hw[y0:y1, x0:x1]
    return moved


def random_ellipse(height_px: int, width_px: int, rng: np.random.Generator) -> BoolMask:
    """Return an ellipse somewhere: the mask of an object that is not there."""
    centre_y, centre_x = rng.uniform(0.3, 0.7, 2) * (height_px, width_px)
    radius_y, radius_x = np.maximum(rng.uniform(0.08, 0.2, 2) * (height_px, width_px), 1.0)
    rows = (np.arange(height_px)[:, None] + 0.5 - centre_y) / radius_y
    columns = (np.arange(width_px)[None, :] + 0.5 - centre_x) / radius_x
    return np.asarray(rows**2 + columns**2 <= 1.0)

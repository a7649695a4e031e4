"""Measure how many copies of photos are found, and how many of the pairs named are copies.

    python benchmarks/copies.py FOLDER [--copies 150] [--images N] [--pairs FILE.csv]

FOLDER holds class folders. Copies of 150 photos of each kind are made with Pillow, no photo twice
for lack of photos only, and laid among all the others. Prints a table of recall for each kind, the
precision of what is called the same picture, and the seconds of the first and the second look.
With `--images`, only the time is measured, on that many photos: those of FOLDER, and crops of them.
"""

import argparse
from collections.abc import Callable
import functools
import math
from pathlib import Path
import resource
import shutil
import tempfile
import time

from dermaface.photos import copies, images
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

Random = np.random.Generator


def crop(image: Image.Image, random: Random, cut: float) -> Image.Image:
    """Cut a share of the width and of the height off, anywhere."""
    width, height = (round(side * (1 - cut)) for side in image.size)
    left = int(random.integers(0, image.width - width + 1))
    top = int(random.integers(0, image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def trim(image: Image.Image, random: Random, cut: float) -> Image.Image:
    """Cut a share of the sides off at each of the four edges."""
    width, height = image.size
    box = (width * cut, height * cut, width * (1 - cut), height * (1 - cut))
    return image.crop(tuple(map(round, box)))


def turn(image: Image.Image, random: Random, degrees: float, corners: str = "") -> Image.Image:
    """Turn a photo to the left or right; without a colour for its corners, cut them off."""
    degrees *= int(random.choice([-1, 1]))
    turned = image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=corners or "black")
    if corners:
        return turned
    # The largest upright rectangle of the photo's proportions within the turned photo.
    sine, cosine = abs(math.sin(math.radians(degrees))), abs(math.cos(math.radians(degrees)))
    width, height = image.size
    share = min(width / (width * cosine + height * sine), height / (width * sine + height * cosine))
    return (
        ImageOps.fit(
            turned, (int(width * share) - 2, int(height * share) - 2), centering=(0.5, 0.5)
        )
        if False
        else _middle(turned, share)
    )


def _middle(image: Image.Image, share: float) -> Image.Image:
    width, height = (int(side * share) - 2 for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def expand(image: Image.Image, random: Random, degrees: float) -> Image.Image:
    """Turn a photo and show all of it, with black corners."""
    degrees *= int(random.choice([-1, 1]))
    return image.rotate(degrees, Image.Resampling.BICUBIC, expand=True)


def composite(image: Image.Image, random: Random) -> Image.Image:
    """Turn a photo by 5 to 25 degrees, crop it by 10 to 20 %, and brighten it by 20 to 50 %."""
    image = turn(image, random, random.uniform(5, 25))
    image = crop(image, random, random.uniform(0.1, 0.2))
    return ImageEnhance.Brightness(image).enhance(random.uniform(1.2, 1.5))


def watermark(image: Image.Image, random: Random) -> Image.Image:
    """Write one text in half-transparent white across each photo, as picture agencies do."""
    size = min(image.size)
    layer = Image.new("RGBA", image.size)
    font = ImageFont.load_default(size // 8)
    for row in (0.2, 0.5, 0.8):
        place = (image.width // 2, round(image.height * row))
        ImageDraw.Draw(layer).text(
            place, "STOCK PHOTO", font=font, fill=(255, 255, 255, 130), anchor="mm"
        )
    return Image.alpha_composite(image.convert("RGBA"), layer.rotate(20)).convert("RGB")


def border(image: Image.Image, random: Random) -> Image.Image:
    """Frame a photo in one colour, as wide as 4 to 12 % of it."""
    colour = tuple(random.integers(0, 256, 3).tolist())
    return ImageOps.expand(image, round(max(image.size) * random.uniform(0.04, 0.12)), colour)


def recolour(image: Image.Image, random: Random) -> Image.Image:
    """Change a photo's white balance, contrast and saturation."""
    bands = [band.point(lambda v, f=random.uniform(0.75, 1.2): min(255, int(v * f)))
             for band in image.split()]  # fmt: skip
    image = ImageEnhance.Contrast(Image.merge("RGB", bands)).enhance(random.uniform(0.7, 1.3))
    return ImageEnhance.Color(image).enhance(random.uniform(0, 1.5))


def mirrored_and(edit: Callable, image: Image.Image, random: Random) -> Image.Image:
    """Mirror a photo, and change it as well."""
    return edit(ImageOps.mirror(image), random)


def by(edit: Callable, **numbers: object) -> Callable:
    """Name the numbers of a change."""
    return functools.partial(edit, **numbers)


KINDS: dict[str, Callable[[Image.Image, Random], Image.Image]] = {
    **{f"turned by {degrees}°, black corners": by(turn, degrees=degrees, corners="black")
       for degrees in (5, 15, 25)},
    **{f"turned by {degrees}°, corners cut off": by(turn, degrees=degrees)
       for degrees in (5, 15, 25)},
    "turned by 15°, shown whole on black": by(expand, degrees=15),
    "turned by 15°, white corners": by(turn, degrees=15, corners="white"),
    "turned by 90°": lambda image, random: image.transpose(Image.Transpose.ROTATE_90),
    "turned by 180°": lambda image, random: image.transpose(Image.Transpose.ROTATE_180),
    **{f"cropped by {cut} %": by(crop, cut=cut / 100) for cut in (10, 20, 30)},
    **{f"{cut} % cut off at each edge": by(trim, cut=cut / 100) for cut in (20, 30)},
    "mirrored": lambda image, random: ImageOps.mirror(image),
    "mirrored and cropped by 20 %": functools.partial(mirrored_and, by(crop, cut=0.2)),
    "halved, JPEG quality 30": lambda image, random: ImageOps.scale(image, 0.5),
    "recoloured": recolour,
    "turned, cropped and brightened": composite,
    "watermark": watermark,
    "border": border,
}  # fmt: skip

"""Measure how many copies of photos are found, and how many of the pairs named are copies.

    python benchmarks/copies.py FOLDER [--copies 150] [--pairs FILE.csv]
    python benchmarks/copies.py FOLDER --images 30000

FOLDER holds class folders. First, FOLDER itself is looked at twice, and the seconds of both looks
are printed; `--pairs` writes the pairs of its photos that are named the same picture or the same
place, for you to look at. Then copies of 150 photos of each kind are made with Pillow and laid
among all the others. Prints the recall of each kind, and which share of all pairs named the same
picture are: those between two photos of FOLDER, or their copies, that were not named a pair before
the copies were laid beside them count as wrong. With `--images`, only the time and the memory are
measured, on that many photos: those of FOLDER, and stretched cut-outs of them.
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
    return trim(turned, random, (1 - share) / 2 + 0.005)


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
    levels = np.asarray(image) * random.uniform(0.75, 1.2, 3)
    image = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    image = ImageEnhance.Contrast(image).enhance(random.uniform(0.7, 1.3))
    return ImageEnhance.Color(image).enhance(random.uniform(0, 1.5))


def mirrored_and(image: Image.Image, random: Random, cut: float) -> Image.Image:
    """Mirror a photo and crop it."""
    return crop(ImageOps.mirror(image), random, cut)


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
    "mirrored and cropped by 20 %": by(mirrored_and, cut=0.2),
    "halved, JPEG quality 30": lambda image, random: ImageOps.scale(image, 0.5),
    "recoloured": recolour,
    "turned, cropped and brightened": composite,
    "watermark": watermark,
    "border": border,
}  # fmt: skip


def copy_folder(folder: Path, to: Path) -> list[Path]:
    """Copy the photos of a folder; return their relative paths."""
    _, frame = images.find_images(folder)
    paths = [Path(path) for path in sorted(frame["path"])]
    for path in paths:
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / path, to / path)
    return paths


def make_copies(root: Path, paths: list[Path], count: int) -> pd.DataFrame:
    """Write `count` copies of each kind beside the photos: `kind`, `path`, `copy`.

    No photo is taken again before all have been taken.
    """
    order = np.random.default_rng(0).permutation(len(paths))
    rows = []
    for number, (kind, edit) in enumerate(KINDS.items()):
        for place in range(number * count, (number + 1) * count):
            path = paths[order[place % len(order)]]
            random = np.random.default_rng([number, place])
            with Image.open(root / path) as image:
                copy = edit(ImageOps.exif_transpose(image).convert("RGB"), random)
            name = path.with_name(f"copy_{number:02d}_{place:05d}.jpg")
            copy.save(
                root / name, quality=30 if "30" in kind[-2:] else int(random.integers(60, 95))
            )
            rows.append((kind, path.as_posix(), name.as_posix()))
    return pd.DataFrame(rows, columns=["kind", "path", "copy"])


def look(root: Path, cache: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what `find_pairs` names, and print how long it takes twice."""
    _, frame = images.find_images(root)
    photos = images.check_images(root, frame, cache=cache)
    for which in ("first", "second"):
        started, used = time.monotonic(), time.process_time()
        pairs = copies.find_pairs(root, photos, cache)
        print(
            f"{which} look at {len(photos)} photos: {time.monotonic() - started:.1f} s, "
            f"{time.process_time() - used:.1f} s of processor time; pairs of one picture: "
            f"{len(pairs[0])}, of one place: {len(pairs[1])}; peak memory "
            f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB",
            flush=True,
        )
    return pairs


def enlarge(root: Path, paths: list[Path], count: int) -> None:
    """Write stretched cut-outs of the photos, unlike each other, until there are `count` files."""
    for number in range(len(paths), count):
        path, random = paths[number % len(paths)], np.random.default_rng(number)
        with Image.open(root / path) as image:
            part = crop(ImageOps.contain(image.convert("RGB"), (400, 400)), random, 0.5)
        part = part.resize((round(part.width * random.uniform(1.2, 3)), part.height))
        part.save(root / path.with_name(f"part_{number:06d}.jpg"), quality=80)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--copies", type=int, default=150)
    parser.add_argument("--images", type=int, default=0)
    parser.add_argument("--pairs", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root, cache = Path(temporary) / "data", Path(temporary) / "cache"
        paths = copy_folder(options.folder, root)
        if options.images:
            enlarge(root, paths, options.images)
            look(root, cache)
            return
        before, places = look(root, cache)
        if options.pairs:
            both = pd.concat([before, places.assign(kind="place")])
            both.to_csv(options.pairs, index=False)
        made = make_copies(root, paths, options.copies)
        named, _ = look(root, cache)
    origin = dict(zip(made["copy"], made["path"], strict=True))
    ties = {tuple(sorted(pair)) for pair in zip(before["path"], before["copy"], strict=True)}
    ends = set(zip(named["path"], named["copy"], strict=True))
    found = [
        (row.path, row.copy) in ends or (row.copy, row.path) in ends for row in made.itertuples()
    ]
    recall = made.assign(found=found).groupby("kind", sort=False)["found"].mean()
    print(recall.to_string(float_format="{:.3f}".format, header=False))
    wrong = []
    for a, b in sorted(ends):
        one, other = sorted([origin.get(a, a), origin.get(b, b)])
        if one != other and (one, other) not in ties:
            wrong.append((a, b))
    print(f"pairs named: {len(ends)}, right: {1 - len(wrong) / max(len(ends), 1):.4f}")
    for a, b in wrong:
        print(f"  wrong or to be looked at: {a}  {b}")


if __name__ == "__main__":
    main()

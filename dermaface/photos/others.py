"""Pictures of other things, which show none of the classes; no TensorFlow.

`tiny` learnt from the textures in `photos.textures`, so these are drawn in another way: scenes of
straight edges, polygons and letters, which neither it nor the sample set has, and plain noise.
"""

from collections.abc import Callable
import itertools
import math
from pathlib import Path

from dermaface.photos import images
from dermaface.runs import Run
import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont

SIZE = 192  # pixels, of a drawn picture
OF_EACH = 6  # pictures of each kind
SCALE = 2  # pictures are drawn larger and then shrunk, for smooth edges

Drawing = ImageDraw.ImageDraw


def _colour(rng: Generator, low: float = 0, high: float = 255) -> tuple[int, int, int]:
    """Return a colour whose three parts lie between two grey levels."""
    red, green, blue = (int(value) for value in rng.uniform(low, high, 3))
    return red, green, blue


def _landscape(draw: Drawing, size: int, rng: Generator) -> None:
    """Draw a sky that fades, a sun, ranges of hills, and fir trees."""
    top, bottom = np.array((40, 110, 210)), np.array((235, 225, 215))
    top, bottom = top + rng.uniform(-40, 40, 3), bottom + rng.uniform(-40, 20, 3)
    for y in range(size):
        draw.line((0, y, size, y), tuple((top + (bottom - top) * y / size).astype(int)))
    x, y, r = rng.uniform((0.1, 0.1, 0.04), (0.9, 0.4, 0.1)) * size
    draw.ellipse((x - r, y - r, x + r, y + r), (255, 240, int(rng.uniform(120, 220))))
    across = np.linspace(0, size, 40)
    for nearness in (1, 2, 3):
        waves, phase = rng.uniform(1, 5), rng.uniform(0, 6)
        height = rng.uniform(0.03, 0.15) * np.sin(waves * across / size * math.pi + phase)
        ridge = size * (0.4 + 0.15 * nearness + height)
        points = [*zip(across, ridge, strict=True), (size, size), (0, size)]
        draw.polygon(points, (70 - 15 * nearness, int(rng.uniform(90, 160)), 60))
    for _ in range(rng.integers(3, 12)):
        x, foot, tall = rng.uniform((0, 0.7, 0.1), (1, 1, 0.3)) * size
        draw.rectangle((x - 3, foot - tall / 5, x + 3, foot), (80, 50, 30))
        for step in (0.2, 0.45, 0.7):
            peak, wide = foot - tall * (step + 0.4), tall * 0.35 * (1.1 - step)
            base = foot - tall * step
            draw.polygon(((x - wide, base), (x + wide, base), (x, peak)), (20, 75, 40))


def _street(draw: Drawing, size: int, rng: Generator) -> None:
    """Draw houses in a row, with roofs, windows and doors, on a grey road."""
    draw.rectangle((0, 0, size, size), _colour(rng, 150, 250))
    draw.rectangle((0, 0.85 * size, size, size), (95, 95, 100))
    for x in np.arange(0, size, size / 12):
        draw.rectangle((x, 0.92 * size, x + size / 24, 0.935 * size), (240, 240, 240))
    left = -rng.uniform(0, 0.1) * size
    while left < size:
        wide, tall = rng.uniform((0.2, 0.3), (0.4, 0.6)) * size
        right, foot, eaves = left + wide, 0.85 * size, 0.85 * size - tall
        draw.rectangle((left, eaves, right, foot), _colour(rng, 90, 240))
        peak = ((left + right) / 2, eaves - rng.uniform(0.05, 0.2) * size)
        draw.polygon(((left, eaves), (right, eaves), peak), _colour(rng, 40, 130))
        columns, rows = int(rng.integers(2, 4)), int(rng.integers(2, 4))
        glass, frame = _colour(rng, 60, 200), _colour(rng, 200, 255)
        for row in range(rows):
            for column in range(columns):
                x = left + wide * (column + 0.3) / columns
                y = eaves + tall * (row + 0.25) / (rows + 0.8)
                box = (x, y, x + 0.4 * wide / columns, y + 0.5 * tall / (rows + 0.8))
                draw.rectangle(box, glass, frame, 4)
        door = left + wide * rng.uniform(0.1, 0.6)
        draw.rectangle((door, foot - tall / 5, door + wide / 5, foot), _colour(rng, 20, 120))
        left = right + rng.uniform(0, 0.05) * size


def _chart(draw: Drawing, size: int, rng: Generator) -> None:
    """Draw a chart of bars, of lines or of a pie on white, with a title."""
    draw.rectangle((0, 0, size, size), (252, 252, 252))
    _write(draw, (0.2 * size, 0.04 * size), 0.07 * size, (30, 30, 30), rng)
    kind, count = rng.integers(3), int(rng.integers(4, 9))
    if kind == 2:
        turns = np.concatenate([[0], rng.dirichlet(np.full(count, 3)).cumsum() * 360])
        for start, end in itertools.pairwise(turns):
            box = (0.2 * size, 0.22 * size, 0.8 * size, 0.82 * size)
            draw.pieslice(box, start, end, _colour(rng, 30, 230), (255, 255, 255), 3)
        return
    for level in np.linspace(0.2, 0.85, 6):
        draw.line((0.12 * size, level * size, 0.95 * size, level * size), (215, 215, 215), 2)
        _write(draw, (0.03 * size, (level - 0.02) * size), 0.04 * size, (90, 90, 90), rng, 1)
    places = size * np.linspace(0.17, 0.9, count)
    for _ in range(1 if kind == 0 else int(rng.integers(1, 4))):
        colour, tops = _colour(rng, 20, 210), size * rng.uniform(0.25, 0.8, count)
        if kind == 0:
            half = 0.25 * size / count
            for x, y in zip(places, tops, strict=True):
                draw.rectangle((x - half, y, x + half, 0.85 * size), colour)
        else:
            draw.line(list(zip(places, tops, strict=True)), colour, 6)
    draw.line((0.12 * size, 0.85 * size, 0.95 * size, 0.85 * size), (20, 20, 20), 4)


def _page(draw: Drawing, size: int, rng: Generator) -> None:
    """Draw a page of text with a heading, and sometimes a box in it."""
    paper, ink = _colour(rng, 235, 255), _colour(rng, 0, 70)
    draw.rectangle((0, 0, size, size), paper)
    high = rng.uniform(0.035, 0.07) * size
    _write(draw, (0.08 * size, 0.05 * size), 2 * high, ink, rng)
    for y in np.arange(0.22 * size, 0.95 * size, 1.6 * high):
        _write(draw, (0.08 * size, y), high, ink, rng, int(rng.integers(2, 8)))
    if rng.random() < 0.5:
        x, y = rng.uniform(0.1, 0.6, 2) * size
        draw.rectangle((x, y, x + 0.3 * size, y + 0.25 * size), _colour(rng, 100, 230), ink, 3)


def _table(draw: Drawing, size: int, rng: Generator) -> None:
    """Draw a laid table from above: boards, a plate, a glass, knife and fork, and a napkin."""
    wood, width = np.array(_colour(rng, 60, 170)), size / rng.uniform(3, 7)
    for x in np.arange(0, size, width):
        plank = tuple((wood + rng.uniform(-15, 15)).astype(int))
        draw.rectangle((x, 0, x + width, size), plank, (50, 40, 30), 2)
    x, y, r = rng.uniform((0.4, 0.4, 0.2), (0.6, 0.6, 0.3)) * size
    china = _colour(rng, 190, 255)
    draw.ellipse((x - r, y - r, x + r, y + r), china, (110, 110, 120), 4)
    draw.ellipse((x - 0.7 * r, y - 0.7 * r, x + 0.7 * r, y + 0.7 * r), china, (160, 160, 170), 3)
    for _ in range(rng.integers(3, 9)):
        turn, away, small = rng.uniform(0, 6.3), rng.uniform(0, 0.5) * r, rng.uniform(0.1, 0.2) * r
        u, v = x + away * math.cos(turn), y + away * math.sin(turn)
        draw.ellipse((u - small, v - small, u + small, v + small), _colour(rng, 20, 230))
    steel = _colour(rng, 150, 200)
    draw.rectangle((x + 1.15 * r, y - r, x + 1.25 * r, y + r), steel)
    draw.rectangle((x - 1.3 * r, y - 0.3 * r, x - 1.2 * r, y + r), steel)
    for tine in (-0.1, 0, 0.1):
        u = x + (tine - 1.25) * r
        draw.line((u, y - r, u, y - 0.3 * r), steel, 5)
    draw.rectangle((0, 0, 0.2 * size, 0.2 * size), _colour(rng, 100, 255), (255, 255, 255), 5)
    draw.ellipse((0.78 * size, 0.03 * size, 0.97 * size, 0.22 * size), _colour(rng, 120, 240))


def _write(
    draw: Drawing,
    place: tuple[float, float],
    high: float,
    ink: tuple[int, int, int],
    rng: Generator,
    words: int = 2,
) -> None:
    """Write words of random letters on one line."""
    letters = rng.choice(list("aabcdeeeghiklmnnooprsstuuvz"), (words, 8))
    text = " ".join("".join(word[: rng.integers(2, 8)]) for word in letters)
    draw.text(place, text, ink, ImageFont.load_default(high))


SCENES: dict[str, Callable[[Drawing, int, Generator], None]] = {
    "landscape": _landscape,
    "street": _street,
    "chart": _chart,
    "page of text": _page,
    "laid table": _table,
}
KINDS = (*SCENES, "noise")


def draw_stranger(kind: str, rng: Generator) -> np.ndarray:
    """Draw one picture of something else.

    Args:
        kind: one of `KINDS`.
        rng: the same state draws the same picture.

    Returns:
        uint8 (192, 192, 3), 0..255.
    """
    if kind == "noise":
        return rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    picture = Image.new("RGB", (SCALE * SIZE, SCALE * SIZE))
    SCENES[kind](ImageDraw.Draw(picture), SCALE * SIZE, rng)
    return np.array(picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS))


def draw_strangers(seed: int) -> list[np.ndarray]:
    """Draw `OF_EACH` pictures of each kind, one kind after the other, over and over.

    Returns:
        uint8 (192, 192, 3), 0..255, each.
    """
    rng = np.random.default_rng(seed)
    return [draw_stranger(kind, rng) for _ in range(OF_EACH) for kind in KINDS]


def find_strangers(folder: str | Path, run: Run) -> list[Path]:
    """Return the photos of a folder that can be read, after checking each to its end.

    Nothing is written there or kept of them.

    Args:
        folder: of photos that show none of the classes, in folders or not.
        run: photos that it lists in `images.csv` are left out.

    Raises:
        ValueError: there is no such folder, or no file in it can be used; the message counts the
            reasons.
    """
    root, frame = images.find_unlabelled(folder)
    found = images.check_images(root, frame)
    known = images.read_table(run.path("images.csv"))["sha256"]
    ours = found["sha256"].isin(known[known != ""])
    found.loc[ours, ["status", "reason"]] = "excluded", "is one of the run's own photos"
    images.require_kept(found, "strangers")
    return [root / path for path in found.loc[found["status"] == "kept", "path"]]

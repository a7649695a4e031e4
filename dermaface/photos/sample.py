"""Draw the built-in sample set, "face skin" pictures in 11 classes, so everything runs offline.

Every picture is a little scene. A patch of skin has a colour (`albedo`), a surface that light
falls on (`relief`) and shiny spots (`gloss`). A class adds its signs to the three; all classes
share the same distractors (moles, freckles, hair, an eye, a mouth). `_photograph` then makes a
picture of the scene: light from one side, shadows, a colour cast, blur and noise.

How photos are split follows from the bytes of their files, so every computer must draw the same
bytes. Everything is therefore computed in float64 and rounded once, at the end; and masks have soft
edges, so that a last digit that another processor rounds differently does not show.

Lengths are in units of the picture's shorter side, the origin is in the middle, y points down.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import difflib
import functools
import io
import math
from pathlib import Path
import re

import numpy as np
from numpy.random import Generator
from PIL import ExifTags, Image, ImageDraw, ImageOps

NOTICE = "Trained on drawn pictures, not on photos: its answers on photos of skin are meaningless."
MARKER = "SAMPLE.txt"
TITLE = "Sample set drawn by dermaface"

# Skin from light to dark, RGB 0..255; a picture's own tone lies between two neighbours.
TONES = np.array([
    (246, 222, 205), (238, 203, 178), (224, 181, 148), (202, 153, 118),
    (172, 122, 90), (136, 92, 66), (104, 69, 51), (78, 53, 43),
])  # fmt: skip
IRIS_COLOURS = np.array([(60, 38, 26), (96, 62, 34), (84, 98, 66), (80, 112, 140)]) / 255
WHITE = np.array([0.97, 0.94, 0.90])
DARK = np.array([0.10, 0.07, 0.06])

# Sides of the pictures in pixels, and the smallest ratio between short and long.
SMALLEST, LARGEST, NARROWEST = 96, 640, 0.75

Window = tuple[slice, slice]  # of rows and columns
Disc = tuple[float, float, float]  # x, y, radius
Ellipse = tuple[float, float, float, float]  # x, y, half width, half height
Line = list[tuple[float, float, float]]  # x, y, width at each point


@dataclass
class Skin:
    """A scene in the making; its arrays are `(height, width)`, the albedo `(3, height, width)`.

    Attributes:
        x: across, in units of the shorter side, 0 in the middle.
        y: down, likewise.
        side: the shorter side in pixels.
        tone: the skin's own colour, RGB 0..1.
        albedo: the surface's colour before light falls on it, RGB 0..1.
        relief: the surface's height, in units of the shorter side.
        gloss: light that the surface mirrors, 0..1.
        light: unit vector `(x, y)` towards the light.
        severity: 0 for the mildest signs of a class, 1 for the strongest.
        eye: an eye's `(x, y, half width, rotation)`, or empty.
    """

    x: np.ndarray
    y: np.ndarray
    side: int
    tone: np.ndarray
    albedo: np.ndarray
    relief: np.ndarray
    gloss: np.ndarray
    light: tuple[float, float]
    severity: float
    eye: tuple[float, ...] = ()


# --- How to draw: fields, masks, spots, lines -----------------------------------------------------


def _ramp(values: np.ndarray, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """Rise smoothly from 0 at `low` to 1 at `high`; fall if `low > high`."""
    t = (values - low) / (high - low)
    np.clip(t, 0.0, 1.0, out=t)
    falling = -2.0 * t
    falling += 3.0
    t *= t
    t *= falling
    return t


def _band(values: np.ndarray, width: float) -> np.ndarray:
    """Return 1 where `values` is 0, falling smoothly to 0 at `width` on either side."""
    return _ramp(np.abs(values), width, 0.0)


@functools.lru_cache(maxsize=64)
def _spline(size: int, cells: int) -> np.ndarray:
    """Return the `(size, cells + 3)` matrix that lays a smooth curve through random values."""
    position = (np.arange(size) + 0.5) * (cells / size)
    first = position.astype(int)
    t = position - first
    matrix = np.zeros((size, cells + 3))
    taps = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    for k, tap in enumerate(taps):
        matrix[np.arange(size), first + k] = tap / 6
    return matrix


def _noise(rng: Generator, shape: tuple[int, ...], *cells: int) -> np.ndarray:
    """Return a smooth random field, mean 0 and deviation near 1.

    Each of `cells`, one per octave, is how many bumps fit across; each counts half as much as the
    one before.
    """
    field, weight, power = np.zeros(shape), 1.0, 0.0
    for n in cells:
        values = rng.uniform(-3.6, 3.6, (n + 3, n + 3))
        field += weight * (_spline(shape[0], n) @ values @ _spline(shape[1], n).T)
        power += weight * weight
        weight /= 2
    return field / math.sqrt(power)


def _tint(skin: Skin, mask: np.ndarray, colour: np.ndarray, where: Window = np.s_[:, :]) -> None:
    """Blend `colour` over the window `where` of the skin, as far as `mask` (0..1) says."""
    kept = 1.0 - mask
    for channel, level in zip(skin.albedo, colour, strict=True):
        part = channel[where]
        part *= kept
        part += level * mask


def _red(skin: Skin, depth: float = 1.0) -> np.ndarray:
    """Return the skin's tone when inflamed: less green and blue, which shows on dark skin too."""
    kept, added = np.array([0.04, 0.40, 0.38]), np.array([0.08, 0.0, 0.01])
    return skin.tone * (1 - depth * kept) + depth * added


def _turn(x: np.ndarray, y: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the coordinates along and across a direction."""
    c, s = math.cos(angle), math.sin(angle)
    return c * x + s * y, c * y - s * x


def _spot(
    skin: Skin,
    x: float,
    y: float,
    radius: float,
    reach: float = 1.3,
    stretch: float = 1.0,
    angle: float = 0.0,
) -> tuple[Window, np.ndarray]:
    """Return the window around a spot and, in it, the distance from its centre in radii.

    The window ends `reach` radii away; the spot is `stretch` times as long along `angle`.
    """
    rows, columns = skin.x.shape
    far = radius * reach * stretch
    top, bottom = (int((y + sign * far) * skin.side + rows / 2) + sign for sign in (-1, 1))
    left, right = (int((x + sign * far) * skin.side + columns / 2) + sign for sign in (-1, 1))
    where = np.s_[max(top, 0) : max(bottom + 1, 0), max(left, 0) : max(right + 1, 0)]
    u, v = _turn(skin.x[where] - x, skin.y[where] - y, angle)
    return where, np.sqrt((u / stretch) ** 2 + v**2) / radius


def _patch(
    rng: Generator, skin: Skin, x: float, y: float, radius: float, soft: float, rough: float
) -> np.ndarray:
    """Return the mask of a patch; `soft` is how wide its border is, `rough` how uneven."""
    u, v = _turn(skin.x - x, skin.y - y, rng.uniform(0, math.pi))
    d = np.sqrt((u / rng.uniform(1.0, 1.5)) ** 2 + v**2) / radius
    return _ramp(d + rough * _noise(rng, d.shape, 5, 10, 20), 1 + soft, 1 - soft)


def _scatter(
    rng: Generator, count: int, sizes: tuple[float, float], area: Ellipse, gap: float
) -> list[Disc]:
    """Place up to `count` discs, of radii in the range `sizes`, in the ellipse `area`.

    Their centres lie at least `gap` times the sum of their radii apart.
    """
    discs: list[Disc] = []
    for _ in range(6 * count):
        angle, away = rng.uniform(0, 2 * math.pi), math.sqrt(rng.uniform())
        radius = rng.uniform(*sizes)
        x = area[0] + area[2] * away * math.cos(angle)
        y = area[1] + area[3] * away * math.sin(angle)
        if all(math.hypot(x - a, y - b) > gap * (radius + r) for a, b, r in discs):
            discs.append((x, y, radius))
            if len(discs) == count:
                break
    return discs


def _walk(
    rng: Generator,
    x: float,
    y: float,
    angle: float,
    step: float,
    count: int,
    width: float,
    bend: float,
) -> Line:
    """Return a wandering line that gets thinner."""
    line, turn = [], 0.0
    for k in range(count + 1):
        line.append((x, y, width * (1 - 0.6 * k / count)))
        turn = 0.6 * turn + rng.normal(0, bend)
        angle += turn
        x, y = x + step * math.cos(angle), y + step * math.sin(angle)
    return line


def _strokes(skin: Skin, lines: Sequence[Line]) -> np.ndarray:
    """Return the mask of lines made by `_walk`, drawn at three times the size for soft edges."""
    rows, columns = skin.x.shape
    sheet = Image.new("L", (3 * columns, 3 * rows))
    pen = ImageDraw.Draw(sheet)
    for line in lines:
        points = [
            (round(3 * (x * skin.side + columns / 2)), round(3 * (y * skin.side + rows / 2)))
            for x, y, _ in line
        ]
        for k, (_, _, width) in enumerate(line[1:]):
            pen.line(points[k : k + 2], fill=255, width=max(1, round(3 * width * skin.side)))
    return np.asarray(sheet.reduce(3), dtype=np.float64) / 255


# --- What may be on any skin ----------------------------------------------------------------------


def tone_at(place: float) -> np.ndarray:
    """Return a skin's colour, RGB 0..255, between two neighbours among `TONES`."""
    return np.array([np.interp(place, range(len(TONES)), TONES[:, k]) for k in range(3)])


def _picture_size(rng: Generator) -> tuple[int, int]:
    """Return rows and columns: most pictures are small, as on the web, and some are large."""
    long = round(SMALLEST / NARROWEST * (LARGEST * NARROWEST / SMALLEST) ** rng.beta(1.2, 2.4))
    short = round(long * rng.uniform(NARROWEST, 1))
    return (long, short) if rng.uniform() < 0.5 else (short, long)


def _bare_skin(rng: Generator) -> Skin:
    """Return a new scene: skin of some tone, unevenly coloured, with pores and fine texture."""
    shape = rows, columns = _picture_size(rng)
    side = min(shape)
    tone = tone_at(rng.uniform(0, len(TONES) - 1)) / 255
    mottle = 1 + rng.uniform(0.0, 0.035) * _noise(rng, shape, 3, 6, 12)
    flush = mottle - 0.025 * _noise(rng, shape, 2, 4)
    rough = rng.uniform(0.0008, 0.0016)
    relief = rough * _noise(rng, shape, int(rng.integers(34, 60)), 90)
    if side > 270:  # Bumps of three pixels, which only a large picture shows.
        relief += 0.5 * rough * _noise(rng, shape, side // 3)
    pores = rng.integers(1, [rows - 1, columns - 1], (int(rng.integers(80, 400)), 2))
    for k in (-1, 0, 1):
        relief[pores[:, 0] + k, pores[:, 1]] -= 0.0012
    angle = rng.normal(-math.pi / 2, 0.9)
    return Skin(
        x=np.broadcast_to((np.arange(columns) + 0.5 - columns / 2) / side, shape),
        y=np.broadcast_to(((np.arange(rows) + 0.5 - rows / 2) / side)[:, None], shape),
        side=side,
        tone=tone,
        albedo=tone[:, None, None] * np.stack([mottle, flush, flush]),
        relief=relief,
        gloss=np.zeros(shape),
        light=(math.cos(angle), math.sin(angle)),
        severity=rng.beta(3.6, 1.2),
    )


def _eye_frame(skin: Skin) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return coordinates along and across the eye, and the height of its upper and lower lid."""
    x, y, half, angle = skin.eye
    u, v = _turn(skin.x - x, skin.y - y, angle)
    arch = 1 - (u / half) ** 2
    return u, v, -0.38 * half * arch, 0.26 * half * arch


def _draw_eye(skin: Skin, rng: Generator) -> None:
    """Draw an open eye with lashes, lid crease and brow."""
    half = skin.eye[2]
    u, v, upper, lower = _eye_frame(skin)
    opening = _ramp(v - upper, -0.012, 0.012) * _ramp(lower - v, -0.012, 0.012)
    _tint(skin, opening, WHITE * rng.uniform(0.75, 0.92) * (0.8 + 0.2 * skin.tone[0]))
    middle = half * rng.uniform(-0.2, 0.2)
    ball = np.sqrt((u - middle) ** 2 + (v + 0.1 * half) ** 2) / half
    iris = IRIS_COLOURS[rng.integers(4 if skin.tone[0] > 0.75 else 2)]
    _tint(skin, opening * _ramp(ball, 0.35, 0.31), iris)
    _tint(skin, opening * _ramp(ball, 0.17, 0.13), DARK)
    glint = np.sqrt((u - middle - 0.08 * half) ** 2 + (v + 0.2 * half) ** 2) / half
    skin.gloss += 0.7 * opening * _ramp(glint, 0.09, 0.04)
    inside = _ramp(np.abs(u) / half, 1.06, 0.96)
    lashes = _band(v - upper, 0.08 * half) + 0.4 * _band(v - lower, 0.04 * half)
    _tint(skin, 0.85 * np.minimum(lashes, 1) * inside, DARK)
    _tint(skin, 0.4 * inside * _band(v - 1.3 * upper + 0.14 * half, 0.06 * half), 0.5 * skin.tone)
    brow = _band(v + 0.82 * half - 0.2 * half * (u / half) ** 2, 0.17 * half)
    brow *= _ramp(np.abs(u), 1.2 * half, 0.7 * half) * (0.8 + 0.3 * _noise(rng, v.shape, 50))
    _tint(skin, np.clip(brow, 0, 1) * rng.uniform(0.4, 0.9), 0.7 * DARK + 0.15 * skin.tone)


def _draw_mouth(skin: Skin, rng: Generator) -> None:
    """Draw a part of the lips at the lower edge of the picture."""
    x, y = rng.uniform(-0.35, 0.35), rng.uniform(0.36, 0.46)
    u, v = _turn(skin.x - x, skin.y - y, rng.normal(0, 0.12))
    arch = 1 - (u / 0.5) ** 2
    upper, lower = -0.13 * arch * (1 - 0.3 * _band(u, 0.1)), 0.17 * arch
    lips = _ramp(v - upper, -0.012, 0.012) * _ramp(lower - v, -0.012, 0.012)
    _tint(skin, lips * rng.uniform(0.5, 0.85), _red(skin, 1.1) * rng.uniform(0.8, 0.95))
    _tint(skin, 0.8 * lips * _band(v, 0.02), 0.35 * _red(skin))
    skin.relief += 0.018 * lips * (1 - np.abs(v) / 0.3)


def _draw_mole(skin: Skin, rng: Generator) -> None:
    """Draw a mole: a dark, sharp, slightly raised spot."""
    x, y, radius = rng.uniform(-0.45, 0.45), rng.uniform(-0.45, 0.45), rng.uniform(0.012, 0.03)
    where, d = _spot(skin, x, y, radius, stretch=rng.uniform(1, 1.3), angle=rng.uniform(0, 3))
    _tint(skin, _ramp(d, 1.2, 0.7) * rng.uniform(0.6, 0.95), 0.35 * skin.tone, where)
    skin.relief[where] += radius * 0.3 * _ramp(d, 1.2, 0.2)


def _draw_freckles(skin: Skin, rng: Generator) -> None:
    """Draw freckles: many tiny flat spots, a little darker than the skin."""
    area, depth = (*rng.uniform(-0.3, 0.3, 2), 0.5, 0.4), rng.uniform(0.2, 0.5)
    for x, y, radius in _scatter(rng, int(rng.integers(15, 45)), (0.006, 0.014), area, 1.0):
        where, d = _spot(skin, x, y, radius)
        _tint(skin, _ramp(d, 1.3, 0.5) * depth, skin.tone * np.array([0.72, 0.6, 0.5]), where)


def _draw_hair(skin: Skin, rng: Generator) -> None:
    """Draw a few strands of hair across the picture."""
    angle, lines = rng.uniform(0, 2 * math.pi), []
    for _ in range(int(rng.integers(1, 5))):
        turn = angle + rng.normal(0, 0.2)
        x = -0.7 * math.cos(turn) + rng.uniform(-0.4, 0.4)
        y = -0.7 * math.sin(turn) + rng.uniform(-0.4, 0.4)
        lines.append(_walk(rng, x, y, turn, 0.08, 18, rng.uniform(0.006, 0.012), 0.04))
    colour = DARK + rng.uniform(0, 0.35) * np.array([1.0, 0.75, 0.5])
    _tint(skin, _strokes(skin, lines) * rng.uniform(0.5, 0.9), colour)


def _draw_cloud(skin: Skin, rng: Generator) -> None:
    """Redden, darken or lighten a part of the skin, faintly and without an edge."""
    colour = (_red(skin), 0.7 * skin.tone, 0.8 * skin.tone + 0.2 * WHITE)[rng.integers(3)]
    x, y = rng.uniform(-0.5, 0.5, 2)
    mask = _patch(rng, skin, x, y, rng.uniform(0.3, 0.6), 0.8, 0.1)
    _tint(skin, mask * rng.uniform(0.15, 0.45), colour)


def _draw_bump(
    skin: Skin, rng: Generator, x: float, y: float, radius: float, strength: float, head: float
) -> None:
    """Draw an inflamed bump; `head` 0..1 is how clearly pus shows."""
    where, d = _spot(skin, x, y, radius, 2.3, rng.uniform(1, 1.25), rng.uniform(0, 3))
    inflamed = 0.45 * _ramp(d, 2.3, 0.5) + 0.5 * _ramp(d, 1.2, 0.6)
    _tint(skin, strength * inflamed, _red(skin, 1.15), where)
    _tint(skin, head * _ramp(d, 0.66, 0.36), WHITE * np.array([1, 0.96, 0.78]) * _glow(skin), where)
    skin.relief[where] += radius * 0.5 * _ramp(d, 1.3, 0.0)


def _glow(skin: Skin) -> float:
    """Return how bright white things look beside the skin, 0..1: the exposure follows the skin."""
    return 0.45 + 0.55 * skin.tone[0]


def _distract(skin: Skin, rng: Generator) -> None:
    """Draw what may be on any skin."""
    for draw_one, chance in (
        (_draw_mole, 0.3),
        (_draw_freckles, 0.18),
        (_draw_cloud, 0.35),
        (_draw_cloud, 0.1),
    ):
        if rng.uniform() < chance:
            draw_one(skin, rng)
    if rng.uniform() < 0.12:
        # One pimple is not yet acne.
        x, y = rng.uniform(-0.42, 0.42, 2)
        _draw_bump(skin, rng, x, y, rng.uniform(0.02, 0.035), 0.6, rng.uniform(0, 0.6))


# --- The signs of each class ----------------------------------------------------------------------


def _acne(skin: Skin, rng: Generator) -> None:
    """Scatter inflamed bumps, some with a whitish head."""
    count, pus = int(rng.integers(5, 9) + 11 * skin.severity), rng.uniform(0.3, 0.8)
    area = (*rng.uniform(-0.15, 0.15, 2), 0.5, 0.5)
    for x, y, radius in _scatter(rng, count, (0.022, 0.056), area, 1.2):
        head = rng.uniform(0.6, 0.95) if rng.uniform() < pus else 0.0
        _draw_bump(skin, rng, x, y, radius, 0.5 + 0.45 * skin.severity, head)


def _actinic_keratosis(skin: Skin, rng: Generator) -> None:
    """Lay rough pinkish brown patches under flaky whitish scales."""
    shape, count = skin.x.shape, int(rng.integers(1, 4))
    size = rng.uniform(0.28, 0.38) / math.sqrt(count)
    mask = np.zeros(shape)
    for x, y, radius in _scatter(rng, count, (0.8 * size, 1.2 * size), (0, 0, 0.3, 0.3), 1.1):
        mask = np.maximum(mask, _patch(rng, skin, x, y, radius, 0.25, 0.2))
    _tint(skin, mask * (0.5 + 0.35 * skin.severity), _red(skin, 0.6) * np.array([0.86, 0.80, 0.72]))
    grain = _noise(rng, shape, int(rng.integers(22, 34)), 64)
    flakes = _ramp(grain, -0.1, 1.3) * _ramp(mask, 0.3, 0.9)
    crust = WHITE * np.array([1.0, 0.94, 0.80]) * _glow(skin)
    _tint(skin, flakes * (0.45 + 0.4 * skin.severity), crust)
    skin.relief += 0.006 * mask * (0.8 + 1.0 * flakes + 0.5 * grain)


def _dark_circles(skin: Skin, rng: Generator) -> None:
    """Shade the half-moon below the eye brown or purplish, with a bag's edge."""
    half = skin.eye[2]
    u, v, _, lower = _eye_frame(skin)
    depth = half * rng.uniform(0.6, 0.95) * np.sqrt(np.clip(1.25 - (u / half) ** 2, 0, None))
    below = v - np.maximum(lower, -0.02)
    ring = _ramp(below, -0.02, 0.03) * _ramp(below, depth + 0.03, 0.45 * depth)
    ring *= _ramp(np.abs(u), 1.15 * half, 0.9 * half)
    ring *= np.clip(1 + 0.12 * _noise(rng, u.shape, 8), 0, 1)
    shade = skin.tone * np.array([(0.55, 0.43, 0.52), (0.56, 0.46, 0.40)])[rng.integers(2)]
    _tint(skin, ring * (0.55 + 0.4 * skin.severity), shade)
    bag = _band(below - 0.8 * depth, 0.05) * _ramp(np.abs(u), 1.1 * half, 0.5 * half)
    skin.relief -= bag * rng.uniform(0.003, 0.012)


def _herpes(skin: Skin, rng: Generator) -> None:
    """Crowd glistening little blisters on a red base."""
    x, y, spread = rng.uniform(-0.22, 0.22), rng.uniform(-0.25, 0.15), rng.uniform(0.14, 0.22)
    base = _patch(rng, skin, x, y, 1.25 * spread, 0.35, 0.2)
    _tint(skin, base * (0.6 + 0.35 * skin.severity), _red(skin, 1.2))
    skin.relief += 0.012 * base
    count = int(rng.integers(7, 10) + 9 * skin.severity)
    fluid = 0.7 * WHITE * np.array([1.0, 0.94, 0.80]) * _glow(skin) + 0.3 * _red(skin)
    for a, b, radius in _scatter(rng, count, (0.028, 0.052), (x, y, spread, 0.85 * spread), 0.85):
        where, d = _spot(skin, a, b, radius)
        _tint(skin, _ramp(d, 1.3, 0.95) * 0.5, 0.75 * _red(skin, 1.3), where)
        _tint(skin, _ramp(d, 1.0, 0.6) * (0.45 + 0.35 * skin.severity), fluid, where)
        skin.relief[where] += radius * 0.5 * _ramp(d, 1.1, 0.15)
        a, b = a + 0.4 * radius * skin.light[0], b + 0.4 * radius * skin.light[1]
        where, d = _spot(skin, a, b, 0.34 * radius)
        skin.gloss[where] += _ramp(d, 1.2, 0.3) * rng.uniform(0.35, 0.6)


def _melasma(skin: Skin, rng: Generator) -> None:
    """Darken both sides alike, in large blotches with soft, irregular borders."""
    turn, (x, y) = rng.normal(0, 0.15), rng.uniform(-0.1, 0.1, 2)
    u, v = _turn(skin.x - x, skin.y - y, turn)
    away, wide, tall = rng.uniform(0.26, 0.34), rng.uniform(0.18, 0.26), rng.uniform(0.22, 0.36)
    border = 0.28 * _noise(rng, u.shape, 5, 10, 20)
    v = v + rng.uniform(-0.3, 0.5) * (np.abs(u) - away)
    d = np.sqrt(((np.abs(u) - away) / wide) ** 2 + (v / tall) ** 2)
    if rng.uniform() < 0.5:  # the forehead or the upper lip as well
        d = np.minimum(d, np.sqrt((u / 0.34) ** 2 + ((v + rng.choice([-0.42, 0.42])) / 0.12) ** 2))
    mask = _ramp(d + border, 1.45, 0.65)
    mask *= np.clip(0.85 + 0.16 * _noise(rng, u.shape, 24, 48), 0, 1)
    _tint(skin, mask * (0.45 + 0.45 * skin.severity), skin.tone * np.array([0.62, 0.50, 0.42]))


def _milia(skin: Skin, rng: Generator) -> None:
    """Strew tiny firm white pearls, often below an eye."""
    count, wide = int(rng.integers(7, 11) + 12 * skin.severity), rng.uniform(0.28, 0.48)
    area = (*rng.uniform(-0.15, 0.15, 2), wide, wide)
    if skin.eye:
        area = (skin.eye[0], skin.eye[1] + 0.85 * skin.eye[2], 0.4, 0.22)
    pearl = WHITE * (0.5 + 0.5 * skin.tone)
    for x, y, radius in _scatter(rng, count, (0.022, 0.042), area, 1.2):
        where, d = _spot(skin, x, y, radius, 1.5)
        _tint(skin, _ramp(d, 1.5, 1.0) * 0.25, 0.7 * skin.tone, where)
        _tint(skin, _ramp(d, 1.05, 0.7) * (0.65 + 0.3 * skin.severity), pearl, where)
        skin.relief[where] += radius * 0.7 * _ramp(d, 1.15, 0.0)


def _rosacea(skin: Skin, rng: Generator) -> None:
    """Redden a wide area and thread branching vessels through it."""
    x, y = rng.uniform(-0.2, 0.2, 2)
    flush = _patch(rng, skin, x, y, rng.uniform(0.36, 0.52), 0.6, 0.15)
    _tint(skin, flush * (0.35 + 0.4 * skin.severity), _red(skin, 1.1))
    lines = []
    for _ in range(int(rng.integers(7, 11) + 8 * skin.severity)):
        a, b = x + rng.normal(0, 0.22), y + rng.normal(0, 0.22)
        angle = rng.uniform(0, 2 * math.pi)
        stem = _walk(rng, a, b, angle, 0.035, 9, rng.uniform(0.010, 0.016), 0.25)
        lines.append(stem)
        for a, b, width in (stem[3], stem[6]):
            turn = angle + rng.choice([-0.9, 0.9])
            lines.append(_walk(rng, a, b, turn, 0.028, 6, 0.75 * width, 0.25))
    _tint(skin, _strokes(skin, lines) * (0.5 + 0.35 * skin.severity), 0.72 * _red(skin, 1.5))


def _tinea_versicolor(skin: Skin, rng: Generator) -> None:
    """Strew many scaly spots, paler or darker than the skin, that partly merge."""
    shape, count = skin.x.shape, int(rng.integers(14, 22) + 16 * skin.severity)
    area = (*rng.uniform(-0.15, 0.15, 2), 0.6, 0.6)
    nearest = np.full(shape, 9.0)
    for x, y, radius in _scatter(rng, count, (0.042, 0.095), area, 0.72):
        where, d = _spot(skin, x, y, radius, 1.8, rng.uniform(1, 1.3), rng.uniform(0, 3))
        nearest[where] = np.minimum(nearest[where], d)
    mask = _ramp(nearest + 0.12 * _noise(rng, shape, 16, 32), 1.15, 0.8)
    paler = rng.uniform() < (0.7 if skin.tone[0] < 0.7 else 0.3)
    colour = 0.6 * skin.tone + 0.4 * WHITE if paler else skin.tone * np.array([0.70, 0.58, 0.50])
    _tint(skin, mask * (0.5 + 0.45 * skin.severity), colour)
    scale = _ramp(_noise(rng, shape, 44, 80), 0.4, 1.4) * mask
    _tint(skin, 0.4 * scale, WHITE * _glow(skin))
    skin.relief += 0.006 * (0.9 * scale + 0.6 * mask)


def _vitiligo(skin: Skin, rng: Generator) -> None:
    """Bleach a few large patches with sharp, scalloped borders."""
    count = int(rng.integers(1, 4))
    size = rng.uniform(0.26, 0.36) / math.sqrt(count)
    nearest = np.full(skin.x.shape, 9.0)
    for x, y, radius in _scatter(rng, count, (0.7 * size, 1.2 * size), (0, 0, 0.34, 0.34), 1.1):
        for k in range(9):  # lobes around the middle give the border its scallops
            angle, away = 0.7 * k + rng.uniform(-0.3, 0.3), radius * rng.uniform(0.2, 0.8)
            a, b = x + away * math.cos(angle), y + away * math.sin(angle)
            stretch, turn = rng.uniform(1, 1.5), rng.uniform(0, 3)
            where, d = _spot(skin, a, b, radius * rng.uniform(0.35, 0.65), 1.5, stretch, turn)
            nearest[where] = np.minimum(nearest[where], d)
    nearest += 0.09 * _noise(rng, nearest.shape, 12, 24, 48)
    mask = _ramp(nearest, 1.06, 0.94)
    _tint(skin, 0.45 * _band(nearest - 1.15, 0.2) * (1 - mask), 0.65 * skin.tone)
    pale = 0.2 * skin.tone + 0.8 * np.array([0.98, 0.91, 0.87])
    _tint(skin, mask * (0.6 + 0.4 * skin.severity), pale)


def _wrinkles(skin: Skin, rng: Generator) -> None:
    """Fold the skin into several creases that run nearly side by side."""
    u, v = _turn(skin.x, skin.y, rng.normal(0, 0.5))
    count = int(rng.integers(4, 6) + 4 * skin.severity)
    gap = rng.uniform(0.75, 1.0) / count
    bend, middle = rng.uniform(-0.35, 0.35), rng.uniform(-0.2, 0.2)
    v = v - bend * (u - middle) ** 2 - 0.012 * _noise(rng, u.shape, 5, 10)
    for k in range(count):
        at = (k - (count - 1) / 2) * gap + rng.normal(0, 0.12 * gap)
        reach, width = rng.uniform(0.4, 0.75), rng.uniform(0.018, 0.034)
        crease = _band(v - at - rng.normal(0, 0.05) * u, width)
        crease *= _ramp(np.abs(u - rng.uniform(-0.15, 0.15)), reach, 0.6 * reach)
        skin.relief -= width * crease * (0.7 + 0.5 * skin.severity)
        _tint(skin, 0.4 * crease * crease, 0.45 * skin.tone)


SIGNS = {
    "acne": _acne,
    "actinic_keratosis": _actinic_keratosis,
    "dark_circles": _dark_circles,
    "herpes": _herpes,
    "melasma": _melasma,
    "milia": _milia,
    "normal_skin": _distract,  # more of what may be on any skin, and nothing else
    "rosacea": _rosacea,
    "tinea_versicolor": _tinea_versicolor,
    "vitiligo": _vitiligo,
    "wrinkles": _wrinkles,
}
CLASS_NAMES = tuple(SIGNS)
# Where an eye or a mouth belongs to the signs, other classes have one often enough to mislead.
EYE_CHANCE = {"dark_circles": 1.0, "normal_skin": 0.15, "milia": 0.25, "wrinkles": 0.15}
MOUTH_CHANCE = {"herpes": 0.5}


# --- From the scene to the picture ----------------------------------------------------------------


def _blur(plane: np.ndarray, sigma: float) -> np.ndarray:
    """Blur `(height, width)` with five taps each way, enough for `sigma` up to 1.1."""
    near, far = (math.exp(-((k / sigma) ** 2) / 2) for k in (1, 2))
    middle = 1 / (1 + 2 * near + 2 * far)
    near, far = near * middle, far * middle
    for _ in range(2):  # down, then across
        p = np.pad(plane, ((2, 2), (0, 0)), mode="edge")
        plane = middle * plane
        plane += near * (p[1:-3] + p[3:-1])
        plane += far * (p[:-4] + p[4:])
        plane = plane.T
    return plane


def _photograph(skin: Skin, rng: Generator) -> np.ndarray:
    """Return the scene as pixels `(height, width, 3)`, uint8: light, colour cast, blur, noise."""
    down, right = np.gradient(skin.relief, 1 / skin.side)
    facing = -(right * skin.light[0] + down * skin.light[1])
    fall = skin.x * skin.light[0] + skin.y * skin.light[1]
    light = 1 + np.clip(rng.uniform(0.22, 0.36) * facing, -0.55, 0.45)
    light *= rng.uniform(0.80, 0.97) * (1 + rng.uniform(0, 0.45) * fall)
    warm = rng.normal(0, 0.03)
    cast = rng.normal([1 + warm, 1, 1 - warm], 0.012)
    sigma, grain = rng.uniform(0.35, 0.85), rng.uniform(0.008, 0.018)
    noise = rng.normal(0, 255 * grain, skin.x.shape)
    pixels = np.empty((*skin.x.shape, 3), dtype=np.uint8)
    for k in range(3):
        plane = skin.albedo[k] * light
        plane += skin.gloss
        plane = _blur(plane, sigma)
        plane *= 255 * cast[k]
        plane += noise
        np.clip(plane, 0, 255, out=plane)
        pixels[..., k] = np.rint(plane, out=plane)
    return pixels


def draw(class_name: str, rng: Generator) -> Image.Image:
    """Draw one picture.

    Args:
        class_name: one of `CLASS_NAMES`.
        rng: a `numpy.random.Generator`; its state decides the picture.

    Returns:
        An RGB `PIL.Image.Image` of 96 to 640 pixels a side.

    Raises:
        ValueError: the class is unknown.
    """
    if class_name not in SIGNS:
        near = difflib.get_close_matches(str(class_name), CLASS_NAMES, n=1, cutoff=0)[0]
        raise ValueError(
            f"The sample set has no class {class_name!r}; the nearest is {near!r}. "
            f"It has: {', '.join(CLASS_NAMES)}."
        )
    skin = _bare_skin(rng)
    if rng.uniform() < EYE_CHANCE.get(class_name, 0.08):
        x, y = rng.uniform(-0.15, 0.15), rng.uniform(-0.18, 0.04)
        skin.eye = (x, y, rng.uniform(0.25, 0.36), rng.normal(0, 0.12))
    _distract(skin, rng)
    SIGNS[class_name](skin, rng)
    if skin.eye:
        _draw_eye(skin, rng)
    elif rng.uniform() < MOUTH_CHANCE.get(class_name, 0.12):
        _draw_mouth(skin, rng)
    if rng.uniform() < 0.2:
        _draw_hair(skin, rng)
    return Image.fromarray(_photograph(skin, rng))


# --- A defect for each class ----------------------------------------------------------------------

MOST_PER_CLASS = 10_000
PLANTED_NUMBER = MOST_PER_CLASS  # the number of a class's planted file, above all others
PICTURE_NAME = re.compile(rf"(\w+)/\1_(\d{{4}}|{PLANTED_NUMBER})\.jpg")
PLANTED = {
    "acne": "cut short: the second half of the file is missing",
    "actinic_keratosis": "blurred",
    "dark_circles": "dark_circles_0000.jpg, mirrored",
    "herpes": "empty: 0 bytes",
    "melasma": "a moving picture",
    "milia": "dark",
    "normal_skin": "a web page that is named like a picture",
    "rosacea": "one picture in two classes: the same file as acne/acne_0000.jpg",
    "tinea_versicolor": "tinea_versicolor_0000.jpg, scaled down and compressed again",
    "vitiligo": "vitiligo_0000.jpg, turned by 12 degrees and cropped",
    "wrinkles": "stored lying down; the EXIF orientation in it, 6, tells how to turn it",
}


def _planted_file(class_name: str, seed: int) -> bytes:
    """Return the content of a class's planted file, made of a picture of its own or the first."""
    own = _draw_numbered(class_name, PLANTED_NUMBER, seed)
    first = _draw_numbered("acne" if class_name == "rosacea" else class_name, 0, seed)
    match class_name:
        case "acne":
            content = _jpeg(own)
            return content[: len(content) // 2]
        case "actinic_keratosis":
            return _jpeg(own.resize((24, 24)).resize(own.size))
        case "dark_circles":
            return _jpeg(ImageOps.mirror(first))
        case "herpes":
            return b""
        case "melasma":
            moving = io.BytesIO()
            own.save(moving, format="GIF", save_all=True, append_images=[ImageOps.mirror(own)])
            return moving.getvalue()
        case "milia":
            shape = (own.height, own.width, 1)
            noise = np.random.default_rng(seed).integers(0, 10, shape, dtype=np.uint8)
            return _jpeg(Image.fromarray(np.asarray(own) // 8 + noise))
        case "normal_skin":
            return b"<!DOCTYPE html>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n"
        case "rosacea":
            return _jpeg(first)
        case "tinea_versicolor":
            return _jpeg(first.resize((first.width * 2 // 3, first.height * 2 // 3)), quality=40)
        case "vitiligo":
            turned = first.rotate(12, Image.Resampling.BICUBIC)
            return _jpeg(ImageOps.crop(turned, round(0.12 * max(first.size))))
        case "wrinkles":
            exif = Image.Exif()
            exif[ExifTags.Base.Orientation] = 6  # a viewer turns it a quarter to the right
            return _jpeg(own.rotate(90, expand=True), exif=exif)
    raise ValueError(f"The class {class_name!r} has no planted file.")


# --- The folder -----------------------------------------------------------------------------------


def is_sample(folder: str | Path) -> bool:
    """Tell whether `folder` is a sample set: whether `write_sample`'s marker file is there."""
    return (Path(folder) / MARKER).is_file()


def _picture_name(class_name: str, number: int) -> str:
    """Return the path of a picture in a sample set."""
    return f"{class_name}/{class_name}_{number:04d}.jpg"


def earlier_pictures(
    folder: Path, kind: str, title: str, folder_name: str, picture_name: re.Pattern
) -> list[Path]:
    """Return the pictures of an earlier set of drawn pictures, which may be replaced.

    Args:
        folder: of the set.
        kind: of set, such as "a sample set", for messages.
        title: the first words of its marker file.
        folder_name: a regular expression for the folders in it.
        picture_name: the same for its pictures, from the set's folder.

    Raises:
        ValueError: `folder` is a file, or there is anything else in it.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; {kind} needs a folder.")
    marker = folder / MARKER
    ours = marker.is_file() and marker.read_bytes().startswith(title.encode())
    pictures = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if re.search(r"(^|/)\.", name):
            continue  # hidden files (.DS_Store and the like) stay where they are
        if ours and path.is_file() and picture_name.fullmatch(name):
            pictures.append(path)
        elif path.is_symlink() or not (
            ours and (name == MARKER or re.fullmatch(folder_name, name))
        ):
            raise ValueError(
                f"{folder} holds something that is not part of {kind} ({name}), and {kind} never "
                "mixes with other files. Name a folder that is empty or not there yet."
            )
    return pictures


def write_sample(
    folder: str | Path,
    images_per_class: int = 40,
    seed: int = 0,
    defects: bool = True,
    class_names: Sequence[str] = (),
) -> Path:
    """Write the sample set as a folder of class folders, `CLASS/CLASS_0000.jpg` and so on.

    Picture k of a class depends on `seed`, class and k alone: a larger set holds the smaller one.
    An earlier sample set in `folder` is replaced.

    Args:
        folder: where to write; made if it is not there.
        images_per_class: 1..10000.
        seed: 0 or more.
        defects: whether each class gets one more file, `CLASS/CLASS_10000.jpg`, with a defect that
            collections of photos have. `SAMPLE.txt` in the folder lists what is wrong with each.
        class_names: some of `CLASS_NAMES`; none names all.

    Returns:
        The folder as a `Path`.

    Raises:
        ValueError: a number is out of range, a class is not drawn here, or `folder` holds anything
            but a sample set.
    """
    folder, class_names = Path(folder), class_names or CLASS_NAMES
    if unknown := sorted(set(class_names) - set(CLASS_NAMES)):
        raise ValueError(
            f"There is no drawn class {unknown[0]!r}. There are: {', '.join(CLASS_NAMES)}."
        )
    if not 1 <= images_per_class <= MOST_PER_CLASS or seed < 0:
        raise ValueError(
            f"The sample set takes 1 to {MOST_PER_CLASS} images_per_class and a seed of 0 or more, "
            f"not {images_per_class} and {seed}."
        )
    names = "|".join(CLASS_NAMES)
    stale = set(earlier_pictures(folder, "a sample set", TITLE, names, PICTURE_NAME))
    folder.mkdir(parents=True, exist_ok=True)
    # The marker comes first, so that a set whose writing was cut short can be written again.
    notes = "\n".join(_notes(class_names if defects else ()))
    (folder / MARKER).write_text(notes + "\n", encoding="utf-8")
    for name in class_names:
        (folder / name).mkdir(exist_ok=True)
        for k in range(images_per_class):
            path = folder / _picture_name(name, k)
            path.write_bytes(_jpeg(_draw_numbered(name, k, seed)))
            stale.discard(path)
        if defects:
            path = folder / _picture_name(name, PLANTED_NUMBER)
            path.write_bytes(_planted_file(name, seed))
            stale.discard(path)
    for path in stale:
        path.unlink()
    return folder


def _notes(with_defects: Sequence[str]) -> list[str]:
    """Return the lines of `SAMPLE.txt`: one for each planted file, after what the set is."""
    lines = [f"{TITLE}.", NOTICE]
    if with_defects:
        lines += ["", "One file of each class was given a defect, for you to find:"]
        lines += [f"{_picture_name(n, PLANTED_NUMBER)}: {PLANTED[n]}" for n in with_defects]
    return lines


def _draw_numbered(class_name: str, number: int, seed: int) -> Image.Image:
    """Draw the picture of a set that has this number in its class."""
    index = CLASS_NAMES.index(class_name)
    return draw(class_name, np.random.default_rng([seed, index, number]))


def _jpeg(picture: Image.Image, quality: int = 90, **options: object) -> bytes:
    """Return a picture as the content of a JPEG file."""
    content = io.BytesIO()
    picture.save(content, format="JPEG", quality=quality, **options)
    return content.getvalue()

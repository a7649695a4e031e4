"""Drawn textures that belong to no class."""

from collections.abc import Iterable
import functools

import numpy as np
from numpy.random import Generator

IMAGE_SIZE = 96
# How far a mark's colour lies from its ground's, in lightness, redness and yellowness together.
CONTRAST = (0.22, 0.9)
Points = Iterable[np.ndarray]


@functools.cache
def _canvas(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return x and y in -1..1, (size, size), and how many waves of each FFT bin fit in."""
    axis = (np.arange(size, dtype="float32") + 0.5) * 2 / size - 1
    y, x = np.meshgrid(axis, axis, indexing="ij")
    fy, fx = np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij")
    return x, y, fx.astype("float32") * size, fy.astype("float32") * size


def _log_uniform(rng: Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _step(values: np.ndarray, softness: float) -> np.ndarray:
    """Turn signed values into 0..1, with a border as wide as `softness`."""
    t = np.clip(values / softness + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def _noise(
    rng: Generator, size: int, roughness: float = 2.0, low: float = 1.0, band: float | None = None
) -> np.ndarray:
    """Return noise (size, size) of mean 0 and deviation 1 whose amplitude falls as f**-roughness.

    `low` is where the fall begins, in waves per picture; `band` keeps only frequencies
    near that one.
    """
    _, _, fx, fy = _canvas(size)
    frequency = np.sqrt(fx**2 + fy**2)
    if band:
        amplitude = np.exp(-(((frequency - band) / (0.25 * band)) ** 2))
    else:
        # The same as frequency ** -roughness, five times as fast.
        amplitude = np.exp(np.log(np.maximum(frequency, low)) * np.float32(-roughness))
    amplitude[0, 0] = 0
    white = rng.standard_normal((*frequency.shape, 2), dtype="float32").view("complex64")[..., 0]
    field = np.fft.irfft2(amplitude * white, s=(size, size))
    return field / (field.std() + 1e-9)


def _scatter(rng: Generator, count: int, arrangement: str) -> np.ndarray:
    """Return `count` points (count, 2) in about -1..1: scattered, clustered, lattice or chain."""
    if arrangement == "clustered":
        centres = rng.uniform(-0.7, 0.7, (rng.integers(1, 4), 2))
        spread = rng.uniform(0.1, 0.3)
        return centres[rng.integers(len(centres), size=count)] + rng.normal(0, spread, (count, 2))
    if arrangement == "lattice":
        side = int(np.ceil(np.sqrt(count)))
        rows, columns = np.divmod(np.arange(side * side), side)
        points = np.stack([columns + 0.5 * (rows % 2), rows], axis=1) * 2.4 / side - 1.1
        return points + rng.normal(0, 0.03, points.shape)
    if arrangement == "chain":
        t = np.linspace(-1, 1, count)
        points = np.stack([t, rng.uniform(0, 0.6) * np.sin(rng.uniform(1, 4) * t)], axis=1)
        return points + rng.normal(0, 0.02, points.shape)
    return rng.uniform(-1.05, 1.05, (count, 2))


def _distances(
    x: np.ndarray, y: np.ndarray, points: np.ndarray, radii: np.ndarray | float
) -> np.ndarray:
    """Return each pixel's squared distance to each point, in radii, (pixels, points)."""
    # |p|**2 - 2 p.q + |q|**2 as one product of matrices is far faster than a loop over points.
    x, y = x.ravel().astype("float32"), y.ravel().astype("float32")
    pixels = np.stack([x * x + y * y, x, y, np.ones_like(x)], axis=1)
    factors = np.stack([np.ones(len(points)), *(-2 * points.T), (points**2).sum(1)]) / radii**2
    return pixels @ factors.astype("float32")


def _bar(u: np.ndarray, v: np.ndarray, width: float) -> np.ndarray:
    return np.minimum(1 - np.abs(u), width - np.abs(v))


# Each takes a mark's own coordinates u, v (its rim lies about 1 from its centre), a noise field and
# a generator, and returns values above 0 inside the mark.
MARKS = {
    "disc": lambda u, v, noise, rng: 1 - np.hypot(u, v),
    "ring": lambda u, v, noise, rng: rng.uniform(0.1, 0.25) - np.abs(np.hypot(u, v) - 0.75),
    "target": lambda u, v, noise, rng: np.minimum(
        1 - np.hypot(u, v), 0.3 * np.cos(np.hypot(u, v) * np.pi * rng.integers(3, 6))
    ),
    "crescent": lambda u, v, noise, rng: np.minimum(
        1 - np.hypot(u, v), np.hypot(u - 0.45, v) - rng.uniform(0.7, 0.9)
    ),
    "star": lambda u, v, noise, rng: (
        0.8 - np.hypot(u, v) * (1 + 0.45 * np.cos(rng.integers(4, 7) * np.arctan2(v, u)))
    ),
    "dash": lambda u, v, noise, rng: _bar(u, v, rng.uniform(0.12, 0.25)),
    "ragged": lambda u, v, noise, rng: 1 - np.hypot(u, v) + rng.uniform(0.2, 0.5) * noise,
    "mottled": lambda u, v, noise, rng: np.minimum(1 - np.hypot(u, v), 0.4 * noise + 0.1),
}

# Marks told apart by how they are arranged or shaded: (shape, arrangement, size, shading).
ARRANGED = {
    "dome": ("disc", "scattered", None, "dome"),
    "glow": ("disc", "scattered", None, "glow"),
    "cluster": ("disc", "clustered", "small", None),
    "dome_cluster": ("disc", "clustered", "small", "dome"),
    "chain": ("disc", "chain", None, None),
    "dust": ("disc", "scattered", "dust", None),
    "hatching": ("dash", "lattice", None, "aligned"),
}


def _draw_marks(name: str, x: np.ndarray, y: np.ndarray, rng: Generator) -> np.ndarray:
    shape, arrangement, scale, shading = ARRANGED.get(name, (name, None, None, None))
    if arrangement is None:
        arrangement = rng.choice(["scattered", "clustered", "lattice"], p=[0.6, 0.25, 0.15])
    count = round(_log_uniform(rng, 1, 24))
    if scale or arrangement in ("lattice", "chain"):
        count = int(rng.integers(9, 60))
    if scale == "dust":
        count = int(rng.integers(60, 200))
    points = _scatter(rng, count, arrangement)
    coverage = _log_uniform(rng, 0.08, 0.5) * (0.4 if arrangement in ("chain", "clustered") else 1)
    radius = np.clip(np.sqrt(4 * coverage / (np.pi * len(points))), 0.12, 0.8)
    if scale == "dust":
        radius = rng.uniform(0.03, 0.05)
    if shape not in ("disc", "ragged"):
        radius = max(radius, 0.18)  # below five pixels every shape is a disc
    radii = radius * np.exp(rng.normal(0, rng.uniform(0, 0.4), len(points)))
    angles = rng.uniform(0, 2 * np.pi, len(points))
    if shading == "aligned" or rng.random() < 0.3:
        angles = angles[0] + rng.normal(0, 0.1, len(points))
    strength = rng.uniform(rng.uniform(0.6, 1), 1, len(points))

    # A pixel belongs to the mark it is deepest in, and is seen in that mark's own coordinates.
    index = _distances(x, y, points, radii).argmin(1).reshape(x.shape)
    dx, dy = x - points[index, 0], y - points[index, 1]
    cos, sin = (np.cos(angles) / radii)[index], (np.sin(angles) / radii)[index]
    u, v = dx * cos + dy * sin, dy * cos - dx * sin
    if shading == "dome":
        return np.sqrt(np.maximum(1 - u * u - v * v, 0)) * strength[index]
    if shading == "glow":
        return np.exp(-2.5 * (u * u + v * v)) * strength[index]
    noise = _noise(rng, len(x), rng.uniform(1, 2.2), low=rng.uniform(3, 12))
    inside = MARKS[shape](u, v, noise, rng)
    pixel = 2 / len(x) / radius
    return _step(inside, max(pixel, _log_uniform(rng, 0.05, 0.9))) * strength[index]


def _lines(distance: np.ndarray, width: float) -> np.ndarray:
    """Draw lines where `distance` is near 0, at least about a pixel wide."""
    return np.clip(1.5 - np.abs(distance) / width, 0, 1)


def _segments(
    x: np.ndarray, y: np.ndarray, starts: Points, ends: Points, widths: Iterable[float]
) -> np.ndarray:
    """Draw straight segments from `starts` to `ends`, both (count, 2), with tapering widths."""
    alpha = np.zeros_like(x)
    for start, end, width in zip(starts, ends, widths, strict=True):
        along = end - start
        t = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / (along @ along + 1e-9)
        t = np.clip(t, 0, 1)
        distance = np.hypot(x - start[0] - t * along[0], y - start[1] - t * along[1])
        alpha = np.maximum(alpha, _lines(distance, width))
    return alpha


def _tree(x: np.ndarray, y: np.ndarray, rng: Generator) -> np.ndarray:
    """Grow a branching line."""
    tips = [(rng.uniform(-0.9, 0.9, 2), rng.uniform(0, 2 * np.pi), rng.uniform(0.04, 0.07))]
    starts: list[np.ndarray] = []
    ends: list[np.ndarray] = []
    widths: list[float] = []
    while tips and len(starts) < 28:
        start, angle, width = tips.pop(0)
        end = start + rng.uniform(0.2, 0.45) * np.array([np.cos(angle), np.sin(angle)])
        starts.append(start)
        ends.append(end)
        widths.append(width)
        for turn in rng.normal(0, 0.6, rng.integers(1, 4)):
            tips.append((end, angle + turn, max(0.8 * width, 0.025)))
    return _segments(x, y, starts, ends, widths)


def _scratches(x: np.ndarray, y: np.ndarray, rng: Generator) -> np.ndarray:
    """Draw a few straight lines in any direction."""
    count = rng.integers(3, 14)
    starts, angles = rng.uniform(-1, 1, (count, 2)), rng.uniform(0, np.pi, count)
    reach = rng.uniform(0.3, 1.6, (count, 1)) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return _segments(x, y, starts - reach / 2, starts + reach / 2, rng.uniform(0.02, 0.045, count))


def _threads(x: np.ndarray, y: np.ndarray, rng: Generator) -> np.ndarray:
    """Draw a few long bent lines that run about the same way and fade at their ends."""
    alpha = np.zeros_like(x)
    bend, wave, phase = rng.uniform(0, 0.25), rng.uniform(1, 4), rng.uniform(0, 6)
    for _ in range(rng.integers(2, 10)):
        middle, offset = rng.uniform(-0.7, 0.7), rng.uniform(-1, 1)
        distance = y - offset - bend * np.sin(wave * x + phase + rng.normal(0, 0.3))
        fade = np.exp(-(((x - middle) / rng.uniform(0.3, 1)) ** 2))
        alpha = np.maximum(alpha, _lines(distance, rng.uniform(0.03, 0.06)) * fade)
    return alpha


def _wave(values: np.ndarray, rng: Generator) -> np.ndarray:
    """Turn a phase, counted in turns, into stripes of random width and softness."""
    return _step(np.cos(2 * np.pi * values) - rng.uniform(-0.6, 0.6), rng.uniform(0.3, 2))


def _scales(x: np.ndarray, y: np.ndarray, rng: Generator) -> np.ndarray:
    """Draw rows of overlapping round scales, each shaded towards its rim."""
    period = rng.uniform(0.15, 0.5)
    shade = np.zeros_like(x)
    for row in np.arange(-1.6, 1.6, period / 2):
        shift = period / 2 * (round(row / (period / 2)) % 2)
        reach = np.hypot((x - shift + period / 2) % period - period / 2, (y - row))
        shade = np.where(reach < 0.56 * period, reach / (0.56 * period), shade)
    return shade**2


# Each takes x, y and a generator; lines first, then regular patterns.
LINES = {
    "stripes": lambda x, y, rng: _wave(x / _log_uniform(rng, 0.07, 0.6), rng),
    "waves": lambda x, y, rng: _wave(
        (x + rng.uniform(0.05, 0.2) * np.sin(rng.uniform(4, 12) * y)) / _log_uniform(rng, 0.1, 0.5),
        rng,
    ),
    "checker": lambda x, y, rng: _step(
        np.sin(x * (k := _log_uniform(rng, 6, 40))) * np.sin(y * k), rng.uniform(0.1, 0.8)
    ),
    "mesh": lambda x, y, rng: np.maximum(
        _lines((x / (p := rng.uniform(0.12, 0.4))) % 1 - 0.5, 0.03 / p),
        _lines((y / p) % 1 - 0.5, 0.03 / p),
    ),
    "concentric": lambda x, y, rng: _wave(
        np.hypot(x - rng.uniform(-0.6, 0.6), y - rng.uniform(-0.6, 0.6)) / rng.uniform(0.1, 0.5),
        rng,
    ),
    "rays": lambda x, y, rng: _wave(
        np.arctan2(x - rng.uniform(-0.6, 0.6), y - rng.uniform(-0.6, 0.6))
        * rng.integers(4, 16)
        / (2 * np.pi),
        rng,
    ),
    "scales": _scales,
    "scratches": _scratches,
    "threads": _threads,
    "branches": _tree,
}


def _cells(kind: str, x: np.ndarray, y: np.ndarray, rng: Generator) -> np.ndarray:
    """Draw Voronoi cells: tinted, cracked apart, rounded like pebbles, or a few flakes of them."""
    count = round(_log_uniform(rng, 8, 110))
    points = _scatter(rng, count, "scattered")
    distances = _distances(x, y, points, 1 / np.sqrt(len(points)))
    index = distances.argmin(1).reshape(x.shape)
    first, second = np.sqrt(np.maximum(np.partition(distances, 1, axis=1)[:, :2], 0)).T
    gap = (second - first).reshape(x.shape)
    tints = rng.random(len(points))
    if kind == "cells":
        return tints[index]
    if kind == "flakes":
        return (tints < rng.uniform(0.1, 0.5))[index] * _step(gap - 0.15, 0.2)
    if kind == "pebbles":
        return np.minimum(gap, 1.2) / 1.2
    return 1 - _step(gap - rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.3))


# Each takes a generator and a size; those of the first rows stay grey, the others have borders.
NOISES = {
    "plain": lambda rng, n: np.zeros((n, n)),
    "clouds": lambda rng, n: _noise(rng, n, rng.uniform(2.2, 3)),
    "marble": lambda rng, n: np.sin(
        _canvas(n)[0] * rng.uniform(4, 15) + 2 * _noise(rng, n, 2, low=2)
    ),
    "labyrinth": lambda rng, n: _step(_noise(rng, n, band=_log_uniform(rng, 4, 16)), 0.6),
    "islands": lambda rng, n: _step(
        _noise(rng, n, rng.uniform(1.8, 2.6), low=2) - rng.uniform(0.2, 1.3), rng.uniform(0.05, 0.3)
    ),
    "blotches": lambda rng, n: _step(
        _noise(rng, n, rng.uniform(2.2, 3), low=2) - rng.uniform(0, 1), rng.uniform(0.8, 2.5)
    ),
}
CELLS = ("cells", "cracks", "pebbles", "flakes")
# A dash is seen only in `hatching`.
FAMILIES = (*(mark for mark in MARKS if mark != "dash"), *ARRANGED, *LINES, *CELLS, *NOISES)


def _draw_alpha(family: str, rng: Generator, size: int) -> np.ndarray:
    """Return how much of the mark's colour each pixel takes, 0..1, float32 (size, size)."""
    x, y, _, _ = _canvas(size)
    angle, zoom = rng.uniform(0, 2 * np.pi), _log_uniform(rng, 0.75, 1.25)
    x, y = (
        zoom * (x * np.cos(angle) - y * np.sin(angle)),
        zoom * (x * np.sin(angle) + y * np.cos(angle)),
    )
    if rng.random() < 0.6:  # bend it a little
        x = x + rng.uniform(0, 0.06) * _noise(rng, size, 2.5, low=2)
        y = y + rng.uniform(0, 0.06) * _noise(rng, size, 2.5, low=2)
    if family in MARKS or family in ARRANGED:
        alpha = _draw_marks(family, x, y, rng)
    elif family in LINES:
        alpha = LINES[family](x + rng.uniform(-0.3, 0.3), y + rng.uniform(-0.3, 0.3), rng)
    elif family in CELLS:
        alpha = _cells(family, x, y, rng)
    else:
        alpha = np.rot90(NOISES[family](rng, size), int(rng.integers(4)))
        low, high = np.percentile(alpha, (1, 99))
        alpha = np.clip((alpha - low) / max(high - low, 1e-6), 0, 1)
    return np.asarray(alpha, "float32")


def _window(rng: Generator, size: int) -> np.ndarray:
    """Return where a pattern shows, 0..1: an ellipse or a blot, soft or sharp at its border."""
    x, y, _, _ = _canvas(size)
    u, v = x - rng.uniform(-0.5, 0.5), y - rng.uniform(-0.5, 0.5)
    reach = np.hypot(u / rng.uniform(0.3, 0.9), v / rng.uniform(0.3, 0.9))
    return _step(1 - reach + rng.uniform(0, 0.3) * _noise(rng, size, 2), _log_uniform(rng, 0.1, 1))


def _ground_colour(rng: Generator) -> np.ndarray:
    """Return a colour 0..1; about two in three lie between pale pink and dark brown."""
    if rng.random() < 0.35:
        return rng.uniform(0.15, 0.95) + rng.normal(0, 0.15, 3)
    t = rng.random()
    colour = (1 - t) * np.array([0.95, 0.8, 0.72]) + t * np.array([0.32, 0.2, 0.14])
    return colour + rng.normal(0, 0.03, 3)


def draw_texture(family: str, rng: Generator, size: int = IMAGE_SIZE) -> np.ndarray:
    """Draw one picture of a family.

    Args:
        family: one of `FAMILIES`.
        rng: a `numpy.random.Generator`; the same state draws the same picture.
        size: side in pixels.

    Returns:
        uint8 (size, size, 3).
    """
    x, y, fx, fy = _canvas(size)
    alpha = _draw_alpha(family, rng, size)
    if rng.random() < 0.15:
        alpha = alpha * _window(rng, size)
    ground = _ground_colour(rng)
    # In lightness, redness, yellowness; most differences are faint, as they are on skin.
    shift = rng.normal(0, 1, 3) * (0.7, 1, 0.7)
    shift *= _log_uniform(rng, *CONTRAST) / np.linalg.norm(shift)
    light, red, yellow = shift
    mark = ground + light + np.array([red / 2 + yellow / 3, yellow / 3 - red / 2, -yellow * 2 / 3])
    mark, ground = np.clip(mark, 0.02, 0.98), np.clip(ground, 0.02, 0.98)

    texture = rng.uniform(0, 0.03) * _noise(rng, size, rng.uniform(0.8, 2.5))
    tint = rng.uniform(0, 0.025) * _noise(rng, size, rng.uniform(1.5, 3))
    ground, mark = ground.astype("float32"), mark.astype("float32")
    picture = ground + texture[..., None] + tint[..., None] * np.array([1, -0.6, -0.4], "float32")
    if rng.random() < 0.1:  # something else, fainter, lies under it
        other = _draw_alpha(FAMILIES[rng.integers(len(FAMILIES))], rng, size)
        faint = rng.normal(0, 0.2, 3) * np.linalg.norm(mark - ground)
        picture += other[..., None] * faint.astype("float32")
    body = alpha * (1 + rng.uniform(0, 0.25) * _noise(rng, size, rng.uniform(0.5, 2)))
    picture += body[..., None] * (mark - ground)

    if family.startswith("dome") or rng.random() < 0.35:
        relief = rng.uniform(0.1, 0.5)
        angle = rng.uniform(0, 2 * np.pi)
        slope_y, slope_x = np.gradient(alpha)
        slope = np.clip(slope_x * np.cos(angle) + slope_y * np.sin(angle), -0.4, 0.4)
        picture += relief * slope[..., None]
    lamp = rng.uniform(0, 0.25) * (x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1))
    picture *= (1 + lamp - rng.uniform(0, 0.12) * (x * x + y * y))[..., None]
    if rng.random() < 0.4:
        width = rng.uniform(0.3, 1.3) / size  # of a Gaussian, by its Fourier transform
        damp = np.exp(-2 * (np.pi * width) ** 2 * (fx**2 + fy**2))[..., None]
        picture = np.fft.irfft2(np.fft.rfft2(picture, axes=(0, 1)) * damp, (size, size), (0, 1))
    grain = rng.uniform(0, 0.025) * (rng.random() < 0.7)
    picture = picture + grain * rng.standard_normal((size, size, 1), dtype="float32")

    return np.clip(picture * 255 + 0.5, 0, 255).astype("uint8")

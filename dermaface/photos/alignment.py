"""Lay one photo over another, and tell whether the two look the same wherever they overlap."""

import contextlib
import math
from pathlib import Path
from typing import NamedTuple

import cv2
from dermaface.photos import keypoints
from dermaface.photos.pixels import decode_image
import numpy as np

WINDOW = 25  # pixels; levels are compared within squares of this side, whatever their brightness
TEXTURE = 5.0  # grey levels; a window whose levels spread less shows nothing to compare
ALIKE = 0.8  # correlation from which a window looks the same
UNLIKE = 0.5  # share of windows that look the same, below which colours are not compared
LEVELS = 20.0  # colour levels from which a pixel is of another colour
STROKE = 9  # pixels; what is narrower may be writing
REFINING = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 15, 1e-3)


class Picture(NamedTuple):
    """A small picture, its longer side `keypoints.SIDE`, and what of it shows something."""

    colour: np.ndarray  # uint8 (height, width, 3), RGB
    grey: np.ndarray  # uint8 (height, width)
    shown: np.ndarray  # uint8 (height, width), 1 or 0: see `keypoints.content_mask`


class Overlap(NamedTuple):
    """What two photos have in common."""

    alike: float  # share of the windows with texture that look the same, 0..1
    patches: float  # share of the overlap in patches of another colour, 0..1; 1 if not compared
    first: float  # share of the first photo that the second shows, 0..1
    second: float  # share of the second photo that the first shows, 0..1
    brighter: float  # grey levels by which the second is brighter


NO_OVERLAP = Overlap(0.0, 1.0, 0.0, 0.0, 0.0)


def load_picture(path: Path) -> Picture:
    """Read a photo, upright, its longer side scaled to `keypoints.SIDE`.

    Raises:
        ValueError: as `decode_image`.
    """
    pixels = decode_image(path, at_least=keypoints.SIDE)
    height, width = pixels.shape[:2]
    scale = keypoints.SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    colour = cv2.resize(pixels, size, interpolation=how)
    grey = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)
    return Picture(colour, grey, keypoints.content_mask(grey))


def mirror(picture: Picture) -> Picture:
    """Return the mirror image."""
    return Picture(*(np.ascontiguousarray(part[:, ::-1]) for part in picture))


def compare(first: Picture, second: Picture, transform: np.ndarray, exact: bool = False) -> Overlap:
    """Lay two photos over each other and compare all that both show.

    The finer one is laid over the coarser, and the transform refined on the pixels (Evangelidis and
    Psarakis 2008). Then small windows are compared by the correlation of their grey levels, so
    that brightness, contrast and tint do not matter; windows without texture say nothing. Writing
    across a photo spoils many windows, but it is thin. So the colours are compared as well, after
    fitting each channel of one photo to that of the other: another subject shows as broad patches.

    Args:
        first: one photo.
        second: the other.
        transform: from places in the first to places in the second, (2, 3).
        exact: whether to compare colours even where few windows look the same.
    """
    scale = math.hypot(transform[0, 0], transform[1, 0])
    if scale > 1:
        other = compare(second, first, cv2.invertAffineTransform(transform), exact)
        return other._replace(first=other.second, second=other.first, brighter=-other.brighter)
    height, width = second.grey.shape

    def lay(picture: np.ndarray, how: int = cv2.INTER_LINEAR) -> np.ndarray:
        return cv2.warpAffine(picture, transform, (width, height), flags=how)

    common = lay(first.shown, cv2.INTER_NEAREST) & second.shown
    if common.sum() < WINDOW**2:
        return NO_OVERLAP
    # Smooth the finer one as scaling down does.
    sigma = 0.5 * math.sqrt(max(1 / scale**2 - 1, 0.25))
    grey, colour = (cv2.GaussianBlur(part, (0, 0), sigma) for part in (first.grey, first.colour))
    # Where two photos have too little in common to be brought nearer, the windows will say so.
    with contextlib.suppress(cv2.error):
        start = cv2.invertAffineTransform(transform).astype(np.float32)
        _, back = cv2.findTransformECC(
            second.grey, grey, start, cv2.MOTION_AFFINE, REFINING, 255 * common, 5
        )
        transform = cv2.invertAffineTransform(back)
    common = lay(first.shown, cv2.INTER_NEAREST) & second.shown
    scale = math.sqrt(abs(np.linalg.det(transform[:, :2])))
    whole = common.sum()
    nine = np.ones((9, 9), np.uint8)
    common = cv2.erode(common, nine, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    inside = common > 0
    if inside.sum() < WINDOW**2:
        return NO_OVERLAP
    laid, under = (cv2.GaussianBlur(part, (0, 0), 0.7) for part in (lay(grey), second.grey))
    correlation, spread = _correlate(laid, under, common)
    telling = inside & (spread > TEXTURE)
    if telling.sum() < WINDOW**2:
        return NO_OVERLAP
    alike = float((correlation[telling] > ALIKE).mean())
    return Overlap(
        alike=alike,
        patches=_patches(lay(colour), second.colour, inside) if exact or alike >= UNLIKE else 1.0,
        first=min(1.0, float(whole / (first.shown.sum() * scale**2))),
        second=min(1.0, float(whole / second.shown.sum())),
        brighter=float(under[inside].mean() - laid[inside].mean()),
    )


def _correlate(
    first: np.ndarray, second: np.ndarray, common: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return, around each pixel, the correlation of two grey pictures and the larger spread."""
    weight = common.astype(np.float32)
    total = np.maximum(cv2.blur(weight, (WINDOW, WINDOW)), 1e-3)

    def mean(levels: np.ndarray) -> np.ndarray:
        return cv2.blur(levels * weight, (WINDOW, WINDOW)) / total

    one, other = first.astype(np.float32), second.astype(np.float32)
    spreads = [np.maximum(mean(x * x) - mean(x) ** 2, 0) for x in (one, other)]
    together = mean(one * other) - mean(one) * mean(other)
    # A variance of 4 is about what compression adds.
    correlation = together / np.sqrt((spreads[0] + 4) * (spreads[1] + 4))
    return correlation, np.sqrt(np.maximum(*spreads))


def _patches(first: np.ndarray, second: np.ndarray, inside: np.ndarray) -> float:
    """Return the share of the overlap that is of another colour, thin strokes left out."""
    apart = np.zeros(inside.shape, np.float32)
    for channel in range(3):
        one, other = (
            cv2.GaussianBlur(picture[:, :, channel].astype(np.float32), (0, 0), 1)
            for picture in (first, second)
        )
        levels, wanted = one[inside].astype(float), other[inside].astype(float)
        fits = np.ones(len(levels), bool)
        for _ in range(4):  # a line through most pixels, whatever the others are
            variance = levels[fits].var()
            gain = np.cov(levels[fits], wanted[fits], bias=True)[0, 1] / max(variance, 1e-6)
            offset = wanted[fits].mean() - gain * levels[fits].mean()
            errors = np.abs(wanted - gain * levels - offset)
            fits = errors <= 1.5 * np.median(errors) + 1
        apart = np.maximum(apart, np.abs(other - gain * one - offset))
    patches = ((apart > LEVELS) & inside).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (STROKE, STROKE))
    return float(cv2.morphologyEx(patches, cv2.MORPH_OPEN, disc).sum() / inside.sum())

"""Key points of photos: what they look like, which photos have the most in common, and where.

A key point is a blob that can be found again after a photo was scaled, turned or recoloured (SIFT,
Lowe 2004), with a descriptor of what lies around it (compared by square roots, as Arandjelovic and
Zisserman 2012 advise). Nothing here knows of files, classes or splits.
"""

import concurrent.futures
import math
from typing import NamedTuple

import cv2
from dermaface.processors import count_processors
import numpy as np
import scipy.sparse

SIDE = 320  # pixels; the longer side of the grey picture in which key points are sought
POINTS = 300  # at most this many of a photo, those of most contrast
CONTRAST = 0.01  # a quarter of SIFT's default, because photos of skin are soft
UNIT = 512  # descriptors have length 1; their parts, in this unit, fit into 8 bits
EDGE = 5  # pixels; key points nearer to a filled border describe that border
FRAME = 0.02  # share of the side from which a band of one level on all four sides is a frame
SAMPLE = 40_000  # descriptors to learn the words from
# Of the words: see `_count_words`. Of six kinds of copies of 150 clothing photos among 6,700, the
# photo is not among the nearest for 49 of 867 with 8 bits and no probes, for 8 with these.
CENTRES, BITS, PARTS, PROBES = 64, 16, 32, 4
NEAREST = 8  # photos that are compared with each photo, and with its mirror image
RATIO = 0.75  # the best match must be this much nearer than the second best
SCALES = 20  # a picture is not laid over another at more than so many times its size
INLIER = 4.0  # pixels, between a matched point and where the transform puts it

# In the mirror, the 4 x 4 cells of a descriptor change sides, and its eight directions turn round.
_MIRROR = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8) % 8].ravel()


class Points(NamedTuple):
    """The key points of several photos, one photo after the other."""

    starts: np.ndarray  # int64 (photos + 1,): where each photo's points begin, and the last end
    widths: np.ndarray  # int64 (photos,): of the grey pictures, in pixels
    places: np.ndarray  # float32 (points, 2): x and y in the grey pictures
    descriptors: np.ndarray  # uint8 (points, 128): square roots, in 1 / `UNIT`


class Match(NamedTuple):
    """The transform that explains most matches between two photos."""

    matches: int
    inliers: int
    transform: np.ndarray  # float64 (2, 3): from places in the first to places in the second
    residual: float = 0.0  # pixels of the coarser one: how far off inliers are, the median
    spread: float = 0.0  # pixels of the second, squared: the area of the inliers' convex hull


def content_mask(grey: np.ndarray) -> np.ndarray:
    """Return where a picture shows something: not in a border or in corners of one colour.

    The corners of a photo that was turned, a frame, or bars at two sides are of one level and
    leave a convex rest. An evenly lit wall behind a subject hardly ever does, and counts as shown.

    Args:
        grey: uint8 (height, width).

    Returns:
        uint8 (height, width), 1 or 0.
    """
    height, width = grey.shape
    filled = np.zeros((height + 2, width + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | 1 << 8
    for x, y in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
        if not filled[y + 1, x + 1]:
            cv2.floodFill(grey, filled, (x, y), 0, 10, 10, flags)
    shown = 1 - filled[1:-1, 1:-1]
    rest = cv2.morphologyEx(shown, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    outlines, _ = cv2.findContours(rest, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not outlines:
        return np.ones_like(grey)
    hull = cv2.fillConvexPoly(np.zeros_like(grey), cv2.convexHull(np.concatenate(outlines)), 1)
    convex = shown[hull == 1].mean() > 0.97
    if convex and 0.1 < hull.mean() < 0.995:
        return hull
    return _inside_frame(grey)


def _inside_frame(grey: np.ndarray) -> np.ndarray:
    """Return 1 within a frame of one level on all four sides, 0 on it; 1 where there is none.

    Here the photo may have the frame's level as well, so that one runs into the other.
    """
    inside = np.ones_like(grey)
    corners = grey[[0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
    if np.ptp(corners) > 20:
        return inside
    near = np.abs(grey - np.median(corners)) <= 12
    for _ in range(2):  # the upper and lower sides, then, transposed, the left and right ones
        along = near.mean(axis=1) > 0.97
        if along.all():
            return np.ones_like(grey)
        first, last = along.argmin(), len(along) - along[::-1].argmin()
        if min(first, len(along) - last) < FRAME * len(along):
            return np.ones_like(grey)
        inside[:first], inside[last:] = 0, 0
        near, inside = near.T, inside.T
    return inside


def find_points(grey: np.ndarray, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places and descriptors of a picture's key points, as in `Points`.

    Args:
        grey: uint8 (height, width).
        shown: as from `content_mask`.
    """
    mask = cv2.erode(
        shown, np.ones((2 * EDGE + 1,) * 2, np.uint8),
        borderType=cv2.BORDER_CONSTANT, borderValue=1,
    )  # fmt: skip
    sift = cv2.SIFT.create(POINTS, contrastThreshold=CONTRAST)
    found, parts = sift.detectAndCompute(grey, mask)
    if not found:
        return np.empty((0, 2), np.float32), np.empty((0, 128), np.uint8)
    # SIFT keeps all points that tie for the last place.
    places = np.array([point.pt for point in found[:POINTS]], np.float32)
    parts = parts[:POINTS]
    roots = np.sqrt(parts / np.maximum(parts.sum(axis=1, keepdims=True), 1))
    return places, np.minimum(np.rint(UNIT * roots), 255).astype(np.uint8)


def mirror(descriptors: np.ndarray) -> np.ndarray:
    """Return the descriptors, (points, 128), that the key points have in the mirror."""
    return descriptors[:, _MIRROR]


def nearest(points: Points) -> set[tuple[int, int, bool]]:
    """Return each photo with the `NEAREST` that share most words with it or its mirror image.

    A word is a kind of descriptor. As in the search of texts (Sivic and Zisserman 2003), a word
    counts the more, the fewer photos have it; photos are compared by the cosine of their counts.

    Args:
        points: of all photos.

    Returns:
        Numbers of photos, a below b, and whether one is compared with the other's mirror image.
    """
    size = len(points.starts) - 1
    if min(size, len(points.descriptors)) < 2:
        return set()
    learned = _learn_words(points)
    blocks = [range(start, min(start + 256, size)) for start in range(0, size, 256)]
    with concurrent.futures.ThreadPoolExecutor(count_processors()) as pool:
        counts = scipy.sparse.vstack(
            list(pool.map(lambda block: _count_words(points, learned, block), blocks))
        ).tocsr()
        used = np.bincount(counts.indices, minlength=counts.shape[1])
        rarity = np.log(size / np.maximum(used, 1)).astype(np.float32)
        index = _weigh(counts, rarity).T.tocsr()

        def ask(block: range, mirrored: bool) -> list[tuple[int, int, bool]]:
            asked = _weigh(_count_words(points, learned, block, mirrored, PROBES), rarity)
            found = (asked @ index).tocsr()
            pairs = []
            for row, number in enumerate(block):
                part = slice(*found.indptr[row : row + 2])
                others, likeness = found.indices[part], found.data[part]
                # Ties are broken by number, so that no order of computing matters.
                best = np.lexsort((others, -likeness))[: NEAREST + 1]
                chosen = [int(other) for other in others[best] if other != number][:NEAREST]
                pairs += [(min(number, other), max(number, other), mirrored) for other in chosen]
            return pairs

        asked = [(block, mirrored) for mirrored in (False, True) for block in blocks]
        return {pair for pairs in pool.map(ask, *zip(*asked, strict=True)) for pair in pairs}


class _Learned(NamedTuple):
    mean: np.ndarray  # (128,)
    axes: np.ndarray  # (128, PARTS): the principal axes of descriptors
    centres: np.ndarray  # (CENTRES, PARTS)


def _learn_words(points: Points) -> _Learned:
    """Learn from a sample of the descriptors what a word is."""
    total = len(points.descriptors)
    generator = np.random.default_rng(0)
    rows = np.sort(generator.choice(total, min(total, SAMPLE), replace=False))
    sample = points.descriptors[rows].astype(np.float32) / UNIT
    mean = sample.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov((sample - mean).T))
    axes = axes[:, ::-1][:, :PARTS].astype(np.float32)
    sample = np.ascontiguousarray((sample - mean) @ axes)
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_COUNT, 20, 0.0)
    kinds, labels = min(CENTRES, len(sample)), np.empty(0, np.int32)
    _, _, centres = cv2.kmeans(sample, kinds, labels, stop, 1, cv2.KMEANS_PP_CENTERS)
    return _Learned(mean, axes, centres)


def _count_words(
    points: Points, learned: _Learned, block: range, mirrored: bool = False, probes: int = 0
) -> scipy.sparse.csr_array:
    """Return how often each photo of a block has each word, (photos, CENTRES * 2 ** BITS).

    The word of a descriptor is the nearest centre and, along each of the first `BITS` principal
    axes, the side of that centre on which it lies (Jegou, Douze and Schmid 2008). `probes` counts
    its neighbours as well: the words on the other side of the axes to which it lies nearest.
    """
    part = slice(points.starts[block.start], points.starts[block.stop])
    owners = np.repeat(np.arange(len(block)), np.diff(points.starts[block.start : block.stop + 1]))
    descriptors = points.descriptors[part]
    descriptors = (mirror(descriptors) if mirrored else descriptors).astype(np.float32) / UNIT
    descriptors = (descriptors - learned.mean) @ learned.axes
    kind = (descriptors @ learned.centres.T - (learned.centres**2).sum(axis=1) / 2).argmax(axis=1)
    beside = (descriptors - learned.centres[kind])[:, :BITS]
    words = kind << BITS | (beside > 0) @ (1 << np.arange(BITS))
    nearest_axes = np.argsort(np.abs(beside), axis=1, kind="stable")[:, :probes]
    words = np.column_stack([words, words[:, None] ^ (1 << nearest_axes)])
    places = np.repeat(owners, words.shape[1]), words.ravel()
    shape = len(block), CENTRES << BITS
    return scipy.sparse.coo_array((np.ones(words.size, np.float32), places), shape=shape).tocsr()


def _weigh(counts: scipy.sparse.csr_array, rarity: np.ndarray) -> scipy.sparse.csr_array:
    """Return rows of length 1 in which a rare word counts more, and the second of a kind less."""
    weighed = counts.copy()
    weighed.data = (np.sqrt(counts.data) * rarity[counts.indices]).astype(np.float32)
    length = np.sqrt(weighed.multiply(weighed).sum(axis=1))
    weighed.data /= np.repeat(np.maximum(length, 1e-9), np.diff(weighed.indptr))
    return weighed


def match(points: Points, first: int, second: int, mirrored: bool) -> Match:
    """Match the key points of two photos, and find the transform that explains most of them.

    A match must be clearly better than the second best (Lowe's ratio test), and a photo's point
    takes part in one match only. The transform turns, scales and shifts.

    Args:
        points: of all photos.
        first: number of one photo.
        second: number of the other.
        mirrored: whether to compare the first with the mirror image of the second.

    Returns:
        A match; without inliers where fewer than four points match.
    """
    places, descriptors = _of(points, first)
    others, other_descriptors = _of(points, second)
    if mirrored:
        other_descriptors = mirror(other_descriptors)
        others = np.column_stack([points.widths[second] - 1 - others[:, 0], others[:, 1]])
    nothing = Match(0, 0, np.eye(2, 3))
    if min(len(places), len(others)) < 4:
        return nothing
    likeness = _unit(descriptors) @ _unit(other_descriptors).T
    best = likeness.argmax(axis=1)
    rows = np.arange(len(best))
    likest = likeness[rows, best]
    likeness[rows, best] = -1
    # Distances, squared: twice what the likeness lacks to 1.
    clear = 1 - likest < RATIO**2 * (1 - likeness.max(axis=1))
    order = np.flatnonzero(clear)[np.argsort(-likest[clear], kind="stable")]
    _, once = np.unique(best[order], return_index=True)
    order = order[once]
    if len(order) < 4:
        return nothing
    transform, inliers = cv2.estimateAffinePartial2D(
        places[order], others[best[order]], method=cv2.RANSAC, ransacReprojThreshold=INLIER,
        maxIters=500,
    )  # fmt: skip
    # Key points that lie in one spot would fit a transform that shrinks everything to a point.
    if transform is None or not 1 / SCALES < math.hypot(*transform[:, 0]) < SCALES:
        return nothing
    chosen = inliers.ravel() > 0
    one, other = places[order][chosen], others[best[order]][chosen]
    apart = np.linalg.norm(one @ transform[:, :2].T + transform[:, 2] - other, axis=1)
    coarser = max(1.0, math.hypot(transform[0, 0], transform[1, 0]))
    return Match(
        len(order), len(one), transform, float(np.median(apart) / coarser),
        float(cv2.contourArea(cv2.convexHull(other.astype(np.float32)))),
    )  # fmt: skip


def _of(points: Points, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places and descriptors of one photo."""
    part = slice(points.starts[number], points.starts[number + 1])
    return points.places[part], points.descriptors[part]


def _unit(descriptors: np.ndarray) -> np.ndarray:
    """Return descriptors as float32 of length 1."""
    rows = descriptors.astype(np.float32)
    return rows / np.maximum(np.sqrt((rows * rows).sum(axis=1, keepdims=True)), 1)

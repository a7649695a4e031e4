"""Draw faces of persons who do not exist, many pictures of each, so that nobody had to be asked.

A `Person` is what stays the same: proportions, colours, hair, moles. A picture adds what changes:
pose, light, expression, glasses, a cap, the background. Features lie on a rounded head in three
dimensions and turn with it, so that a person is not told by where an eye lies in the picture.

Lengths are in units of half the head's height, the origin is in the middle of the head, x points
right, y down and z towards the camera.
"""

from dataclasses import dataclass
import math
from pathlib import Path
import re

from dermaface.photos import sample
import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

SIZE = 112  # pixels, of a picture's side
SCALE = 3  # pictures are drawn larger and then shrunk, for smooth edges
HAIR_COLOURS = (
    (26, 22, 22), (62, 40, 28), (106, 70, 42), (150, 106, 62),
    (212, 176, 118), (146, 56, 26), (160, 158, 156), (98, 22, 30),
)  # fmt: skip
IRIS_COLOURS = ((58, 36, 24), (96, 64, 36), (86, 104, 66), (78, 112, 146))
HAIR_STYLES = ("short", "bald", "long", "curly", "bun", "fringe", "crest")
BEARDS = ("none", "none", "moustache", "full", "goatee")

Colour = tuple[int, int, int]
Drawing = ImageDraw.ImageDraw
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Person:
    """What makes a person: the same in every picture.

    Attributes:
        tone: place between the lightest, 0, and the darkest skin, 1.
        width: of the head, 1 is as wide as high.
        jaw: width of the jaw, as a share of the head's.
        chin: how far the chin reaches down.
        eyes: half distance, half width, half height, height of the middle, tilt.
        iris: its colour.
        brows: gap above the eye, thickness, arch, tilt.
        nose: length and half width.
        mouth: half width, height of the middle, thickness of the upper and the lower lip.
        hair: one of `HAIR_STYLES`.
        hair_colour: RGB.
        hairline: height of the hair above the brows.
        beard: one of `BEARDS`.
        ears: their size.
        moles: places `(x, y, radius)`.
        freckles: whether there are any.
    """

    tone: float
    width: float
    jaw: float
    chin: float
    eyes: tuple[float, float, float, float, float]
    iris: Colour
    brows: tuple[float, float, float, float]
    nose: tuple[float, float]
    mouth: tuple[float, float, float, float]
    hair: str
    hair_colour: Colour
    hairline: float
    beard: str
    ears: float
    moles: tuple[tuple[float, float, float], ...]
    freckles: bool


def make_person(rng: Generator) -> Person:
    """Return a person by chance."""
    tone = rng.uniform()
    darkest = 4 if tone > 0.7 else len(HAIR_COLOURS)
    spread = rng.uniform(-1, 1, (16,))  # each feature's place in its range

    def between(number: int, low: float, high: float) -> float:
        return (low + high) / 2 + spread[number] * (high - low) / 2

    hair = HAIR_STYLES[rng.integers(len(HAIR_STYLES))]
    moles = [
        (rng.uniform(-0.5, 0.5), rng.uniform(-0.1, 0.6), rng.uniform(0.022, 0.04))
        for _ in range(int(rng.choice(3, p=(0.45, 0.35, 0.2))))
    ]
    return Person(
        tone=tone,
        width=between(0, 0.62, 0.90),
        jaw=between(1, 0.45, 1.0),
        chin=between(2, 0.88, 1.14),
        eyes=(
            between(3, 0.25, 0.41), between(4, 0.11, 0.20), between(5, 0.045, 0.105),
            between(6, -0.16, 0.04), between(7, -0.3, 0.3),
        ),
        iris=IRIS_COLOURS[rng.integers(2 if tone > 0.5 else 4)],
        brows=(
            between(8, 0.12, 0.25), between(9, 0.015, 0.095), between(10, -0.02, 0.1),
            rng.uniform(-0.3, 0.3),
        ),
        nose=(between(11, 0.26, 0.54), between(12, 0.07, 0.22)),
        mouth=(
            between(13, 0.15, 0.38), between(14, 0.55, 0.70),
            rng.uniform(0.02, 0.085), rng.uniform(0.03, 0.12),
        ),
        hair=hair,
        hair_colour=HAIR_COLOURS[rng.integers(darkest)],
        hairline=between(15, 0.22, 0.45),
        beard="none" if hair in ("long", "bun", "fringe") else BEARDS[rng.integers(len(BEARDS))],
        ears=rng.uniform(0.13, 0.22),
        moles=tuple(moles),
        freckles=bool(tone < 0.35 and rng.uniform() < 0.3),
    )  # fmt: skip


@dataclass(frozen=True)
class _View:
    """How a head is seen: turned by `yaw`, `pitch` and `roll` radians, moved and scaled."""

    width: float
    yaw: float
    pitch: float
    roll: float
    x: float
    y: float
    scale: float

    def points(self, xs: np.ndarray, ys: np.ndarray, z: float | np.ndarray = 0.0) -> Points:
        """Return where points of the head's surface lie in the drawing; `z` lifts them off it."""
        xs, ys = np.broadcast_arrays(np.asarray(xs, float), np.asarray(ys, float))
        depth = 1 - (xs / self.width) ** 2 - (ys / 1.05) ** 2
        return self.place(xs, ys, 0.75 * np.sqrt(np.clip(depth, 0, None)) + z)

    def place(self, xs: np.ndarray, ys: np.ndarray, zs: np.ndarray) -> Points:
        """Return where points in space lie in the drawing."""
        across = xs * math.cos(self.yaw) + zs * math.sin(self.yaw)
        zs = zs * math.cos(self.yaw) - xs * math.sin(self.yaw)
        down = ys * math.cos(self.pitch) + zs * math.sin(self.pitch)
        c, s = math.cos(self.roll), math.sin(self.roll)
        u, v = across * c - down * s, across * s + down * c
        half = SIZE * SCALE / 2
        return list(
            zip(half + (u + self.x) * self.scale, half + (v + self.y) * self.scale, strict=True)
        )


def _shade(colour: Colour | np.ndarray, factor: float) -> Colour:
    """Return a colour made darker or lighter."""
    red, green, blue = (int(np.clip(value * factor, 0, 255)) for value in colour)
    return red, green, blue


def _muted(rng: Generator) -> Colour:
    """Return a colour of walls and clothes: near a grey level."""
    red, green, blue = (rng.uniform(50, 220) + rng.uniform(-38, 38, 3)).astype(int).tolist()
    return red, green, blue


def _arc(
    x: float, y: float, a: float, b: float, start: float = 0.0, end: float = 2 * math.pi
) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of an ellipse or a part of it."""
    t = np.linspace(start, end, 40)
    return x + a * np.cos(t), y + b * np.sin(t)


def _outline(person: Person) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the face's outline from the front, and how far its points lie before the ears."""
    t = np.linspace(0, 2 * math.pi, 80)
    xs, ys = person.width * np.sin(t), -np.cos(t)
    low = np.clip(ys, 0, 1)
    xs = xs * (1 - (1 - person.jaw) * low**1.5)
    ys = np.where(ys > 0, ys * person.chin, ys)
    return xs, ys, 0.45 * low**2


def draw_face(person: Person, rng: Generator) -> Image.Image:
    """Draw a picture of a person, in a pose, light and mood of its own.

    Args:
        person: as from `make_person`.
        rng: its state decides all that changes between two pictures of a person.

    Returns:
        An RGB `PIL.Image.Image` of 112 pixels a side.
    """
    across, down = rng.normal(0, 0.035, 2)
    yaw, pitch, roll = np.clip(rng.normal(0, (0.15, 0.06, 0.06)), -0.35, 0.35)
    view = _View(
        person.width,
        yaw,
        pitch,
        roll,
        float(across),
        float(down),
        SIZE * SCALE * rng.uniform(0.34, 0.39),
    )
    smile, opened = rng.uniform(-0.4, 1.0), max(0.0, rng.uniform(-0.8, 0.7))
    lids = rng.uniform(0.65, 1.05) if rng.uniform() > 0.03 else 0.12
    raised = rng.uniform(-0.03, 0.05)
    side = SIZE * SCALE
    picture = Image.new("RGB", (side, side), _muted(rng))
    pen = ImageDraw.Draw(picture)
    for _ in range(4):  # a room behind
        x, y, r = rng.uniform((0, 0, 0.1), (1, 1, 0.5)) * side
        pen.rectangle((x - r, y - r, x + r, y + r), fill=_muted(rng))
    picture = picture.filter(ImageFilter.GaussianBlur(side / 20))
    pen = ImageDraw.Draw(picture)
    skin = sample.tone_at(person.tone * (len(sample.TONES) - 1))

    _draw_behind(pen, person, view, skin, rng)
    face = view.place(*_turned(_outline(person), view))
    pen.polygon(face, fill=_shade(skin, 1))
    _draw_beard(pen, person, view, skin)
    _draw_marks(pen, person, view, skin)
    _draw_nose(pen, person, view, skin)
    _draw_eyes(pen, person, view, skin, lids, raised, rng.uniform(-0.25, 0.25))
    _draw_mouth(pen, person, view, skin, smile, opened)
    _draw_hair(pen, person, view)
    if rng.uniform() < 0.15:
        _draw_glasses(pen, person, view, rng)
    if rng.uniform() < 0.05:
        _draw_cap(pen, person, view, rng)
    return _photograph(picture, rng)


def _turned(outline: tuple, view: _View) -> tuple:
    """Return an outline as wide as the head is from where it is seen."""
    xs, ys, zs = outline
    wider = math.hypot(math.cos(view.yaw), 0.8 / view.width * math.sin(view.yaw))
    return xs * wider / math.cos(view.yaw), ys, zs


def _draw_behind(
    pen: Drawing, person: Person, view: _View, skin: np.ndarray, rng: Generator
) -> None:
    """Draw what the face hides a part of: long hair, the shoulders, the neck, the ears."""
    hair = _shade(person.hair_colour, 0.85)
    w = person.width
    if person.hair in ("long", "fringe"):
        xs, ys = _arc(0, 0.25, w * 1.32, 1.35)
        pen.polygon(view.place(xs, ys, np.full(xs.shape, -0.15)), fill=hair)
    if person.hair == "curly":
        for t in np.linspace(-2.75, -0.4, 14):
            x, y = np.array([math.cos(t) * w * 1.12]), np.array([math.sin(t) * 1.05 + 0.08])
            ((u, v),) = view.place(x, y, np.array([-0.1]))
            r = 0.27 * view.scale
            pen.ellipse((u - r, v - r, u + r, v + r), fill=hair)
    if person.hair == "bun":
        ((u, v),) = view.place(np.array([0.0]), np.array([-1.15]), np.array([-0.2]))
        r = 0.33 * view.scale
        pen.ellipse((u - r, v - r, u + r, v + r), fill=hair)
    shirt = _muted(rng)
    xs, ys = _arc(0, 2.25, 1.5, 0.95, math.pi, 2 * math.pi)
    pen.polygon(view.place(xs, ys, np.full(xs.shape, -0.3)), fill=shirt)
    neck = [-0.42 * w / 0.75, 0.42 * w / 0.75, 0.5, -0.5]
    pen.polygon(
        view.place(np.array(neck), np.array([0.5, 0.5, 1.5, 1.5]), np.full(4, -0.25)),
        fill=_shade(skin, 0.78),
    )
    for sign in (-1, 1):
        xs, ys = _arc(sign * w * 1.0, 0.08, 0.11, person.ears)
        pen.polygon(view.place(xs, ys, np.full(xs.shape, -0.05)), fill=_shade(skin, 0.88))


def _draw_beard(pen: Drawing, person: Person, view: _View, skin: np.ndarray) -> None:
    """Draw a beard, if the person has one."""
    colour = tuple(int(0.25 * a + 0.75 * b) for a, b in zip(skin, person.hair_colour, strict=True))
    half, middle, upper, _ = person.mouth
    if person.beard == "full":
        xs, ys, zs = _outline(person)
        chosen = ys > 0.22
        order = np.argsort(np.arctan2(ys[chosen], xs[chosen]))
        xs, ys, zs = (values[chosen][order] for values in _turned((xs, ys, zs), view))
        top = np.linspace(-0.82, 0.82, 20) * person.width * (0.5 + 0.5 * person.jaw)
        inner = view.points(top, 0.36 + 0.10 * np.cos(top / person.width * 3.0))
        pen.polygon([*view.place(xs, ys, zs), *inner], fill=colour)
    elif person.beard == "goatee":
        xs, ys = _arc(0, (middle + person.chin) / 2 + 0.1, half * 0.75, 0.24)
        pen.polygon(view.points(xs, np.minimum(ys, person.chin - 0.02)), fill=colour)
    if person.beard in ("full", "moustache"):
        xs, ys = _arc(0, middle - upper - 0.055, half * 1.15, 0.065)
        pen.polygon(view.points(xs, ys + 0.12 * (xs / half) ** 2, 0.06), fill=colour)


def _draw_marks(pen: Drawing, person: Person, view: _View, skin: np.ndarray) -> None:
    """Draw moles and freckles."""
    marks = [(x * person.width / 0.75, y, r, 0.42) for x, y, r in person.moles]
    if person.freckles:
        places = np.random.default_rng(round(1e6 * person.width)).uniform(-1, 1, (26, 2))
        marks += [(0.42 * x, 0.2 + 0.13 * y, 0.014, 0.82) for x, y in places]
    for x, y, radius, factor in marks:
        xs, ys = _arc(x, y, radius, radius)
        pen.polygon(view.points(xs, ys), fill=_shade(skin, factor))


def _draw_nose(pen: Drawing, person: Person, view: _View, skin: np.ndarray) -> None:
    """Draw the nose, which stands out and so moves most when the head turns."""
    length, half = person.nose
    bottom = person.eyes[3] + length
    xs = np.array([-0.3, -0.45, -1, -0.85, 0, 0.85, 1, 0.45, 0.3]) * half
    ys = np.array([-length, -0.5 * length, -0.1, 0.0, 0.05, 0.0, -0.1, -0.5 * length, -length])
    zs = np.array([0.02, 0.12, 0.08, 0.1, 0.24, 0.1, 0.08, 0.12, 0.02])
    pen.polygon(view.points(xs, bottom + ys, zs), fill=_shade(skin, 0.9))
    xs = np.array([-0.18, -0.2, 0.0, 0.2, 0.18]) * half
    ys = np.array([-length, -0.3 * length, 0.0, -0.3 * length, -length])
    pen.polygon(
        view.points(xs, bottom + ys, np.array([0.02, 0.18, 0.24, 0.18, 0.02])),
        fill=_shade(skin, 1.05),
    )
    for sign in (-1, 1):
        xs, ys = _arc(sign * 0.5 * half, bottom + 0.01, 0.26 * half, 0.025)
        pen.polygon(view.points(xs, ys, 0.14), fill=_shade(skin, 0.5))


def _draw_eyes(
    pen: Drawing,
    person: Person,
    view: _View,
    skin: np.ndarray,
    lids: float,
    raised: float,
    gaze: float,
) -> None:
    """Draw both eyes and their brows."""
    apart, half, high, middle, tilt = person.eyes
    gap, thick, arch, slant = person.brows
    t = np.linspace(-1, 1, 15)
    for sign in (-1, 1):
        x0 = sign * apart
        upper, lower = -high * 1.15 * lids * (1 - t**2), high * 0.85 * lids * (1 - t**2)
        xs = np.concatenate([t, t[::-1]]) * half
        ys = (
            np.concatenate([upper, lower[::-1]])
            + np.concatenate([t, t[::-1]]) * half * tilt * -sign
        )
        pen.polygon(view.points(x0 + xs * 1.18, middle + ys * 1.35), fill=_shade(skin, 0.8))
        pen.polygon(view.points(x0 + xs, middle + ys), fill=(238, 234, 228))
        for radius, colour in ((0.95, person.iris), (0.45, (15, 12, 12))):
            cx, cy = _arc(gaze * half, -0.05 * high, high * radius, high * radius)
            limit = np.interp(cx, t * half, lower), np.interp(cx, t * half, upper)
            cy = np.clip(cy, limit[1], limit[0]) + cx * tilt * -sign
            pen.polygon(view.points(x0 + cx, middle + cy), fill=colour)
        lash = view.points(x0 + t * half, middle + upper + t * half * tilt * -sign)
        pen.line(lash, fill=(30, 22, 20), width=max(2, round(0.022 * view.scale)), joint="curve")
        curve = -gap - arch * (1 - t**2) - raised + middle + t * half * slant * -sign
        brow = np.concatenate(
            [curve - thick / 2, curve[::-1] + thick / 2 * (1 - 0.3 * t[::-1] * sign)]
        )
        xs = x0 + np.concatenate([t, t[::-1]]) * half * 1.25
        pen.polygon(view.points(xs, brow, 0.02), fill=_shade(person.hair_colour, 0.8))


def _draw_mouth(
    pen: Drawing, person: Person, view: _View, skin: np.ndarray, smile: float, opened: float
) -> None:
    """Draw the lips, closed or open, smiling or not."""
    half, middle, upper, lower = person.mouth
    half *= 1 + 0.16 * smile
    t = np.linspace(-1, 1, 21)
    bow = 1 - t**2
    line = middle - 0.075 * smile * t**2 + 0.02 * smile
    gap = 0.13 * opened * bow
    top = line - upper * (bow**0.7) * (1 - 0.25 * np.exp(-((t / 0.16) ** 2)))
    bottom = line + gap + lower * bow
    lips = (0.72 * skin + np.array((70, 6, 14)) * (1.0 - 0.45 * person.tone)).clip(0, 255)
    xs = np.concatenate([t, t[::-1]]) * half
    pen.polygon(view.points(xs, np.concatenate([top, bottom[::-1]]), 0.04), fill=_shade(lips, 1))
    if opened > 0.08:
        pen.polygon(
            view.points(xs, np.concatenate([line, (line + gap)[::-1]]), 0.04), fill=(70, 24, 26)
        )
        teeth = line + np.minimum(gap, 0.045 * bow)
        pen.polygon(
            view.points(xs * 0.85, np.concatenate([line, teeth[::-1]]), 0.04), fill=(236, 232, 222)
        )
    else:
        pen.line(
            view.points(t * half, line, 0.04),
            fill=_shade(lips, 0.5),
            width=max(2, round(0.018 * view.scale)),
        )


def _draw_hair(pen: Drawing, person: Person, view: _View) -> None:
    """Draw the hair on top of the head, down to the hairline."""
    if person.hair == "bald":
        return
    w = person.width
    line = person.eyes[3] - person.brows[0] - person.hairline
    t = np.linspace(0, 1, 30)
    if person.hair == "crest":
        xs = np.concatenate([np.linspace(-0.3, 0.3, 15), np.linspace(0.24, -0.24, 15)])
        ys = np.concatenate([-0.98 - 0.3 * np.cos(np.linspace(-1.4, 1.4, 15)), np.full(15, line)])
        pen.polygon(view.points(xs, ys, np.where(t < 0.5, -0.2, 0.0)), fill=person.hair_colour)
        return
    if person.hair == "fringe":
        line = person.eyes[3] - person.brows[0] - 0.02
    outer = _arc(0, 0, w * 1.08, 1.1, math.pi * (1.04), math.pi * (1.96))
    side_height = outer[1][0]
    inner_x = np.linspace(outer[0][-1] * 0.97, outer[0][0] * 0.97, 30)
    inner_y = line + (side_height + 0.1 - line) * (np.abs(inner_x) / (w * 0.97)) ** 4
    if person.hair in ("long", "bun"):  # parted in the middle
        inner_y = inner_y - 0.12 * np.exp(-((inner_x / 0.12) ** 2))
    if person.hair == "curly":
        inner_y = inner_y + 0.04 * np.sin(t * 26)
    zs = np.full(outer[0].shape, 0.0)
    points = view.place(*_turned((outer[0], outer[1], zs), view))
    pen.polygon([*points, *view.points(inner_x, inner_y, 0.03)], fill=person.hair_colour)


def _draw_glasses(pen: Drawing, person: Person, view: _View, rng: Generator) -> None:
    """Draw glasses: any person may wear any."""
    apart, _, _, middle, _ = person.eyes
    colour = ((25, 25, 28), (120, 80, 40), (150, 150, 155))[rng.integers(3)]
    a, b, power = rng.uniform(0.2, 0.25), rng.uniform(0.14, 0.2), rng.uniform(0.5, 1)
    width = round(rng.uniform(0.03, 0.06) * view.scale)
    t = np.linspace(0, 2 * math.pi, 40)
    xs = a * np.sign(np.cos(t)) * np.abs(np.cos(t)) ** power
    ys = b * np.sign(np.sin(t)) * np.abs(np.sin(t)) ** power
    for sign in (-1, 1):
        pen.line(view.points(sign * apart + xs, middle + ys, 0.1), fill=colour, width=width)
    bridge = np.array([-1.0, 0, 1]) * max(apart - a, 0.02)
    pen.line(
        view.points(bridge, middle - np.array([0.02, 0.05, 0.02]), 0.1), fill=colour, width=width
    )


def _draw_cap(pen: Drawing, person: Person, view: _View, rng: Generator) -> None:
    """Draw a cap, which hides the hair on top."""
    colour = _muted(rng)
    w = person.width
    line = person.eyes[3] - person.brows[0] - 0.14
    xs, ys = _arc(0, line, w * 1.12, 1.15 + line, math.pi, 2 * math.pi)
    crown = view.place(*_turned((xs, ys, np.zeros(xs.shape)), view))
    pen.polygon([*crown, *view.points(np.linspace(w, -w, 20), np.full(20, line), 0.1)], fill=colour)
    xs, ys = _arc(0, line, w * 0.85, 0.16)
    pen.polygon(view.points(xs, ys, 0.3), fill=_shade(colour, 0.75))


def _photograph(picture: Image.Image, rng: Generator) -> Image.Image:
    """Return a drawing as a photo of it: light from one side, a colour cast, blur, noise."""
    pixels = np.asarray(picture.reduce(SCALE).filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1))))
    across, down = np.meshgrid(*2 * [np.linspace(-1, 1, SIZE)])
    angle, strength = rng.normal(-math.pi / 2, 1.0), rng.uniform(0, 0.28)
    light = 1 + strength * (across * math.cos(angle) + down * math.sin(angle))
    warm = rng.normal(0, 0.04)
    cast = rng.uniform(0.8, 1.06) * np.array([1 + warm, 1, 1 - warm])
    values = pixels * light[..., None] * cast + rng.normal(0, rng.uniform(1, 5), pixels.shape)
    return Image.fromarray(np.rint(values).clip(0, 255).astype(np.uint8))


# --- The folder -----------------------------------------------------------------------------------

TITLE = "Faces drawn by dermaface."
FOLDER_NAME = r"person_\d{2,3}"
PICTURE_NAME = re.compile(rf"{FOLDER_NAME}/\d{{2,3}}\.jpg")


def write_faces(
    folder: str | Path, persons: int = 60, photos_per_person: int = 24, seed: int = 0
) -> Path:
    """Write a folder with one folder per person, `person_00/00.jpg` and so on.

    Picture k of a person depends on `seed`, person and k alone. Earlier faces in `folder` are
    replaced.

    Args:
        folder: where to write; made if it is not there.
        persons: 2..1000.
        photos_per_person: 1..1000.
        seed: 0 or more.

    Returns:
        The folder as a `Path`.

    Raises:
        ValueError: a number is out of range, or `folder` holds anything but drawn faces.
    """
    folder = Path(folder)
    if not (2 <= persons <= 1000 and 1 <= photos_per_person <= 1000 and seed >= 0):
        raise ValueError(
            "Drawn faces take 2 to 1000 persons, 1 to 1000 photos_per_person and a seed of 0 or "
            f"more, not {persons}, {photos_per_person} and {seed}."
        )
    earlier = sample.earlier_pictures(folder, "a set of faces", TITLE, FOLDER_NAME, PICTURE_NAME)
    stale = set(earlier)
    folder.mkdir(parents=True, exist_ok=True)
    # The marker comes first, so that a set whose writing was cut short can be written again.
    (folder / sample.MARKER).write_text(
        f"{TITLE}\nNobody looks like this: no person was asked.\n", encoding="utf-8"
    )
    for number in range(persons):
        # A 0 at the end would change nothing: [seed, number, 0] is the stream of [seed, number].
        person = make_person(np.random.default_rng([seed, number, 0, 1]))
        (folder / f"person_{number:02d}").mkdir(exist_ok=True)
        for k in range(photos_per_person):
            path = folder / f"person_{number:02d}" / f"{k:02d}.jpg"
            draw_face(person, np.random.default_rng([seed, number, k + 1])).save(path, quality=90)
            stale.discard(path)
    for path in stale:
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    return folder

"""Awkward files, as folders of photos from the web and from phones hold them.

Each writer in `KEPT` writes a picture that must be read like `picture()`, in RGB and upright, give
or take what its format loses; each in `EXCLUDED` writes a file that must be set aside, with words
from the reason.
"""

import io
import os
from pathlib import Path
import struct
import zlib

import numpy as np
from PIL import Image
import pillow_heif

WIDTH, HEIGHT = 60, 40
HEIC_LOSS = 6


def picture() -> np.ndarray:
    """Return the picture that all kept files show, uint8 (40, 60, 3): three smooth colour ramps."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    ramps = np.stack([x / WIDTH, y / HEIGHT, 1 - x / WIDTH], axis=2)
    return (40 + 170 * ramps).astype(np.uint8)


def image(mode: str = "RGB") -> Image.Image:
    """Return the picture as a Pillow image in a mode."""
    return Image.fromarray(picture()).convert(mode)


def save(kind: str, mode: str = "RGB", **options):
    """Return a writer of the picture in a format and mode."""
    return lambda path: image(mode).save(path, format=kind, **options)


def turned(orientation: int, kind: str = "JPEG"):
    """Return a writer of the picture lying down, with the EXIF note that says how to turn it."""
    undo = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }[orientation]

    def write(path):
        lying = image()
        for step in undo:
            lying = lying.transpose(step)
        exif = Image.Exif()
        exif[0x0112] = orientation
        lying.save(path, format=kind, exif=exif, **({"quality": 98} if kind == "JPEG" else {}))

    return write


def oriented(type_number: int, value: bytes, lying: bool = False):
    """Return a writer of a JPEG whose EXIF orientation is of any type, with the picture as it is.

    Args:
        type_number: the type of the entry in TIFF's terms, such as 3 for SHORT and 2 for ASCII.
        value: its bytes.
        lying: whether the picture lies as orientation 6 says.
    """
    place = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", 26) + bytes(4) + value
    count = len(value) if type_number in (2, 7) else 1
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHI", 8, 1, 0x0112, type_number, count) + place

    def write(path):
        shown = image().transpose(Image.Transpose.ROTATE_90) if lying else image()
        shown.save(path, format="JPEG", quality=98, exif=exif.ljust(26 + 6, b"\0"))

    return write


def transparent(path):
    """Write a picture whose right half is hidden pixels that must not show."""
    pixels = np.dstack([picture(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    pixels[:, WIDTH // 2 :, 3] = 0
    Image.fromarray(pixels).save(path, format="PNG")


def sixteen_bits(path):
    """Write the grey picture with 16 bits per pixel."""
    grey = np.asarray(image("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(path, format="PNG")


def frames(kind: str, **options):
    """Return a writer of an animated picture."""
    others = [Image.fromarray(255 - picture())]
    return lambda path: image().save(
        path, format=kind, save_all=True, append_images=others, **options
    )


def phone_mpo(path):
    """Write a photo with a second one after it, as phones store depth and brightness maps."""
    image().save(
        path, format="MPO", save_all=True, append_images=[image("RGB").resize((30, 20))], quality=98
    )


def damaged_png(path):
    """Write a PNG file of which some bytes inside are others."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype(np.uint8)
    Image.fromarray(noise).save(buffer, format="PNG")
    content = buffer.getvalue()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(300) + content[middle + 300 :])


def heic(orientation: int = 1, bits: int = 8, depth: bool = False, alone: bool = True):
    """Return a writer of a HEIC photo, as phones make them.

    Args:
        orientation: how the picture lies in it, with the note that says how to turn it.
        bits: 8, or 10 as of phones that record a wider range of brightness.
        depth: whether a depth image belongs to it.
        alone: whether it is the only picture, or has another one after it.
    """

    def write(path):
        lying = image()
        if orientation == 6:
            lying = lying.transpose(Image.Transpose.ROTATE_90)
        file = pillow_heif.HeifFile()
        if bits == 8:
            file.add_from_pillow(lying)
        else:
            wide = (np.asarray(lying).astype(np.uint16) << 8).tobytes()
            file.add_frombytes("RGB;16", lying.size, wide)
        if orientation != 1:
            exif = Image.Exif()
            exif[0x0112] = orientation
            file[0].info["exif"] = exif.tobytes()
        if depth or not alone:
            file.add_from_pillow(image("L").resize((30, 20)))
        buffer = io.BytesIO()
        file.save(buffer, quality=98, chroma=444, primary_index=0)
        path.write_bytes(_with_depth(buffer.getvalue()) if depth else buffer.getvalue())

    return write


def _with_depth(content: bytes) -> bytes:
    """Declare the second picture of a HEIC file to be the depth image of the first.

    No encoder at hand writes one, so the boxes of ISO/IEC 23008-12 that say so are put in here: the
    property `auxC` of the second picture, and its reference `auxl` to the first.
    """

    def box(kind: bytes, *parts: bytes) -> bytes:
        body = b"".join(parts)
        return struct.pack(">I", 8 + len(body)) + kind + body

    def grow(kind: bytes, added: bytes, at: int | None = None) -> None:
        nonlocal content
        start = content.index(kind) - 4
        size = struct.unpack(">I", content[start : start + 4])[0]
        end = start + size if at is None else at
        content = content[:end] + added + content[end:]
        content = content[:start] + struct.pack(">I", size + len(added)) + content[start + 4 :]

    before = len(content)
    properties = content.index(b"ipco") - 4
    number, start = 1, properties + 8
    while start < properties + struct.unpack(">I", content[properties : properties + 4])[0]:
        start, number = start + struct.unpack(">I", content[start : start + 4])[0], number + 1
    auxiliary = box(b"auxC", bytes(4), b"urn:mpeg:hevc:2015:auxid:2\0")
    reference = box(b"iref", bytes(4), box(b"auxl", struct.pack(">HHH", 2, 1, 1)))
    grow(b"ipco", auxiliary)
    # The second picture's entry is the last one of `ipma`: one more property.
    ipma = content.index(b"ipma")
    end = ipma - 4 + struct.unpack(">I", content[ipma - 4 : ipma])[0]
    counted = content.index(b"\0\2", content.index(b"\0\1", ipma + 12)) + 2
    content = content[:counted] + bytes([content[counted] + 1]) + content[counted + 1 :]
    grow(b"ipma", bytes([number]), at=end)
    iprp = content.index(b"iprp") - 4
    more = len(content) - before
    size = struct.unpack(">I", content[iprp : iprp + 4])[0] + more
    content = content[:iprp] + struct.pack(">I", size) + content[iprp + 4 :]
    meta = content.index(b"meta") - 4
    size = struct.unpack(">I", content[meta : meta + 4])[0] + more + len(reference)
    content = content[:iprp] + reference + content[iprp:]
    content = content[:meta] + struct.pack(">I", size) + content[meta + 4 :]
    # The pictures themselves have moved.
    moved = len(content) - before
    iloc = content.index(b"iloc") + 4 + 8
    for entry in (iloc + 4, iloc + 4 + 18):
        offset = struct.unpack(">I", content[entry : entry + 4])[0] + moved
        content = content[:entry] + struct.pack(">I", offset) + content[entry + 4 :]
    return content


def cut(kind: str, share: float):
    """Return a writer of the first part of a file."""

    def write(path):
        buffer = io.BytesIO()
        noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype(np.uint8)
        Image.fromarray(noise).save(buffer, format=kind)
        content = buffer.getvalue()
        path.write_bytes(content[: int(len(content) * share)])

    return write


def cut_heic(path):
    """Write the first part of a HEIC photo, its description whole."""
    heic()(path)
    path.write_bytes(path.read_bytes()[:-200])


def gap(**options):
    """Return a writer of a JPEG with a proper end but a tenth of its data gone from the middle."""

    def write(path):
        buffer = io.BytesIO()
        noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype(np.uint8)
        Image.fromarray(noise).save(buffer, format="JPEG", **options)
        content = buffer.getvalue()
        middle, length = len(content) // 2, len(content) // 10
        path.write_bytes(content[:middle] + content[middle + length :])

    return write


def blank_avif(path):
    """Write an AVIF with a good header and zeros for a picture."""
    buffer = io.BytesIO()
    image().save(buffer, format="AVIF")
    content = buffer.getvalue()
    start = content.index(b"mdat") + 4
    path.write_bytes(content[:start] + bytes(len(content) - start))


def textual_tiff(path):
    """Write a TIFF that says in text where its picture starts."""
    buffer = io.BytesIO()
    image().save(buffer, format="TIFF")
    strip_offsets, number, text = (struct.pack("<H", n) for n in (273, 4, 2))
    path.write_bytes(buffer.getvalue().replace(strip_offsets + number, strip_offsets + text))


def bomb(path):
    """Write a PNG of a few bytes that claims to have ten thousand million pixels."""

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100)))
    )


def link_out(path):
    """Link to a picture outside the data folder."""
    outside = path.parent.parent.parent / "outside.png"
    image().save(outside)
    path.symlink_to(outside)


def link_to_folder(path):
    """Link to a folder outside the data folder."""
    outside = path.parent.parent.parent / "elsewhere"
    outside.mkdir(exist_ok=True)
    image().save(outside / "there.png")
    path.symlink_to(outside)


def tiny_picture(width, height):
    """Return a writer of a picture of a few pixels."""
    return lambda path: image().resize((width, height)).save(path, format="PNG")


GREY = lambda pixels: np.repeat(np.asarray(Image.fromarray(pixels).convert("L"))[:, :, None], 3, 2)  # noqa: E731


def half_white(pixels: np.ndarray) -> np.ndarray:
    """Return the picture with a white right half."""
    pixels = pixels.copy()
    pixels[:, WIDTH // 2 :] = 255
    return pixels


# name: (writer, grey levels that the format may lose, what becomes of the picture)
KEPT = {
    "plain.jpg": (save("JPEG", quality=98), 6, None),
    "progressive.jpg": (save("JPEG", quality=98, progressive=True), 6, None),
    "cmyk.jpg": (save("JPEG", "CMYK", quality=98), 8, None),
    "grey.jpg": (save("JPEG", "L", quality=98), 4, GREY),
    **{f"turned_{n}.jpg": (turned(n), 6, None) for n in range(2, 9)},
    "turned_6.png": (turned(6, "PNG"), 0, None),
    "turned_6.webp": (turned(6, "WEBP"), 40, None),
    "turned_6.tif": (turned(6, "TIFF"), 0, None),
    "turned_6.avif": (turned(6, "AVIF"), 40, None),
    "orientation_in_text.jpg": (oriented(2, b"6\0"), 6, None),
    "orientation_in_words.jpg": (oriented(2, b"right, top\0"), 6, None),
    "orientation_as_a_byte.jpg": (oriented(1, b"\6"), 6, None),
    "orientation_undefined.jpg": (oriented(7, b"\6"), 6, None),
    "orientation_nan.jpg": (oriented(11, struct.pack("<f", float("nan"))), 6, None),
    "orientation_zero_by_zero.jpg": (oriented(5, bytes(8)), 6, None),
    "orientation_9.jpg": (oriented(3, struct.pack("<H", 9)), 6, None),
    "orientation_below_0.jpg": (oriented(9, struct.pack("<i", -6)), 6, None),
    "orientation_6.0.jpg": (oriented(11, struct.pack("<f", 6), lying=True), 6, None),
    "plain.png": (save("PNG"), 0, None),
    "palette.png": (save("PNG", "P"), 50, None),
    "grey.png": (save("PNG", "L"), 0, GREY),
    "black_and_white.png": (save("PNG", "1"), 255, None),
    "grey_with_alpha.png": (save("PNG", "LA"), 0, GREY),
    "alpha.png": (save("PNG", "RGBA"), 0, None),
    "transparent.png": (transparent, 0, half_white),
    "sixteen_bits.png": (sixteen_bits, 1, GREY),
    "plain.webp": (save("WEBP", lossless=True), 0, None),
    "plain.bmp": (save("BMP"), 0, None),
    "single_frame.gif": (save("GIF"), 30, None),
    "plain.tif": (save("TIFF"), 0, None),
    "plain.avif": (save("AVIF", quality=95), 25, None),
    "phone.mpo": (phone_mpo, 6, None),
    "phone.heic": (heic(), HEIC_LOSS, None),
    "turned.HEIC": (heic(orientation=6), HEIC_LOSS, None),
    "ten_bits.heic": (heic(bits=10), HEIC_LOSS, None),
    "with_depth.heif": (heic(depth=True), HEIC_LOSS, None),
    "with_another.heic": (heic(alone=False), HEIC_LOSS, None),
    "really_a_heic.jpg": (heic(), HEIC_LOSS, None),
    "phone_with_depth.jpg": (phone_mpo, 6, None),
    "UPPER.JPG": (save("JPEG", quality=98), 6, None),
    "odd.jfif": (save("JPEG", quality=98), 6, None),
    "odd.jpe": (save("JPEG", quality=98), 6, None),
    "no_ending": (save("JPEG", quality=98), 6, None),
    "really_a_png.jpg": (save("PNG"), 0, None),
    "two.dots.jpeg": (save("JPEG", quality=98), 6, None),
    "a space.jpg": (save("JPEG", quality=98), 6, None),
    "a, comma.jpg": (save("JPEG", quality=98), 6, None),
    'a "quote".jpg': (save("JPEG", quality=98), 6, None),
    "Grüße 皮膚.jpg": (save("JPEG", quality=98), 6, None),
    "#1 100%.jpg": (save("JPEG", quality=98), 6, None),
}

# name: (writer, words from the reason)
EXCLUDED = {
    "empty.jpg": (lambda path: path.write_bytes(b""), "empty"),
    "text.jpg": (lambda path: path.write_text("not a picture"), "not an image"),
    "page.jpg": (lambda path: path.write_text("<html>404</html>"), "not an image"),
    "notes.txt": (lambda path: path.write_text("ask Anna"), "not an image"),
    "zeros.png": (lambda path: path.write_bytes(bytes(5000)), "not an image"),
    "cut.jpg": (cut("JPEG", 0.6), "truncated"),
    "gap.jpg": (gap(), "missing inside"),
    "gap_in_colour.jpg": (gap(subsampling=0, quality=95), "missing inside"),
    "gap_progressive.jpg": (gap(progressive=True), "missing inside"),
    "gap_between_restarts.jpg": (gap(restart_marker_rows=1), "missing inside"),
    "blank.avif": (blank_avif, "cannot be read"),
    "textual.tif": (textual_tiff, "cannot be read"),
    "pipe.jpg": (os.mkfifo, "a pipe, a socket or a device"),
    "circle.jpg": (lambda path: path.symlink_to(path), "leads in a circle"),
    "cut_in_the_header.jpg": (cut("JPEG", 0.01), "cannot|not an image"),
    "damaged.png": (damaged_png, "cannot be read"),
    "cut.png": (cut("PNG", 0.6), "cannot be read|truncated"),
    "cut.webp": (cut("WEBP", 0.5), "cannot be read|not an image"),
    "cut.gif": (cut("GIF", 0.5), "cannot be read|truncated"),
    "cut.bmp": (cut("BMP", 0.5), "cannot be read|truncated"),
    "moving.gif": (frames("GIF"), "2 frames"),
    "moving.webp": (frames("WEBP"), "2 frames"),
    "moving.png": (frames("PNG"), "2 frames"),
    "pages.tif": (frames("TIFF"), "2 frames"),
    "too_small.png": (tiny_picture(10, 8), "only 10 x 8 pixels"),
    "too_flat.png": (tiny_picture(200, 4), "only 200 x 4 pixels"),
    "bomb.png": (bomb, "too many pixels"),
    "floats.tif": (
        lambda path: Image.fromarray(np.ones((40, 60), np.float32)).save(path),
        "floating-point",
    ),
    "damaged.heic": (
        lambda path: path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(99)),
        "cannot be read|not an image",
    ),
    "cut.heic": (cut_heic, "cannot be read"),
    "film.mp4": (lambda path: path.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(99)), "not an image"),
    "link_out.png": (link_out, "leaves the data folder"),
    "link_to_folder": (link_to_folder, "leaves the data folder"),
    "broken_link.jpg": (lambda path: path.symlink_to(path.parent / "gone.jpg"), "no such file"),
    "two\rlines.jpg": (save("JPEG"), "contains a line break"),
}

SYSTEM = (".DS_Store", "Thumbs.db", "desktop.ini", "._plain.jpg")


def write_folder(root: Path) -> None:
    """Write a data folder of two classes, each with every awkward file, and files beside them."""
    for label in ("cats", "dogs"):
        (root / label).mkdir(parents=True)
        for name, (write, *_) in (KEPT | EXCLUDED).items():
            write(root / label / name)
        for name in SYSTEM:
            (root / label / name).write_bytes(b"x")
    (root / "README.txt").write_text("where the photos come from")
    (root / "labels.csv").write_text("a,b\n")

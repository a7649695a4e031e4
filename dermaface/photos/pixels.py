"""The pixel rule: files to pixels, with NumPy, Pillow and simplejpeg."""

import contextlib
import datetime
import os
from pathlib import Path
import stat
from typing import Any, BinaryIO
import warnings

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
import simplejpeg

try:
    import pi_heif
except ModuleNotFoundError:  # the extra "heic" is not installed
    pi_heif = None
else:
    # An AVIF file may name HEIC's general brand, so Pillow's own readers must come first.
    Image.init()
    pi_heif.register_heif_opener(thumbnails=False, depth_images=False)

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .bmp .dib .gif .tif .tiff .ppm .mpo .avif .heic .heif "
    ".hif".split()
)
# Files and folders that systems leave behind, besides those whose names start with a dot.
SYSTEM_NAMES = frozenset(("thumbs.db", "desktop.ini", "__macosx", "@eadir", "icon\r", "lost+found"))
HEVC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
NEEDS_HEIC = (
    "is a HEIC photo, and the package that reads these is missing: pip install pi-heif (or this "
    "package with its extra 'heic')"
)
# `blur_score` depends on the size, so it is always measured at this one.
BLUR_SIZE = 224
# What the decoder says about a JPEG file that is missing data inside.
GAPS = ("premature end of data segment", "bad Huffman code", "instead of RST")
NOT_REGULAR = "it is a pipe, a socket or a device, not a regular file"

# Large photos are fine; Pillow still refuses those with twice as many pixels. Filters belong to the
# whole process: setting one and taking it back around each photo goes wrong in threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def load_image(path: str | Path, image_size: int) -> np.ndarray:
    """Read a photo by the pixel rule.

    The rule: upright by EXIF, RGB, on white where it is transparent; a JPEG or HEIC photo decoded
    at 1/2, 1/4 or 1/8 of its size where its shorter side stays at least twice `image_size`;
    stretched to the square by `resize`; rounded to whole grey levels.

    Args:
        path: an image file.
        image_size: side of the square in pixels.

    Returns:
        uint8 array of shape (image_size, image_size, 3), 0..255.

    Raises:
        ValueError: there is no such file, or it is not an image that can be read to its end.
    """
    return resize(decode_image(path, at_least=2 * image_size), image_size)


def decode_image(path: str | Path | BinaryIO, at_least: int | None = None) -> np.ndarray:
    """Decode an image file upright and in RGB, as a photo viewer shows it.

    Args:
        path: an image file, or an open one.
        at_least: a JPEG or HEIC photo is decoded at the smallest of 1/8, 1/4, 1/2 of its size whose
            shorter side is still at least this many pixels; None decodes it at full size.

    Returns:
        uint8 array of shape (height, width, 3), 0..255.

    Raises:
        ValueError: there is no such file, it is not a regular file, it is not an image that can be
            read to its end, it is a JPEG that is missing data inside, it has several frames, it
            has so many pixels that it may be a decompression bomb, or it is a HEIC photo and the
            package `pi-heif` is missing. What is damaged inside a HEIC photo goes unnoticed.
    """
    return describe_image(path, at_least)[0]


def describe_image(
    path: str | Path | BinaryIO, at_least: int | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Decode an image file and say what is in it.

    Args:
        path: as for `decode_image`.
        at_least: as for `decode_image`.

    Returns:
        What `decode_image` returns, and the file's `format` and `mode` (of its pixels) in Pillow's
        terms, `orientation` (1..8, by which the pixels were turned upright; 1 where the file states
        none or something else), `width` and `height` (upright, in pixels, at full size), `taken`
        (when, by the camera's clock, in seconds since the year 1; 0.0 if unknown) and `camera` (its
        model, or "").

    Raises:
        ValueError: as `decode_image`.
    """
    name = repr(printable_path(path)) if isinstance(path, (str, Path)) else "The file"
    try:
        with _open_regular(path) as file:
            return _describe_open_image(file, at_least)
    except FileNotFoundError as error:
        raise ValueError(f"There is no file {name}.") from error
    except IsADirectoryError as error:
        raise ValueError(f"{name} is a folder, not an image.") from error
    except UnidentifiedImageError as error:
        if pi_heif is None and is_heic(_first_bytes(path)):
            raise ValueError(f"{name} {NEEDS_HEIC}.") from error
        raise ValueError(f"{name} is not an image that Pillow can read.") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name} has too many pixels to be decoded safely.") from error
    except Exception as error:  # decoders report damage in any way, depending on the format
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = " ".join(reason.split()).rstrip(".")
        raise ValueError(f"{name} cannot be read as an image: {reason}.") from error


def _open_regular(
    path: str | Path | BinaryIO,
) -> contextlib.AbstractContextManager[BinaryIO]:
    """Open a file unless it is open, but never one that may keep the reader waiting forever.

    Raises:
        ValueError: it is a pipe, a socket or a device.
        OSError: it is not there, it is a folder, or it cannot be opened.
    """
    if not isinstance(path, (str, Path)):
        return contextlib.nullcontext(path)
    kind = os.stat(path).st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise ValueError(NOT_REGULAR)
    return open(path, "rb")


def is_heic(content: bytes) -> bool:
    """Tell from the brands in its header whether a file holds pictures coded in HEVC.

    Args:
        content: the file, or its first 200 bytes.
    """
    if content[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(content[:4]), len(content))
    brands = {content[start : start + 4] for start in (8, *range(16, end, 4))}
    # AVIF files carry the general brands mif1 and msf1, too.
    general = {b"mif1", b"msf1"} if brands.isdisjoint((b"avif", b"avis")) else set()
    return not brands.isdisjoint(HEVC_BRANDS | general)


def _first_bytes(path: str | Path | BinaryIO) -> bytes:
    """Return the first bytes of a file, which may be open."""
    if isinstance(path, (str, Path)):
        with open(path, "rb") as file:
            return file.read(200)
    path.seek(0)
    return path.read(200)


def _describe_open_image(file: BinaryIO, at_least: int | None) -> tuple[np.ndarray, dict]:
    """Do the work of `describe_image`, with whatever errors a decoder raises."""
    with Image.open(file) as image:
        frames = getattr(image, "n_frames", 1)
        # Phones store a photo's depth or brightness map as a second frame of an MPO file; a HEIC
        # file opens at the picture that it names as its first.
        if frames > 1 and image.format not in ("MPO", "HEIF"):
            raise ValueError(f"it has {frames} frames")
        width, height = image.size
        facts: dict[str, Any] = {"format": image.format, "mode": image.mode}
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        # Text, NaN and the like turn nothing in `exif_transpose`; 6.0 turns like 6.
        facts["orientation"] = int(orientation) if orientation in range(1, 9) else 1
        # Pillow gives the size of a TIFF file that lies on its side as the upright one.
        if facts["orientation"] >= 5 and image.format != "TIFF":
            width, height = height, width
        facts |= {"width": width, "height": height}
        if at_least:
            divisor = reduction(*image.size, at_least)
            image.draft("RGB", (image.width // divisor, image.height // divisor))
        pixels = _to_rgb(ImageOps.exif_transpose(image))
        # Last, because it forgives errors, and a PNG file shows its damage only once.
        facts |= _taken_and_camera(image)
        if at_least and facts["format"] == "HEIF":
            # Its decoder knows only the full size; that of JPEG averages blocks, as this does.
            pixels = np.asarray(Image.fromarray(pixels).reduce(divisor))
    if facts["format"] in ("JPEG", "MPO"):
        file.seek(0)
        _refuse_gaps(file.read())
    return pixels, facts


def _taken_and_camera(image: Image.Image) -> dict[str, Any]:
    """Return when a photo was taken and by which camera, as far as its EXIF data say so."""
    try:
        exif = image.getexif()
        noted = str(exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal, ""))
        camera = "".join(filter(str.isprintable, str(exif.get(ExifTags.Base.Model, "")))).strip()
        taken = datetime.datetime.strptime(noted.strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except Exception:  # Whatever is wrong with such a note, the photo itself can be used.
        return {"taken": 0.0, "camera": ""}
    return {"taken": (taken - datetime.datetime.min).total_seconds(), "camera": camera}


def _refuse_gaps(content: bytes) -> None:
    """Refuse a JPEG file that is missing data inside, which Pillow silently fills with grey.

    Raises:
        ValueError: the decoder met the end of a piece of the picture, or nonsense, too early.
    """
    try:
        simplejpeg.decode_jpeg(content, strict=True, min_height=1, min_width=1)
    except ValueError as error:
        # It also complains about harmless bytes between pieces, and about kinds that it cannot
        # read, such as CMYK.
        if any(words in str(error) for words in GAPS):
            raise ValueError(f"data is missing inside it, or damaged ({error})") from error


def printable_path(path: str | Path) -> str:
    """Return a path as text on one line; bytes that are not UTF-8 show as hex."""
    text = str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _to_rgb(image: Image.Image) -> np.ndarray:
    """Return an image's pixels in RGB: 16 bits as their upper 8, transparent parts on white."""
    if image.mode.startswith("I"):
        levels = np.asarray(image, dtype=np.int64)
        # 32-bit whole numbers (mode I) hold levels of 8 bits or of 16, and no file says which.
        if image.mode != "I" or levels.max() > 255:
            levels = levels // 256
        return np.repeat(np.clip(levels, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers without a known range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))


def blur_score(pixels: np.ndarray) -> float:
    """Return the variance of the Laplacian of an image's grey levels: low where it is blurred.

    The score depends on the size of the image; compare images of one size. The measure is that of
    Pech-Pacheco et al. (2000), with the four-neighbour kernel that OpenCV uses.

    Args:
        pixels: uint8 array of shape (height, width, 3), 0..255.
    """
    grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    centre = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * centre
    return float(laplacian.var())


def reduction(width: int, height: int, at_least: int) -> int:
    """Return the largest of 8, 4, 2, 1 that leaves the shorter side `at_least` pixels."""
    return next((d for d in (8, 4, 2) if min(width, height) // d >= at_least), 1)


def resize(pixels: np.ndarray, image_size: int) -> np.ndarray:
    """Stretch an image to a square: bilinear, half-pixel centres, no antialiasing.

    The same arithmetic as `tf.image.resize(..., antialias=False)`, TensorFlow's default. Pillow's
    and most browsers' high-quality resizers smooth first and give different pixels.

    Args:
        pixels: uint8 array of shape (height, width, 3), 0..255.
        image_size: side of the square in pixels.

    Returns:
        uint8 array of shape (image_size, image_size, 3), 0..255.
    """
    height, width = pixels.shape[:2]
    top, bottom, down = _neighbours(height, image_size)
    left, right, along = _neighbours(width, image_size)
    rows = pixels[np.concatenate([top, bottom])].astype(np.float32)
    upper, lower = rows[:image_size], rows[image_size:]
    along = along[:, None]
    above = upper[:, left] + (upper[:, right] - upper[:, left]) * along
    below = lower[:, left] + (lower[:, right] - lower[:, left]) * along
    # Row by row in memory, because clients such as MediaPipe ignore an array's strides.
    return np.rint(above + (below - above) * down[:, None, None]).astype(np.uint8, order="C")


def _neighbours(old_size: int, new_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the two old pixels between which each new one lies, and how far along it lies."""
    position = (np.arange(new_size, dtype=np.float32) + 0.5) * np.float32(old_size / new_size) - 0.5
    floor = np.floor(position)
    first = np.maximum(floor, 0).astype(int)
    second = np.minimum(floor + 1, old_size - 1).astype(int)
    return first, second, position - floor


def find_image_files(folder: str | Path) -> list[Path]:
    """Return the files below a folder whose names look like images, sorted."""
    return [path for path in _visible_files(folder) if path.suffix.lower() in IMAGE_SUFFIXES]


def find_other_files(folder: str | Path) -> list[Path]:
    """Return the files below a folder whose names do not look like images, sorted."""
    others = [path for path in _visible_files(folder) if path.suffix.lower() not in IMAGE_SUFFIXES]
    return [path for path in others if path.name.lower() not in SYSTEM_NAMES]


def _visible_files(folder: str | Path) -> list[Path]:
    """Return the files below a folder, sorted, but none that is hidden or in a hidden folder."""
    return sorted(
        Path(parent) / name
        for parent, _, names in os.walk(folder)
        for name in names
        if not name.startswith(".")
        and not any(part.startswith(".") for part in Path(parent).relative_to(folder).parts)
    )

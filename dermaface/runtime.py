"""Classify photos with a `.tflite` file: LiteRT, NumPy, Pillow and simplejpeg, no TensorFlow.

The pixel rule lives here, because the app on the phone has to follow it too.
"""

import contextlib
import hashlib
import json
import math
import os
from pathlib import Path
import stat
from typing import BinaryIO
import warnings

from dermaface import tflite_file
from dermaface.quiet import quiet
import fastjsonschema
import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
import simplejpeg

# Large photos are fine; Pillow still refuses what has twice as many pixels. Filters belong to the
# whole process: one that is set and taken back around each photo comes apart among threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def load_image(path: str | Path, image_size: int) -> np.ndarray:
    """Read a photo by the pixel rule.

    The rule: upright by EXIF, RGB, on white where it is transparent; decoded at 1/2, 1/4 or 1/8 of
    its size where its shorter side stays at least twice `image_size` (JPEG only); stretched to the
    square by `resize`; rounded to whole grey levels.

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
        path: an image file, or one that is open.
        at_least: a JPEG is decoded at the smallest of 1/8, 1/4, 1/2 of its size whose shorter side
            is still at least this many pixels; None decodes it at full size.

    Returns:
        uint8 array of shape (height, width, 3), 0..255.

    Raises:
        ValueError: there is no such file, it is not a regular file, it is not an image that can be
            read to its end, a JPEG lacks data inside, it has several frames, or so many pixels
            that it may be a decompression bomb.
    """
    return describe_image(path, at_least)[0]


def describe_image(
    path: str | Path | BinaryIO, at_least: int | None = None
) -> tuple[np.ndarray, dict[str, str | int]]:
    """Decode an image file and say what is in it.

    Args:
        path: as for `decode_image`.
        at_least: as for `decode_image`.

    Returns:
        What `decode_image` returns, and the file's `format` and `mode` (of its pixels) in Pillow's
        terms, `orientation` (1..8, by which the pixels were turned upright; 1 where the file states
        none or something else), `width` and `height` (upright, in pixels, at full size).

    Raises:
        ValueError: as `decode_image`.
    """
    is_path = isinstance(path, (str, Path))
    name = repr(printable_path(path)) if is_path else "The file"
    try:
        with _open_regular(path) if is_path else contextlib.nullcontext(path) as file:
            return _describe_open_image(file, at_least)
    except FileNotFoundError as error:
        raise ValueError(f"There is no file {name}.") from error
    except IsADirectoryError as error:
        raise ValueError(f"{name} is a folder, not an image.") from error
    except UnidentifiedImageError as error:
        raise ValueError(f"{name} is not an image that Pillow can read.") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name} has too many pixels to be safe to decode.") from error
    except Exception as error:  # decoders report damage in any way, depending on the format
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ValueError(f"{name} cannot be read as an image: {reason}.") from error


def _open_regular(path: str | Path) -> BinaryIO:
    """Open a file, but never one that may keep the reader waiting for ever.

    Raises:
        ValueError: it is a pipe, a socket or a device.
        OSError: it is not there, it is a folder, or it cannot be opened.
    """
    kind = os.stat(path).st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise ValueError(NOT_REGULAR)
    return open(path, "rb")


def _describe_open_image(file: BinaryIO, at_least: int | None) -> tuple[np.ndarray, dict]:
    """Do the work of `describe_image`, with whatever errors a decoder raises."""
    with Image.open(file) as image:
        frames = getattr(image, "n_frames", 1)
        # Phones store a photo's depth or brightness map as a second frame of an MPO file.
        if frames > 1 and image.format != "MPO":
            raise ValueError(f"it has {frames} frames")
        width, height = image.size
        facts = {"format": image.format, "mode": image.mode}
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        # Text, NaN and the like turn nothing in `exif_transpose`; 6.0 turns like 6.
        facts["orientation"] = int(orientation) if orientation in range(1, 9) else 1
        # Pillow gives the size of a lying TIFF file upright at once.
        if facts["orientation"] >= 5 and image.format != "TIFF":
            width, height = height, width
        facts |= {"width": width, "height": height}
        if at_least:
            image.draft("RGB", reduced_size(*image.size, at_least))
        pixels = _to_rgb(ImageOps.exif_transpose(image))
    if facts["format"] in ("JPEG", "MPO"):
        file.seek(0)
        _refuse_gaps(file.read())
    return pixels, facts


def _refuse_gaps(content: bytes) -> None:
    """Refuse a JPEG file that lacks data inside, which Pillow fills with grey without a word.

    Raises:
        ValueError: the decoder met the end of a piece of the picture, or nonsense, too early.
    """
    try:
        simplejpeg.decode_jpeg(content, strict=True, min_height=1, min_width=1)
    except ValueError as error:
        # It also complains about harmless bytes between pieces, and about kinds that it cannot
        # read, such as CMYK.
        if any(words in str(error) for words in GAPS):
            raise ValueError(f"data are missing inside or damaged ({error})") from error


GAPS = ("premature end of data segment", "bad Huffman code", "instead of RST")
NOT_REGULAR = "it is a pipe, a socket or a device, not a regular file"


def printable_path(path: str | Path) -> str:
    """Return a path as text on one line; bytes that are not UTF-8 show as hex."""
    text = str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _to_rgb(image: Image.Image) -> np.ndarray:
    """Return an image's pixels in RGB: 16 bits as their upper 8, transparent parts on white."""
    if image.mode.startswith("I"):
        levels = np.asarray(image, dtype=np.int64) // 256
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
    grey = pixels @ np.float32([0.299, 0.587, 0.114])
    centre = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * centre
    return float(laplacian.var())


def reduced_size(width: int, height: int, at_least: int) -> tuple[int, int]:
    """Return the size at 1/8, 1/4, 1/2 or 1/1 whose shorter side is still `at_least` pixels."""
    divisor = reduction(width, height, at_least)
    return width // divisor, height // divisor


def reduction(width: int, height: int, at_least: int) -> int:
    """Return the largest of 8, 4, 2, 1 that leaves the shorter side `at_least` pixels."""
    return next((d for d in (8, 4, 2) if min(width, height) // d >= at_least), 1)


def resize(pixels: np.ndarray, image_size: int) -> np.ndarray:
    """Stretch an image to a square: bilinear, half-pixel centres, no antialiasing.

    The same arithmetic as `tf.image.resize(..., antialias=False)`, TensorFlow's default. Pillow's
    and most browsers' high-quality resizers smooth first and give other pixels.

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
    # Row by row in memory, because clients such as MediaPipe take no notice of an array's strides.
    return np.rint(above + (below - above) * down[:, None, None]).astype(np.uint8, order="C")


def _neighbours(old_size: int, new_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the two old pixels between which each new one lies, and how far along it lies."""
    position = (np.arange(new_size, dtype=np.float32) + 0.5) * np.float32(old_size / new_size) - 0.5
    floor = np.floor(position)
    first = np.maximum(floor, 0).astype(int)
    second = np.minimum(floor + 1, old_size - 1).astype(int)
    return first, second, position - floor


# `blur_score` depends on the size, so it is always measured at this one.
BLUR_SIZE = 224


class Classifier:
    """A `.tflite` image classifier that carries its labels and says how to feed it.

    Attributes:
        labels: the classes in the order of the output.
        image_size: side of the square input in pixels.
        facts: what the file says of itself beyond that; empty for a file of another maker.
        notice: what the file wants its user told, or "".
    """

    def __init__(self, path: str | Path, labels: list[str] | None = None, num_threads: int = 2):
        """Load a file.

        Args:
            path: the `.tflite` file.
            labels: its classes, for a file that does not carry them.
            num_threads: processor threads for LiteRT.

        Raises:
            ValueError: the file is not there or damaged, does not take one RGB image, has no
                labels, or another number of labels than outputs.
        """
        path = Path(path)
        name = repr(str(path))
        if not path.is_file():
            raise ValueError(f"There is no model file {name}.")
        try:
            contents = tflite_file.read(path.read_bytes())
        except tflite_file.DamagedFileError as error:
            raise ValueError(f"{name} gives no answers. {error}") from error
        self.facts = contents.facts
        self.notice = contents.facts.get("notice", "")
        self._mean = 0.0 if contents.mean is None else contents.mean
        self._std = 1.0 if contents.std is None else contents.std
        self._interpreter = open_interpreter(contents.model, num_threads)
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]
        shape = [int(n) for n in self._input["shape"]]
        if len(shape) != 4 or shape[0] != 1 or shape[1] != shape[2] or shape[3] != 3:
            raise ValueError(f"{name} takes input of shape {shape}, not one square RGB image.")
        if self._input["dtype"] not in (np.float32, np.uint8, np.int8):
            raise ValueError(f"{name} takes {self._input['dtype'].__name__} input, not pixels.")
        self.image_size = shape[1]
        self.labels = list(labels) if labels else contents.labels
        num_classes = int(self._output["shape"][-1])
        if not self.labels:
            raise ValueError(
                f"{name} carries no labels, and nothing tells what its {num_classes} answers mean. "
                "Give its classes in their order with labels=[...], or use the file as it was "
                "released."
            )
        if len(self.labels) != num_classes:
            raise ValueError(
                f"{name} gives {num_classes} probabilities, but there are {len(self.labels)} "
                "labels. They belong to another model; no answer would be right."
            )

    def predict_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Return the probability of every class for one image.

        Args:
            pixels: uint8 array of shape (image_size, image_size, 3), 0..255, as from `load_image`.

        Returns:
            float32 array of shape (num_classes,).
        """
        values = (np.asarray(pixels, np.float32) - self._mean) / self._std
        self._interpreter.set_tensor(self._input["index"], to_input(values[None], self._input))
        self._interpreter.invoke()
        answer = self._interpreter.get_tensor(self._output["index"])[0]
        scale, zero_point = self._output["quantization"]
        if answer.dtype == np.float32 or not scale:
            return answer
        return (answer.astype(np.float32) - zero_point) * np.float32(scale)

    def predict(self, image: str | Path | np.ndarray, top: int = 3) -> list[tuple[str, float]]:
        """Return the `top` likeliest classes of a photo with their probabilities, likeliest first.

        Args:
            image: an image file, or a uint8 array of shape (height, width, 3), 0..255, upright.
            top: how many classes.

        Raises:
            ValueError: the image cannot be read.
        """
        if isinstance(image, np.ndarray):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise ValueError(
                    "An image array must be uint8 of shape (height, width, 3), 0..255; "
                    f"got {image.dtype} of shape {image.shape}."
                )
            pixels = resize(image, self.image_size)
        else:
            pixels = load_image(image, self.image_size)
        return self.name_best(self.predict_pixels(pixels), top)

    def name_best(self, probabilities: np.ndarray, top: int = 3) -> list[tuple[str, float]]:
        """Return the `top` likeliest classes with their probabilities, likeliest first.

        Args:
            probabilities: (num_classes,), as from `predict_pixels`.
            top: how many classes.
        """
        best = np.argsort(-probabilities, kind="stable")[:top]
        return [(self.labels[index], float(probabilities[index])) for index in best]


def to_input(values: np.ndarray, details: dict) -> np.ndarray:
    """Return numbers in the type of a file's input, quantized where it takes whole numbers.

    Args:
        values: float32, what the model's input stands for.
        details: the interpreter's description of the input.
    """
    kind = details["dtype"]
    scale, zero_point = details["quantization"]
    if kind == np.float32 or not scale:
        return values.astype(kind)
    limits = np.iinfo(kind)
    return np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max).astype(kind)


# --- A release proven by its receiver -------------------------------------------------------------

# How far an answer may lie off the expected probabilities. Kernels of other processors round other
# last digits; in 8 bits such a digit can grow on its way through the layers.
TOLERANCES = {"float32": 0.001, "float16": 0.005, "int8_weights": 0.005}
INTEGER_TOLERANCE = 0.05
GOLDEN_PICTURES = 10

_TEXT, _NUMBER, _SHA256 = {"type": "string"}, {"type": "number"}, {"pattern": "^[0-9a-f]{64}$"}
_LABELS = {"type": "array", "items": _TEXT, "minItems": 2}
# No folder, no drive: the pictures lie beside expected.json.
_FILE_NAME = {"type": "string", "pattern": r"^\w[\w.-]*$"}


def _record(**fields: dict) -> dict:
    """Return the JSON schema of an object that has these fields, and perhaps others."""
    return {"type": "object", "properties": fields, "required": list(fields)}


# What `check_release` needs of the two files.
MODEL_SCHEMA = _record(
    bytes={"type": "integer"},
    sha256=_TEXT | _SHA256,
    labels=_LABELS,
    variant=_TEXT,
    input=_record(
        shape={"type": "array", "items": {"type": "integer"}},
        type=_TEXT,
        range={"const": [0, 255]},
        scale=_NUMBER,
        zero_point=_NUMBER,
        pixel_rule=_TEXT,
    ),
)
EXPECTED_SCHEMA = _record(
    tolerance=_NUMBER,
    labels=_LABELS,
    pictures={
        "type": "array",
        "items": _record(
            picture=_FILE_NAME,
            picture_sha256=_TEXT | _SHA256,
            input=_FILE_NAME,
            input_sha256=_TEXT | _SHA256,
            predicted=_TEXT,
            probabilities={"type": "array", "items": _NUMBER | {"minimum": 0, "maximum": 1}},
        ),
    },
)


def check_release(folder: str | Path) -> list[str]:
    """Prove that a release folder is whole and that its model answers here as it did at home.

    How much is asked is fixed here, not by the folder: `GOLDEN_PICTURES` different pictures at the
    least, and the tolerance of the file's variant.

    Args:
        folder: `release/` of a run, as `release.write_release` makes it.

    Returns:
        What was checked, a line each.

    Raises:
        ValueError: something is missing or changed, the labels differ between the files, the model
            is not the variant that it claims to be, the folder asks for less than is fixed here, or
            an answer to a golden picture is off.
    """
    folder = Path(folder)
    path = folder / "model.tflite"
    described = _read_json(folder / "model.json", MODEL_SCHEMA)
    for needed in (path, folder / "labels.txt"):
        if not needed.is_file():
            raise ValueError(f"The release is incomplete: there is no {str(needed)!r}.")
    expected = _read_json(folder / "golden" / "expected.json", EXPECTED_SCHEMA)
    content = path.read_bytes()
    if len(content) != described["bytes"] or (
        hashlib.sha256(content).hexdigest() != described["sha256"]
    ):
        raise ValueError(
            f"{str(path)!r} is not the file that model.json describes: it has {len(content)} bytes "
            f"where {described['bytes']} are expected, or some of them have changed. Copy the "
            "release folder again."
        )
    classifier = Classifier(path)
    lines = [f"model.tflite: {len(content)} bytes, unchanged"]
    listed = (folder / "labels.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    if not classifier.labels == described["labels"] == expected["labels"] == listed:
        raise ValueError(
            "The labels in model.tflite, model.json, golden/expected.json and labels.txt differ. "
            "One of the four belongs to another model."
        )
    lines.append(f"labels: the same {len(listed)} in model.tflite, model.json and labels.txt")
    tflite_file.check_claim(content, described["variant"])
    found = tflite_file.audit(content)
    taken = described["input"]
    if found.input != (taken["type"].upper(), taken["scale"], taken["zero_point"]) or (
        taken["shape"] != [1, classifier.image_size, classifier.image_size, 3]
    ):
        raise ValueError("model.tflite takes another input than model.json says.")
    lines.append(f"variant: {found.kind}, takes {found.input[0].lower()} pixels 0..255")
    tolerance = TOLERANCES.get(found.kind, INTEGER_TOLERANCE)
    if expected["tolerance"] > tolerance:
        raise ValueError(
            f"golden/expected.json allows answers to lie {expected['tolerance']} off; for a file "
            f"of the variant {found.kind} no more than {tolerance} is right."
        )
    return lines + _replay_golden(folder / "golden", expected["pictures"], classifier, tolerance)


def _replay_golden(
    folder: Path, pictures: list[dict], classifier: Classifier, tolerance: float
) -> list[str]:
    """Ask the model about every golden picture and compare its answers with the expected ones.

    Raises:
        ValueError: there are too few, one is missing or changed, or an answer lies beyond the
            tolerance.
    """
    different = len({entry["input_sha256"] for entry in pictures})
    if different < GOLDEN_PICTURES:
        raise ValueError(
            f"golden/expected.json has {different} different pictures, where {GOLDEN_PICTURES} are "
            "needed to prove a file."
        )
    largest = 0.0
    for entry in pictures:
        probabilities = dict(zip(classifier.labels, entry["probabilities"], strict=False))
        if len(entry["probabilities"]) != len(classifier.labels) or (
            probabilities.get(entry["predicted"]) != max(entry["probabilities"])
        ):
            raise ValueError(
                f"golden/expected.json contradicts itself about {entry['picture']!r}: it must give "
                f"a probability for each of the {len(classifier.labels)} labels, and the highest "
                "to the one that is predicted."
            )
        for kind in ("picture", "input"):
            path = folder / entry[kind]
            if not path.is_file():
                raise ValueError(f"The golden picture {str(path)!r} is missing.")
            if hashlib.sha256(path.read_bytes()).hexdigest() != entry[f"{kind}_sha256"]:
                raise ValueError(f"The golden picture {str(path)!r} has changed.")
            answer = classifier.predict_pixels(load_image(path, classifier.image_size))
            off = float(np.abs(answer - entry["probabilities"]).max())
            largest = max(largest, off)
            if not off <= tolerance:
                guess = classifier.labels[int(answer.argmax())]
                raise ValueError(
                    f"For {str(path)!r}, the model says {guess} and {entry['predicted']} is "
                    f"expected; a probability is off by {off:.4f}, where {tolerance} is allowed. "
                    "This file or this runtime does not answer as was measured."
                )
    return [f"golden: {len(pictures)} pictures answered as expected, at most {largest:.4f} off"]


def _read_json(path: Path, schema: dict) -> dict:
    """Return what a JSON file of a release folder holds.

    Raises:
        ValueError: it is not there, damaged, or not as the schema has it.
    """
    if not path.is_file():
        raise ValueError(
            f"There is no {str(path)!r}. Name a release folder, such as outputs/RUN/release."
        )

    def to_number(text: str) -> float:
        # NaN and Infinity come here, and so does 1e999.
        if not math.isfinite(float(text)):
            raise ValueError(f"{text} is no number in JSON")
        return float(text)

    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text, parse_float=to_number, parse_constant=to_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is damaged: {error}.") from error
    try:
        return fastjsonschema.validate(schema, content)
    except fastjsonschema.JsonSchemaValueException as error:
        raise ValueError(f"{str(path)!r} is not as a release has it: {error}.") from error


def open_interpreter(
    model: str | Path | bytes, num_threads: int = 2, keep_all_tensors: bool = False
):
    """Return a LiteRT interpreter for a file or its bytes, ready to be fed.

    Args:
        model: the file's path, or its content.
        num_threads: processor threads.
        keep_all_tensors: whether the outputs of all layers can be read after a run; slower, because
            no memory is used twice and no layers are merged.

    Raises:
        ValueError: it is not a TFLite model that LiteRT can run.
    """
    with quiet():
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    content = model if isinstance(model, bytes) else Path(model).read_bytes()
    # LiteRT may crash on what only resembles a model; a TFLite flatbuffer names itself at byte 4.
    if content[4:8] != b"TFL3":
        name = "These bytes are" if isinstance(model, bytes) else f"{str(model)!r} is"
        raise ValueError(f"{name} not a TFLite model.")
    try:
        # The first interpreter of a process writes a note about its delegate to the terminal.
        with quiet(), contextlib.ExitStack() as stack:
            if keep_all_tensors:
                stack.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")  # it takes memory, as it should
            interpreter = Interpreter(
                model_content=content,
                num_threads=num_threads,
                experimental_preserve_all_tensors=keep_all_tensors,
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
                if keep_all_tensors
                else OpResolverType.AUTO,
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"LiteRT cannot run this model: {error}") from error
    return interpreter


def find_image_files(folder: str | Path) -> list[Path]:
    """Return the files below a folder that look like images by their names, sorted."""
    return sorted(
        Path(parent) / name
        for parent, folders, names in os.walk(folder)
        for name in names
        if Path(name).suffix.lower() in IMAGE_SUFFIXES
        and not name.startswith(".")
        and not any(part.startswith(".") for part in Path(parent).relative_to(folder).parts)
    )


IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .bmp .dib .gif .tif .tiff .ppm .mpo .avif".split()
)

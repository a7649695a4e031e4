"""What the function of `dermaface function` does with a request; needs only the base install.

The request is that of Flask (werkzeug), which whoever serves the function has.
"""

import base64
import binascii
from collections.abc import Mapping
import contextlib
import ctypes
import io
import json
import re
from typing import Any
import warnings

from dermaface.tflite.runtime import Classifier
from PIL import Image, UnidentifiedImageError

Image.init()
KINDS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
FORMATS = [name for name in KINDS if name in Image.OPEN]
LARGEST_BODY, MOST_READ = 10_000_000, 32_000_000  # bytes
# A photo is decoded whole unless it is a JPEG; these many pixels take about 1 GB (a HEIC photo
# of 48 megapixels, the largest that iPhones take, 0.9 GB), and main.py asks for 2 GB.
MOST_PIXELS = {"JPEG": 200_000_000, "MPO": 200_000_000, "HEIF": 50_000_000}
MOST_PIXELS_OTHERWISE = 25_000_000

# Pillow's warnings about odd photos would end up in the server's log.
warnings.filterwarnings("ignore", module="PIL")


class RefusedError(Exception):
    """A request that gets no answer, with the HTTP status and the headers that say so."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None):
        """Take what the client is told.

        Args:
            status: the HTTP status, 400..499.
            message: what was wrong and what to do.
            headers: further HTTP headers.
        """
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


def keep_memory_low() -> None:
    """Let the C library return the memory of each photo, before a process has threads.

    Without it, glibc gives every thread a pool of its own and keeps large blocks in it, and a
    server grows with each large photo. Other C libraries have no such settings, nor the fault.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(-8, 1)  # M_ARENA_MAX: one pool for all threads
        library.mallopt(-3, 65536)  # M_MMAP_THRESHOLD, in bytes: larger blocks lie outside it


def asks_for_health(request: Any) -> bool:
    """Tell whether a request asks for the function's health and not for an answer.

    Raises:
        RefusedError: its path or its method is not one of the two that there are.
    """
    methods = {"/": ("POST",), "/health": ("GET", "HEAD")}.get(request.path)
    if methods is None:
        raise RefusedError(404, "There is nothing here. POST one image to /.")
    if request.method not in methods:
        told = f"{request.path} takes {' or '.join(methods)}. POST one image to /."
        raise RefusedError(405, told, {"Allow": ", ".join(methods)})
    return request.path == "/health"


def read_body(request: Any) -> bytes:
    """Return the body of a request, and leave nothing of it behind.

    functions-framework reads to the end of a body whatever its length, so what is too long is read
    and thrown away here, up to `MOST_READ` bytes.

    Raises:
        RefusedError: it is too large, or ends too early.
    """
    parts, length = [], 0
    try:
        while length < MOST_READ and (part := request.stream.read(65536)):
            length += len(part)
            parts.append(part)
            if length > LARGEST_BODY:
                parts.clear()
    except Exception:
        # Without the cause, which may quote the body in a log.
        raise RefusedError(400, "The request is damaged, or ends too early.") from None
    finally:
        request.stream = io.BytesIO()
    if length > LARGEST_BODY:
        raise RefusedError(413, f"A request may have {LARGEST_BODY:,} bytes at most.")
    return b"".join(parts)


def find_photo(body: bytes, content_type: str) -> bytes:
    """Return the one image in a body: itself, the file in its form, or base64 in its JSON.

    Args:
        body: as from `read_body`.
        content_type: the header of this name, "" if there was none.

    Raises:
        RefusedError: it is of another type, damaged, or holds no image or several.
    """
    from werkzeug import exceptions, formparser, http

    kind, options = http.parse_options_header(content_type)
    kind = kind.lower()
    if kind == "multipart/form-data":
        # werkzeug would write a large file to the disk; here it stays in memory.
        parser = formparser.FormDataParser(
            stream_factory=lambda *_, **__: io.BytesIO(), max_form_parts=20, silent=False
        )
        try:
            _, _, files = parser.parse(io.BytesIO(body), kind, len(body), options)
        except (exceptions.HTTPException, ValueError) as error:
            raise RefusedError(400, f"The form is damaged: {error}.") from error
        sent = [file for _, file in files.items(multi=True) if file.filename]
        if len(sent) != 1:
            raise RefusedError(400, f"The form must hold one file; it holds {len(sent)}.")
        body = sent[0].read()
    elif kind == "application/json":
        body = _from_json(body)
    elif not kind.startswith("image/") and kind != "application/octet-stream":
        raise RefusedError(
            415,
            "Send the image with Content-Type image/jpeg or the like, application/octet-stream, "
            f"multipart/form-data or application/json; this came as {kind[:60] or 'nothing'}.",
        )
    if not body:
        raise RefusedError(400, "No image was sent: the body or the file is empty.")
    return body


def _from_json(body: bytes) -> bytes:
    """Return the image in a JSON body.

    Raises:
        RefusedError: it is not JSON, or not an object with the image in base64.
    """
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "The body is not JSON.") from error
    image = sent.get("image") if isinstance(sent, dict) else None
    if not isinstance(image, str):
        raise RefusedError(400, 'The JSON must be {"image": "the bytes in base64"}.')
    # What browsers write before it, and the line breaks of the command base64.
    image = re.sub(r"^data:image/[\w.+-]+;base64,", "", image)
    try:
        return base64.b64decode(re.sub(r"\s", "", image), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(400, f"The image is not in base64: {error}.") from error


def name_model(classifier: Classifier) -> dict[str, Any]:
    """Return the name, version and variant of a classifier's file."""
    return {name: classifier.facts.get(name) for name in ("name", "version", "variant")}


def answer(classifier: Classifier, content: bytes) -> dict[str, Any]:
    """Return what a classifier says of an image, ready for JSON.

    Args:
        classifier: used by one thread at a time.
        content: the image file.

    Returns:
        `predictions`, the three likeliest classes, each with `label` and `probability`; `sure`;
        `set`, the labels that may be true; `warnings`, sentences; and `model`.

    Raises:
        RefusedError: it is not an image that can be read, or has too many pixels.
    """
    try:
        # Pillow would pass other formats, such as EPS, to programs outside.
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            most = MOST_PIXELS.get(image.format or "", MOST_PIXELS_OTHERWISE)
            if image.width * image.height > most:
                raise RefusedError(422, f"An image of this kind may have {most:,} pixels at most.")
    except RefusedError:
        raise
    except UnidentifiedImageError as error:
        raise RefusedError(422, "This is not an image of a kind that is read here.") from error
    except Exception:  # noqa: S110 - whatever is wrong, the next lines say it in better words
        pass
    try:
        said = classifier.answer(io.BytesIO(content))
    except ValueError as error:
        raise RefusedError(422, str(error).replace("The file", "The image", 1)) from error
    told = [classifier.notice] if classifier.notice else []
    if said.pop("blurred"):
        told.append("The photo is blurred; the answer may be wrong.")
    return said | {"warnings": told, "model": name_model(classifier)}

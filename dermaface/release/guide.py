"""The README of a release, for whoever writes the app: `guide.md` with this model's numbers."""

from collections.abc import Mapping
from pathlib import Path
import string

from dermaface.release import web

TEMPLATE = Path(__file__).with_name("guide.md")
# What JavaScript calls an array of the type that the file takes.
ARRAYS = {"uint8": "Uint8Array", "float32": "Float32Array"}


def guide(description: Mapping, tolerance: float) -> str:
    """Return `README.md` of a release.

    Args:
        description: the content of `model.json`.
        tolerance: how far an answer to a golden picture may be off.
    """
    taken = description["input"]
    told = {name: description[name] for name in ("name", "version", "variant", "pixel_rule")}
    told |= {name: f"{description[name]:.4g}" for name in ("min_confidence", "set_threshold")}
    notice = f"\n\n> **{description['notice']}**" if description["notice"] else ""
    return string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        told,
        size=taken["shape"][1],
        type={"uint8": "bytes", "float32": "32-bit floats"}[taken["type"]],
        array=ARRAYS[taken["type"]],
        count=len(description["labels"]),
        kilobytes=f"{description['bytes'] / 1000:,.0f}",
        litertjs=web.LITERTJS,
        notice=notice,
        tolerance=tolerance,
    )

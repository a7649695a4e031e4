"""Where the walkthroughs lie, and what this computer lacks to run them.

`make test` reads them (tests/test_notebooks.py) and does not run them; `make test-walkthroughs`,
`make test-pytorch` and `make refresh-walkthroughs` run those that lack nothing here.
"""

import importlib.util
import os
from pathlib import Path

from dermaface import runs
from dermaface.model import backbones

FOLDER = runs.project_root() / "notebooks" / "walkthroughs"
FILES = sorted(FOLDER.glob("*.ipynb"))
# Walkthroughs on real photos, with weights that are not the project's; the others draw their own.
ON_CLOTHING = {"what_imagenet_knows"}
# What is set beside a run that must be there, and needs packages of its own.
IN_PYTORCH = "same_model_in_pytorch"


def lacking(walkthrough: str) -> str:
    """Return why a walkthrough cannot run here, or "" if it can."""
    if walkthrough == IN_PYTORCH and not importlib.util.find_spec("litert_torch"):
        return "PyTorch and LiteRT Torch are not installed: make test-pytorch"
    if walkthrough not in ON_CLOTHING:
        return ""
    photos = os.environ.get("DERMAFACE_TEST_DATA", "")
    if not photos or not (Path(photos) / "clothing").is_dir():
        return "real photos: DERMAFACE_TEST_DATA does not name a folder with clothing/ in it"
    weights = backbones.published_weights_path("mobilenet_v2")
    for name in (weights.name.replace("_no_top", ""), "imagenet_class_index.json"):
        if not weights.with_name(name).is_file():
            return f"real weights: KERAS_HOME does not hold {name}"
    return ""

"""Measure the data stage on large folders: time to check and split, and memory while training.

    python benchmarks/large_folders.py [--images 100000] [--memory 3000 30000]

Draws that many small JPEG files of 64 px into a temporary folder (250 MB), then lists, checks,
compares and splits them twice: a first look, and a second one that reads what was remembered.
Afterwards trains as notebook 03 does, one epoch per stage, on part of the files, each time in a
process of its own, and prints its peak memory. Takes half an hour on two processor cores.
"""

import argparse
from pathlib import Path
import subprocess
import sys
import tempfile
import time

from dermaface.photos import images
from dermaface.photos.copies import find_copies, group_copies
from dermaface.photos.splits import assign_splits
import numpy as np
from PIL import Image

# One epoch of the head on kept features, then one of the whole network on kept pixels.
TRAIN = """
import resource, sys
from dermaface.model import build
from dermaface.photos import images
from dermaface.quiet_tensorflow import keras
from dermaface.training import datasets, features
root, frame = images.find_images(sys.argv[1])
frame = frame.sample(int(sys.argv[2]), random_state=0)
augment = datasets.make_augmentation()
train_ds = datasets.make_dataset(frame, root, ["a", "b"], 32, datasets.Order(64))
model = build.build_model(2, "tiny", 32)
for at in ("head", model.layers[1].name):
    frozen, learner = build.split_model(model, at)
    kept = features.cache_features(
        frozen, train_ds, key={}, views=2, augment=augment, path=sys.argv[3],
        order=datasets.Order(shuffle=True),
    )
    learner.compile("adam", "categorical_crossentropy")
    learner.fit(kept, shuffle=False, verbose=0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def main() -> None:
    """Print the times and the peaks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--memory", type=int, nargs="*", default=[3_000, 30_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = draw(Path(temporary) / "data", options.images)
        for look in ("first look", "second look"):
            started = time.monotonic()
            _, frame = images.find_images(root)
            photos = images.check_images(root, frame, cache=Path(temporary) / "cache")
            checked = time.monotonic()
            copies = find_copies(root, photos, Path(temporary) / "cache")
            photos = assign_splits(group_copies(photos, copies))
            print(
                f"{look}: {len(photos)} files in {time.monotonic() - started:.0f} s "
                f"(checked in {checked - started:.0f} s; {len(copies)} pairs of copies)",
                flush=True,
            )
        for count in options.memory:
            done = subprocess.run(
                [sys.executable, "-c", TRAIN, str(root), str(count), str(Path(temporary) / "kept")],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            print(f"training on {count} files: peak {done.stdout.split()[-1]} MB", flush=True)


def draw(root: Path, count: int) -> Path:
    """Write `count` pictures of soft blobs, half of them in each of two classes."""
    generator = np.random.default_rng(0)
    for label in "ab":
        (root / label).mkdir(parents=True)
        for number in range(count // 2):
            blobs = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            picture = Image.fromarray(blobs).resize((64, 64), Image.Resampling.BILINEAR)
            picture.save(root / label / f"{number:06d}.jpg", quality=80)
    return root


if __name__ == "__main__":
    main()

"""Compare how fast photos come from this pipeline and from the two that Keras offers.

    python benchmarks/input_pipeline.py FOLDER [--images 1000] [--image-size 224]

FOLDER holds class folders. Prints images per second over ten passes, as in training, and the
ratios to Keras: once with the photos as they are, once enlarged to 12 megapixels. "Kept" decodes in
the first pass and then reads pixels from disk (`features.cache_pixels`); all others decode in every
pass. Two passes are measured, and the second also stands for the eight after it; each figure is the
median of three rounds, in which all take turns. Takes ten minutes on two processor cores.
"""

import argparse
from pathlib import Path
import shutil
import tempfile
import time

from dermaface.photos import images
from dermaface.photos.pixels import find_image_files
from dermaface.quiet_tensorflow import keras, tf
from dermaface.training import datasets, features
import numpy as np
from PIL import Image

BATCH_SIZE = 32
SHUFFLED = datasets.Order(BATCH_SIZE, shuffle=True)
PASSES = 10
# The same changes in both; Keras counts the rotation in degrees.
STRENGTHS = {"rotation": 0.05, "translation": 0.1, "zoom": 0.1, "contrast": 0.0}


def main() -> None:
    """Print one table per set of photos."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1000, help="photos per round")
    parser.add_argument("--large-images", type=int, default=64, help="12-megapixel ones per round")
    parser.add_argument("--image-size", type=int, default=224, help="pixels")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        chosen = copy_some(options.folder, Path(temporary) / "chosen", options.images)
        report("as they are", chosen, options)
        large = enlarge(chosen, Path(temporary) / "large", options.large_images)
        report("12 megapixels", large, options)


def copy_some(folder: Path, out: Path, count: int) -> Path:
    """Copy `count` photos, spread over the classes, and return the new folder."""
    root, frame = images.find_images(folder)
    for path in frame["path"].sample(min(count, len(frame)), random_state=0):
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / path, out / path)
    return out


def enlarge(folder: Path, out: Path, count: int) -> Path:
    """Write `count` of the photos at 12 megapixels and return the new folder."""
    for file in find_image_files(folder)[:: max(1, len(find_image_files(folder)) // count)]:
        with Image.open(file) as image:
            size = (4000, 3000) if image.width > image.height else (3000, 4000)
            (out / file.parent.name).mkdir(parents=True, exist_ok=True)
            image.convert("RGB").resize(size).save(out / file.parent.name / file.name, quality=90)
    return out


def report(name: str, folder: Path, options: argparse.Namespace) -> None:
    """Measure all pipelines on one folder, in turns, and print their speeds and ratios."""
    root, frame = images.find_images(folder)
    frame = images.check_images(root, frame)
    size = options.image_size
    class_names = sorted(set(frame["label"]))
    augment = datasets.make_augmentation(True, **STRENGTHS)

    def ours(augment=None):
        return datasets.make_dataset(frame, root, class_names, size, SHUFFLED, augment)

    def kept(augment=None):
        decoded = datasets.make_dataset(frame, root, class_names, size)
        return features.cache_pixels(decoded, key={}, augment=augment, order=SHUFFLED)

    def keras_generator():
        generator = tf.keras.preprocessing.image.ImageDataGenerator(
            horizontal_flip=True, rotation_range=360 * STRENGTHS["rotation"],
            width_shift_range=STRENGTHS["translation"], height_shift_range=STRENGTHS["translation"],
            zoom_range=STRENGTHS["zoom"], fill_mode="reflect",
        )  # fmt: skip
        return generator.flow_from_directory(root, (size, size), batch_size=BATCH_SIZE)

    def keras_directory():
        return keras.utils.image_dataset_from_directory(
            root, label_mode="categorical", image_size=(size, size), batch_size=BATCH_SIZE,
            verbose=False,
        )  # fmt: skip

    pipelines = {
        "ImageDataGenerator, augmented": keras_generator,
        "dermaface, augmented": lambda: ours(augment),
        "dermaface, augmented, kept": lambda: kept(augment),
        "image_dataset_from_directory": keras_directory,
        "dermaface": ours,
        "dermaface, kept": kept,
    }
    speeds = {key: [] for key in pipelines}
    for round_number in range(options.rounds + 1):
        for key, make in pipelines.items():
            started = time.perf_counter()
            batches = make()
            assert count_images(batches) == len(frame), key
            second = time.perf_counter()
            assert count_images(batches) == len(frame), key
            ended = time.perf_counter()
            if round_number:  # the first warms up the files and the graphs
                seconds = (second - started) + (PASSES - 1) * (ended - second)
                speeds[key].append(PASSES * len(frame) / seconds)
    print(f"\n{name}: {len(frame)} photos to {size} px, {PASSES} passes")
    medians = {key: float(np.median(values)) for key, values in speeds.items()}
    names = list(pipelines)
    for start in (0, 3):
        reference = medians[names[start]]
        for key in names[start : start + 3]:
            ratio = medians[key] / reference
            print(f"  {key:<31}{medians[key]:>8.0f} images per s, ratio {ratio:.2f}", flush=True)


def count_images(batches) -> int:
    """Return how many images one pass gives."""
    if isinstance(batches, tf.data.Dataset):
        return sum(len(batch[0]) for batch in batches)
    return sum(len(batches[number][0]) for number in range(len(batches)))


if __name__ == "__main__":
    main()

"""Compare how fast photos come from this pipeline and from the two that Keras offers.

    python benchmarks/input_pipeline.py FOLDER [--images 1000] [--image-size 224]

FOLDER holds class folders. Prints images a second, each the median of three rounds that take turns,
and the ratios to Keras; once with the photos as they are, once enlarged to 12 megapixels. Takes
about four minutes on two processor cores.
"""

import argparse
from pathlib import Path
import shutil
import tempfile
import time

from dermaface import datasets, images, runtime
from dermaface.quiet_tensorflow import keras, tf
import numpy as np
from PIL import Image

BATCH_SIZE = 32
# The same changes in both; Keras counts the rotation in degrees.
STRENGTHS = {"rotation": 0.05, "translation": 0.1, "zoom": 0.1, "contrast": 0.0}


def main() -> None:
    """Print a table a set of photos."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1000, help="photos a round")
    parser.add_argument("--large-images", type=int, default=64, help="of 12 megapixels a round")
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
    for file in runtime.find_image_files(folder)[
        :: max(1, len(runtime.find_image_files(folder)) // count)
    ]:
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
        return datasets.make_dataset(
            frame, root, class_names, size, BATCH_SIZE, shuffle=True, augment=augment
        )

    def keras_generator():
        generator = tf.keras.preprocessing.image.ImageDataGenerator(
            horizontal_flip=True, rotation_range=360 * STRENGTHS["rotation"],
            width_shift_range=STRENGTHS["translation"], height_shift_range=STRENGTHS["translation"],
            zoom_range=STRENGTHS["zoom"], fill_mode="reflect",
        )  # fmt: skip
        flow = generator.flow_from_directory(root, (size, size), batch_size=BATCH_SIZE)
        return (flow[number] for number in range(len(flow)))

    def keras_directory():
        return keras.utils.image_dataset_from_directory(
            root, label_mode="categorical", image_size=(size, size), batch_size=BATCH_SIZE,
            verbose=False,
        )  # fmt: skip

    pipelines = {
        "dermaface, augmented": lambda: ours(augment),
        "ImageDataGenerator, augmented": keras_generator,
        "dermaface": ours,
        "image_dataset_from_directory": keras_directory,
    }
    speeds = {key: [] for key in pipelines}
    for round_number in range(options.rounds + 1):
        for key, make in pipelines.items():
            batches = make()
            started = time.perf_counter()
            count = sum(len(batch[0]) for batch in batches)
            assert count == len(frame), (key, count)
            if round_number:  # the first warms up the files and the graphs
                speeds[key].append(count / (time.perf_counter() - started))
    print(f"\n{name}: {len(frame)} photos to {size} px")
    medians = {key: float(np.median(values)) for key, values in speeds.items()}
    for key, value in medians.items():
        print(f"  {key:<31}{value:>8.0f} images a second")
    first, second, third, fourth = medians.values()
    print(f"  ratios: augmented {first / second:.2f}, plain {third / fourth:.2f}", flush=True)


if __name__ == "__main__":
    main()

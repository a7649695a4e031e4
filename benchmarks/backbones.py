"""Try every backbone: build, train a step, save, reload, convert to strict int8, and compare.

    python benchmarks/backbones.py [NAME ...] [--image-size 0] [--images 110]

Prints a table. Weights are random, except those of `tiny` and, where Keras has them on disk, of
`mobilenet_v2`: this shows that each network survives the whole way, not how well it sees.
Random networks first get the BatchNormalization statistics of one batch, as training would give
them. After one step of fine-tuning, the head is set by logistic regression on the drawn pictures,
so that the classifier is decisive and its int8 file can be compared. Takes about ten minutes on
two processor cores, and 10 GB of memory, at the sizes for which the weights were made (--image-size
0).
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
from pathlib import Path
import tempfile
import time

from dermaface.evaluation.predictions import measure_latency, predict_tflite
from dermaface.model import backbones, build, hub
from dermaface.photos import images, sample
from dermaface.quiet_tensorflow import keras
from dermaface.tflite import convert
from dermaface.training import datasets
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler


def main() -> None:
    """Print a row for each backbone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="backbones; default: all")
    parser.add_argument("--image-size", type=int, default=0, help="pixels; 0: each one's own")
    parser.add_argument("--images", type=int, default=110, help="sample pictures to compare on")
    options = parser.parse_args()
    print(
        f"{'backbone':<20}{'weights':>11}{'px':>5}{'parameters':>12}{'same':>6}{'int8 MB':>9}"
        f"{'Keras':>7}{'agreement':>11}{'max diff':>10}{'int8 ms':>9}{'seconds':>9}"
    )
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        # Each in a process of its own, whose memory is freed at its end.
        ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool,
    ):
        folder = Path(folder)
        root, frame = images.find_images(sample.write_sample(folder / "sample", 20, defects=False))
        frame = frame.sample(frac=1, random_state=0).reset_index(drop=True)
        for name in options.names or [*backbones.BACKBONES, "hub"]:
            row = pool.submit(try_backbone, name, folder / name, root, frame, options).result()
            print(
                "{name:<20}{weights:>11}{px:>5}{parameters:>12,}{same:>6}{int8_mb:>9.2f}"
                "{keras:>7.3f}{agreement:>11.3f}{difference:>10.3f}{milliseconds:>9.1f}{seconds:>9.0f}".format(
                    **row
                ),
                flush=True,
            )


def try_backbone(name: str, folder: Path, root: Path, frame, options) -> dict:
    """Take one backbone the whole way and return what was measured."""
    started = time.monotonic()
    folder.mkdir()
    keras.utils.set_random_seed(0)
    class_names = sorted(set(frame["label"]))
    handle, weights = name, "random"
    image_size = (
        options.image_size or backbones.get_backbone(name.replace("hub", "tiny")).image_size
    )
    if name == "hub":  # a module made here from `tiny`
        pixels = keras.Input((image_size, image_size, 3))
        grid = backbones.apply_backbone("tiny", pixels)
        network = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(grid))
        handle, weights = hub.save_module(network, str(folder / "module")), "pretrained"
    elif name == "tiny" or (
        name == "mobilenet_v2" and backbones.published_weights_path(name).is_file()
    ):
        weights = "pretrained"
    model = build.build_model(len(class_names), handle, image_size, weights=weights)

    def dataset(rows):
        return datasets.make_dataset(rows, root, class_names, image_size, datasets.Order(16))

    if weights == "random":
        settle_statistics(model, next(iter(dataset(frame.tail(64)).unbatch().batch(64)))[0])
    build.set_trainable(model, backbones.get_backbone(handle).fine_tune_from)
    model.compile(keras.optimizers.Adam(1e-4), "categorical_crossentropy")
    model.fit(dataset(frame.tail(16)), shuffle=False, verbose=0)
    set_head(model, dataset(frame.tail(-options.images)))
    model.save(folder / "model.keras")
    held_out = dataset(frame.head(options.images))
    expected = model.predict(held_out, verbose=0)
    truth = [class_names.index(label) for label in frame.head(options.images)["label"]]
    same = np.array_equal(
        build.load_model(folder / "model.keras").predict(held_out, verbose=0), expected
    )

    convert.export_saved_model(model, folder / "saved_model")
    calibration = np.concatenate([x for x, _ in dataset(frame.tail(50)).as_numpy_iterator()])
    content = convert.convert(folder / "saved_model", "int8", calibration.astype("uint8"))
    answers = predict_tflite({"int8": content}, held_out)["int8"]
    return {
        "name": name,
        "weights": weights,
        "px": image_size,
        "parameters": model.count_params(),
        "same": "yes" if same else "NO",
        "int8_mb": len(content) / 1e6,
        "keras": (expected.argmax(axis=1) == truth).mean(),
        "agreement": (answers.argmax(axis=1) == expected.argmax(axis=1)).mean(),
        "difference": np.abs(answers - expected).max(),
        "milliseconds": measure_latency(content, repeats=10)[0],
        "seconds": time.monotonic() - started,
    }


def settle_statistics(model, pixels) -> None:
    """Set every BatchNormalization's mean and variance to those of one batch."""
    normalizations = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in normalizations]
    for layer in normalizations:
        layer.momentum = 0.0
    model(pixels, training=True)
    for layer, momentum in zip(normalizations, momenta, strict=True):
        layer.momentum = momentum


def set_head(model, dataset) -> None:
    """Set the last layer to a logistic regression on the features of a dataset."""
    features = keras.Model(model.input, model.get_layer("dropout").output)
    x = features.predict(dataset, verbose=0)
    y = np.concatenate([labels.argmax(axis=1) for _, labels in dataset.as_numpy_iterator()])
    scaler = StandardScaler().fit(x)
    regression = LogisticRegression(C=0.01, max_iter=500).fit(scaler.transform(x), y)
    kernel = regression.coef_.T / scaler.scale_[:, None]
    model.layers[-1].set_weights([kernel, regression.intercept_ - scaler.mean_ @ kernel])


if __name__ == "__main__":
    main()

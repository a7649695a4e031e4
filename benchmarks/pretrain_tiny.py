"""How the built-in backbone `tiny` was made: a small MobileNetV2 trained on textures drawn by code.

    python benchmarks/pretrain_tiny.py

draws a pool of pictures of general textures and marks (stripes, rings, cracks, clouds, ...), trains
the network to name each picture's family, and keeps the network's body as `tiny.weights.h5`. No
photo, no download and no picture of the sample set is involved.

A thin network of fifty layers learns this slowly from raw pictures, because their colours differ
much more than their textures. Two things let it learn in half an hour on two processor cores: it
starts on pictures of equal brightness and contrast and gets the raw ones bit by bit, and five more
heads ask for the answer on the way up (deep supervision; Lee et al., 2015). The learning rate
follows the clock, so the weights of two computers differ, and any length of training ends well.
"""

import argparse
import multiprocessing
import os
from pathlib import Path
import tempfile
import time

from dermaface.model.backbones import TINY_WEIGHTS
from dermaface.photos import textures
from dermaface.processors import count_processors
from dermaface.runs import atomic_path
import h5py
import numpy as np

ALPHA = 0.35
BATCH_SIZE = 64
PEAK_RATE = 3e-3
# The layers whose features the further heads read.
AUXILIARY = tuple(f"block_{number}_expand_relu" for number in (2, 4, 7, 11, 14))


def _draw_share(task):
    """Draw the pictures of one worker: `count` of them from one seed."""
    seed, count, size = task
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(textures.FAMILIES), size=count).astype("int32")
    images = np.stack(
        [textures.draw_texture(textures.FAMILIES[label], rng, size) for label in labels]
    )
    return images, labels


def make_pool(count, seed=5, size=textures.IMAGE_SIZE, processes=None):
    """Draw `count` pictures of random families.

    Returns:
        Images uint8 (count, size, size, 3) and labels int32 (count,). They depend on the seed,
        not on `processes`.
    """
    shares = [min(500, count - start) for start in range(0, count, 500)]
    tasks = [((seed, number), share, size) for number, share in enumerate(shares)]
    processes = processes or count_processors()
    if processes == 1 or len(tasks) == 1:
        parts = [_draw_share(task) for task in tasks]
    else:
        # Workers that each start threads of their own for matrices only keep one another waiting.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        with multiprocessing.get_context("spawn").Pool(processes) as workers:
            parts = workers.map(_draw_share, tasks, chunksize=1)
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def build_classifier():
    """Build the network: the backbone, and a linear head on it and on each auxiliary layer.

    Returns:
        The backbone, which takes (batch, side, side, 3) in -1..1, and the classifier, which takes
        the same and returns a list of logits (batch, len(FAMILIES)), the backbone's own first.
    """
    from dermaface.quiet_tensorflow import keras, tf

    backbone = keras.applications.MobileNetV2(
        input_shape=(None, None, 3), alpha=ALPHA, include_top=False, weights=None
    )
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.99  # 0.999 would lag behind in such a short training
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            # He's initialization for the nine inputs that each output has.
            layer.kernel.assign(tf.random.normal(layer.kernel.shape, stddev=(2 / 9) ** 0.5))
    read = [backbone.output, *(backbone.get_layer(name).output for name in AUXILIARY)]
    logits = [
        keras.layers.Dense(len(textures.FAMILIES))(keras.layers.GlobalAveragePooling2D()(features))
        for features in read
    ]
    return backbone, keras.Model(backbone.input, logits)


def make_dataset(pool):
    """Turn a pool into endless batches, each picture mirrored, turned and tinted at random.

    Args:
        pool: what `make_pool` returns.

    Returns:
        A `tf.data.Dataset` of float32 images (batch, side, side, 3), 0..255, and labels (batch,).
    """
    from dermaface.quiet_tensorflow import tf

    def vary(image, label):
        image = tf.image.random_flip_left_right(tf.cast(image, tf.float32))
        image = tf.image.rot90(image, tf.random.uniform((), 0, 4, tf.int32))
        gain = tf.random.uniform((1, 1, 3), 0.85, 1.18) * tf.random.uniform((), 0.8, 1.2)
        return tf.clip_by_value(image * gain + tf.random.uniform((), -20, 20), 0, 255), label

    dataset = tf.data.Dataset.from_tensor_slices(pool).shuffle(len(pool[1]), seed=0).repeat()
    dataset = dataset.map(vary, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.batch(BATCH_SIZE, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def train(classifier, pool, minutes, every_minute=lambda: None):
    """Train for a given time.

    Args:
        classifier: the second model of `build_classifier`.
        pool: what `make_pool` returns.
        minutes: how long; at least one batch is taken.
        every_minute: called about once a minute and at the end, to keep what has been reached.

    Returns:
        The share of families named correctly by the backbone's own head, one number per batch.
    """
    from dermaface.quiet_tensorflow import keras, tf

    optimizer = keras.optimizers.AdamW(PEAK_RATE, weight_decay=0.01)
    cross_entropy = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.05)
    evenness = tf.Variable(1.0)  # 1: all pictures of equal brightness and contrast; 0: raw ones
    auxiliary_weight = tf.Variable(0.5)

    @tf.function
    def step(images, labels):
        mean = tf.reduce_mean(images, (1, 2), keepdims=True)
        deviation = tf.math.reduce_std(images, (1, 2), keepdims=True)
        even = (images - mean) / (deviation + 5) * 50 + 128
        images = evenness * even + (1 - evenness) * images
        one_hot = tf.one_hot(labels, len(textures.FAMILIES))
        with tf.GradientTape() as tape:
            logits = classifier(images / 127.5 - 1, training=True)
            own, *auxiliary = [cross_entropy(one_hot, output) for output in logits]
            loss = own + auxiliary_weight * tf.add_n(auxiliary)
        weights = classifier.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)
        hits = tf.argmax(logits[0], 1, output_type=tf.int32) == labels
        return tf.reduce_mean(tf.cast(hits, tf.float32))

    begin = last = time.monotonic()
    accuracy, reported = [], 0
    for images, labels in make_dataset(pool):
        share = (time.monotonic() - begin) / (60 * minutes)
        if accuracy and share >= 1:
            break
        cosine = 0.5 * (1 + np.cos(np.pi * np.clip((share - 0.4) / 0.6, 0, 1)))
        optimizer.learning_rate = PEAK_RATE * min(1, 0.05 + share / 0.02) * cosine
        evenness.assign(np.clip((0.65 - share) / 0.35, 0, 1))
        auxiliary_weight.assign(0.5 if share < 0.7 else 0.2)
        accuracy.append(float(step(images, labels)))
        if time.monotonic() - last > 60:
            last = time.monotonic()
            print(
                f"{(last - begin) / 60:4.1f} min  {len(accuracy) * BATCH_SIZE:7,} pictures  "
                f"accuracy {np.mean(accuracy[reported:]):.3f}  evenness {float(evenness):.2f}",
                flush=True,
            )
            reported = len(accuracy)
            every_minute()
    every_minute()
    return accuracy


def save_weights(model, path):
    """Write a model's weights as a Keras weights file whose numbers are float16.

    Keras loads it like any other, and makes the numbers float32 again.

    Raises:
        ValueError: a weight does not fit into float16.
    """
    for layer in model.layers:
        for variable in layer.weights:
            if not np.isfinite(np.asarray(variable).astype("float16")).all():
                raise ValueError(f"{layer.name}/{variable.name} does not fit into float16.")
    with tempfile.TemporaryDirectory() as folder, atomic_path(Path(path)) as temporary:
        model.save_weights(f"{folder}/single.weights.h5")
        with h5py.File(f"{folder}/single.weights.h5") as single, h5py.File(temporary, "w") as half:

            def copy(name, item):
                if isinstance(item, h5py.Dataset):
                    half.create_dataset(name, data=item[()].astype("float16"))
                else:
                    half.require_group(name)

            single.visititems(copy)


def main(argv=None):
    """Draw, train, save and report."""
    parser = argparse.ArgumentParser(
        prog="python benchmarks/pretrain_tiny.py",
        description="Train the built-in backbone on textures drawn by code and save its weights.",
    )
    parser.add_argument(
        "--output", type=Path, default=TINY_WEIGHTS, help="the .weights.h5 to write"
    )
    parser.add_argument("--minutes", type=float, default=22, help="of training (default: 22)")
    parser.add_argument("--pictures", type=int, default=12_000, help="to draw (default: 12000)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    options = parser.parse_args(argv)

    begin = time.monotonic()
    pool = make_pool(options.pictures)
    print(
        f"{len(pool[1])} pictures of {len(textures.FAMILIES)} families drawn in "
        f"{time.monotonic() - begin:.0f} s",
        flush=True,
    )

    from dermaface.quiet_tensorflow import keras

    keras.utils.set_random_seed(options.seed)
    backbone, classifier = build_classifier()
    train(classifier, pool, options.minutes, lambda: save_weights(backbone, options.output))
    images, labels = make_pool(500, seed=6)
    logits, *_ = classifier.predict(images / 127.5 - 1, verbose=0)
    print(f"fresh pictures: accuracy {(logits.argmax(axis=1) == labels).mean():.3f}")
    size, minutes = options.output.stat().st_size, (time.monotonic() - begin) / 60
    print(f"{options.output}: {size:,} bytes, {minutes:.0f} minutes in all")


if __name__ == "__main__":
    main()

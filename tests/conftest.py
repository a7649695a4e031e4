"""What the tests share: a small sample set, a small model, and real photos if they are named."""

import gc
import os
from pathlib import Path
import sys
import tempfile

# Workers that share the processors gain nothing from threads that wait for each other. OpenBLAS
# reads this when NumPy is imported, so it comes before all that imports NumPy.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")

import cells
from dermaface import processors
from dermaface.model import backbones, build
from dermaface.photos import sample
from dermaface.photos.pixels import load_image
from dermaface.tflite import convert
from dermaface.tflite import file as tflite_file
import pytest
import walkthroughs
from xdist.scheduler import LoadScopeScheduling

# Where the notebooks' kernels under nbval write; set before the first kernel starts.
OUTPUT_ROOT = tempfile.TemporaryDirectory(prefix="dermaface-test-")
os.environ["DERMAFACE_OUTPUT_ROOT"] = OUTPUT_ROOT.name

# What is imported stays, and to look through it for garbage takes time.
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 50)

CLASS_NAMES = ["acne", "melasma", "vitiligo", "wrinkles"]

# Tests that share a slow fixture stay on one worker. The groups start in this order, the longest
# first, so that no worker waits for another at the end; then every other file by itself.
GROUPS = {
    "notebooks": ("test_sample_run",),
    "pipeline": ("test_pipeline",),
    "photos": ("test_photos",),
    "tflite_files": (
        "test_cli", "test_convert", "test_evaluation", "test_file", "test_function", "test_guide",
        "test_judge", "test_release", "test_runtime", "test_web",
    ),
    "drawn_sets": ("test_backbones", "test_sample"),
    "test_devices": ("test_devices",),
    "test_stages": ("test_stages",),
    "test_features": ("test_features",),
    "test_build": ("test_build",),
}  # fmt: skip
# `make test-fast` leaves out what is marked as slow, and what uses one of these.
SLOW_FIXTURES = {"clothing", "drawn_sets", "imagenet_weights", "quick", "small_model"}


def pytest_xdist_auto_num_workers():
    """Use the processors that this process may use, and no more memory than four workers take."""
    return min(processors.count_processors(), 4)


def group_of(nodeid):
    """Return the group of a test, by its file."""
    file = Path(nodeid.split("::")[0])
    if file.suffix == ".ipynb" and file.parent.name != walkthroughs.FOLDER.name:
        return "notebooks"
    return next((group for group, files in GROUPS.items() if file.stem in files), file.stem)


class GroupScheduling(LoadScopeScheduling):
    """Sends each group to one worker, in the order of the tests."""

    def _split_scope(self, nodeid):
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config, log):
    """Let pytest-xdist share out groups; its own `--dist loadgroup` fails with pytest 9.2."""
    return GroupScheduling(config, log)


def pytest_collection_modifyitems(items):
    """Put the groups in their order, mark what is slow, and blank numbers that may vary."""
    order = {group: number for number, group in enumerate(GROUPS)}
    items.sort(key=lambda item: order.get(group_of(item.nodeid), len(GROUPS)))
    for item in items:
        if (
            item.path.suffix == ".ipynb"
            or group_of(item.nodeid) == "notebooks"
            or SLOW_FIXTURES & set(item.fixturenames)
        ):
            item.add_marker("slow")
        if item.path in walkthroughs.FILES and (reason := walkthroughs.lacking(item.path.stem)):
            item.add_marker(pytest.mark.skip(reason=reason))
        if hasattr(item, "cell") and cells.NUMBERS_VARY_TAG in item.cell.metadata.get("tags", []):
            item.sanitize = cells.blank_numbers


@pytest.fixture(scope="module", autouse=True)
def forget_models():
    """Let Keras forget a module's models: the more it remembers, the slower the next ones."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory):
    """Return a sample set of twelve pictures per class, without defects.

    Of its seed, no answer of the small model is a near tie, which any rounding could turn.
    """
    folder = tmp_path_factory.mktemp("data") / "sample"
    return sample.write_sample(folder, 12, seed=3, defects=False)


@pytest.fixture(scope="session")
def drawn_sets(tmp_path_factory):
    """Return two sample sets without defects: 24 pictures a class, and 12 of another seed."""
    folder = tmp_path_factory.mktemp("drawn")
    return tuple(
        sample.write_sample(folder / str(count), count, seed, defects=False)
        for count, seed in ((24, 0), (12, 1))
    )


@pytest.fixture(scope="session")
def sample_pictures(sample_folder):
    """Return the four classes' pictures by the pixel rule, uint8 (48, 96, 96, 3), and classes."""
    import numpy as np

    files = [file for name in CLASS_NAMES for file in sorted((sample_folder / name).iterdir())]
    classes = np.array([CLASS_NAMES.index(file.parent.name) for file in files])
    return np.stack([load_image(file, 96) for file in files]), classes


@pytest.fixture(scope="session")
def small_model(sample_pictures):
    """Return a four-class model on the frozen tiny backbone that knows the sample pictures.

    Its head is a ridge regression in closed form, with a penalty so strong that the answers differ
    in how sure they are: a random head says nearly the same to every picture, whatever a file does.
    """
    import numpy as np

    model = build.build_model(len(CLASS_NAMES), backbone="tiny", image_size=96)
    front, _ = build.split_model(model)
    pixels, classes = sample_pictures
    features = front.predict(pixels.astype("float32"), verbose=0)
    centred = features - features.mean(axis=0)
    products = centred @ centred.T
    penalty = np.trace(products) / len(products) * np.eye(len(products))
    # Kernel and bias of a softmax: four times the regression on one-hot classes.
    targets = 4 * (np.eye(len(CLASS_NAMES))[classes] - 1 / len(CLASS_NAMES))
    kernel = centred.T @ np.linalg.solve(products + penalty, targets)
    model.get_layer("probabilities").set_weights([kernel, -features.mean(axis=0) @ kernel])
    return model


@pytest.fixture(scope="session")
def keras_answers(small_model, sample_pictures):
    """Return the small model's probabilities for the sample pictures, float32 (48, 4)."""
    return small_model.predict(sample_pictures[0].astype("float32"), verbose=0)


@pytest.fixture(scope="session")
def calibration(sample_pictures):
    """Return ten sample pictures, the classes in turn, uint8 (10, 96, 96, 3)."""
    pixels, _ = sample_pictures
    return pixels[[13 * number % len(pixels) for number in range(10)]]


@pytest.fixture(scope="session")
def converted(small_model, tmp_path_factory):
    """Return what the converter makes of the small model: three variants, as in notebook 05."""
    from dermaface.quiet import quiet
    from dermaface.quiet_tensorflow import tf

    folder = tmp_path_factory.mktemp("export") / "saved_model"
    convert.export_saved_model(small_model, folder)
    # One converter for all reads the SavedModel three times instead of six.
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    files = {}
    with quiet():
        files["float32"] = converter.convert()
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        files["dynamic"] = converter.convert()
        converter.target_spec.supported_types = [tf.float16]
        files["float16"] = converter.convert()
    return files


@pytest.fixture(scope="session")
def rounded(converted, calibration):
    """Return the float file of the small model with its weights on the 8-bit grid."""
    return convert.round_weights(converted["float32"], calibration)


@pytest.fixture(scope="session")
def tflite_files(converted, rounded, calibration):
    """Return every variant of the small model: name to content."""
    return converted | {
        "int8": convert.quantize(rounded, calibration),
        "int8_weights": convert.quantize_weights(rounded),
    }


@pytest.fixture(scope="session")
def labelled_file(tflite_files, tmp_path_factory):
    """Return the path of an int8 file that carries its labels, a notice and its limits."""
    path = tmp_path_factory.mktemp("labelled") / "model.tflite"
    facts = {"notice": sample.NOTICE, "min_confidence": 0.0, "blur_threshold": 15.0}
    path.write_bytes(tflite_file.embed(tflite_files["int8"], CLASS_NAMES, facts))
    return path


@pytest.fixture(scope="session")
def clothing():
    """Return the folder of real clothing photos, or skip."""
    folder = Path(os.environ.get("DERMAFACE_TEST_DATA", "")) / "clothing"
    if not os.environ.get("DERMAFACE_TEST_DATA") or not folder.is_dir():
        pytest.skip("real photos: DERMAFACE_TEST_DATA does not name a folder with clothing/ in it")
    return folder


@pytest.fixture(scope="session")
def imagenet_weights():
    """Skip where Keras has no ImageNet weights of MobileNetV2 on disk."""
    if not backbones.published_weights_path("mobilenet_v2").is_file():
        pytest.skip("real weights: KERAS_HOME does not hold MobileNetV2's ImageNet weights")

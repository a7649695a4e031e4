"""What the tests share: a small sample set, a small model, real photos where they are named."""

import os
from pathlib import Path
import tempfile

from dermaface import sample
import pytest

# Where the notebooks' kernels under nbval write; set before the first kernel starts.
OUTPUT_ROOT = tempfile.TemporaryDirectory(prefix="dermaface-test-")
os.environ["DERMAFACE_OUTPUT_ROOT"] = OUTPUT_ROOT.name

CLASS_NAMES = ["acne", "melasma", "vitiligo", "wrinkles"]


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory):
    """Return a sample set of twelve pictures a class."""
    return sample.write_sample(tmp_path_factory.mktemp("data") / "sample", images_per_class=12)


@pytest.fixture(scope="session")
def small_model():
    """Return an untrained four-class model on the frozen tiny backbone."""
    from dermaface import models
    from dermaface.quiet_tensorflow import keras

    keras.utils.set_random_seed(0)
    return models.build_model(len(CLASS_NAMES), backbone="tiny", image_size=96)


@pytest.fixture(scope="session")
def calibration(sample_folder):
    """Return ten sample pictures by the pixel rule, uint8 (10, 96, 96, 3)."""
    from dermaface import runtime
    import numpy as np

    files = runtime.find_image_files(sample_folder)[::14][:10]
    return np.stack([runtime.load_image(file, 96) for file in files])


@pytest.fixture(scope="session")
def tflite_files(small_model, calibration, tmp_path_factory):
    """Return every variant of the small model: name to content."""
    from dermaface import tflite

    folder = tmp_path_factory.mktemp("export") / "saved_model"
    tflite.export_saved_model(small_model, folder)
    return {name: tflite.convert(folder, name, calibration) for name in tflite.VARIANTS}


@pytest.fixture(scope="session")
def labelled_file(tflite_files, tmp_path_factory):
    """Return the path of an int8 file that carries its labels, a notice and its limits."""
    from dermaface import tflite_file

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
    from dermaface import backbones

    if not backbones.published_weights_path("mobilenet_v2").is_file():
        pytest.skip("real weights: KERAS_HOME does not hold MobileNetV2's ImageNet weights")

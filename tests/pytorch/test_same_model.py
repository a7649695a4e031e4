"""Tests of the walkthrough in PyTorch; they need torch, so `make test-pytorch` runs them."""

from dermaface import runs
from dermaface.evaluation import scores
from dermaface.model import backbones, build
from dermaface.photos.pixels import load_image
from dermaface.readings import same_model_in_pytorch as readings
from dermaface.release import contract
from dermaface.tflite import runtime
import nbformat
import numpy as np
import pytest
import walkthroughs

torch = pytest.importorskip("torch")
NOTEBOOK = walkthroughs.FOLDER / "same_model_in_pytorch.ipynb"
SAME = 1e-4


def cells_with(*words):
    """Return the source of the first cell that has each word, in the order of the notebook."""
    sources = [cell.source for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "code"]
    return [next(source for source in sources if word in source) for word in words]


def differences(backbone, image_size, pixels, folder):
    """Build and fill the network by the notebook's own cells; return how far its features are off.

    Args:
        backbone: of the Keras model that is carried over.
        image_size: side in pixels.
        pixels: by the pixel rule, uint8 (n, image_size, image_size, 3).
        folder: to keep the Keras model in.
    """
    run = runs.open_run("begun", folder)
    build.build_model(4, backbone, image_size).save(run.path("model_untrained.keras"))
    run.update(notebooks={"02_build_model": {"parameters": {"backbone": backbone, "alpha": 1.0}}})
    batch = torch.from_numpy(pixels)
    names = {
        "torch": torch, "nn": torch.nn, "np": np, "build": build, "backbones": backbones,
        "readings": readings, "run": run, "loaders": {"validation": [(batch, None)]},
        "photos": {"validation": [(photo, None) for photo in batch]},
    }  # fmt: skip
    for source in cells_with(
        "class Convolution", "class Bottleneck", "GROUPS", "permute((2, 3", "def look("
    ):
        exec(source, names)  # noqa: S102 (the notebook's own cells)
    return np.abs(names["features"]["validation"].numpy() - names["expected"])


def test_tiny_sees_the_same_in_both_on_drawn_pictures(sample_pictures, tmp_path, capsys):
    off = differences("tiny", 96, sample_pictures[0], tmp_path)
    assert off.shape == (48, 1280) and off.max() <= SAME
    assert "It is the same network" in capsys.readouterr().out


def test_mobilenet_sees_the_same_in_both_on_real_photos(clothing, imagenet_weights, tmp_path):
    files = [next(folder.iterdir()) for folder in sorted((clothing / "validation").iterdir())]
    pixels = np.stack([load_image(file, 224) for file in files])
    off = differences("mobilenet_v2", 224, pixels, tmp_path)
    assert len(off) == len(files) > 5 and off.max() <= SAME


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("before = 1 if self[0].stride == (1, 1) or x.shape[-1] % 2 else 0", "before = 1"),
        ("eps=0.001", "eps=0.00001"),
    ],
)
def test_padding_and_epsilon_matter(sample_pictures, tmp_path, monkeypatch, old, new):
    changed = nbformat.read(NOTEBOOK, 4)
    for cell in changed.cells:
        cell.source = cell.source.replace(old, new)
    assert changed != nbformat.read(NOTEBOOK, 4)
    monkeypatch.setattr(nbformat, "read", lambda *_: changed)
    assert differences("tiny", 96, sample_pictures[0][:4], tmp_path).max() > 10 * SAME


@pytest.fixture(scope="module")
def made():
    """Return the run that the notebook has just written, below nbval's folder."""
    run = runs.Run(runs.run_folder("pytorch"))
    if not run.path("release_int8").is_dir():
        pytest.skip("the notebook has not run: name it before tests/pytorch")
    return run


def test_both_files_pass_the_check_and_carry_their_labels(made):
    for variant in ("float32", "int8"):
        release = made.path(f"release_{variant}")
        contract.check_release(release)
        assert runtime.Classifier(release / "model.tflite").labels == made.class_names


def test_the_float_file_agrees_with_torch_on_every_test_photo(made):
    answers = scores.read_predictions(made).query("split == 'test'")
    assert len(answers) > 50
    classifier = runtime.Classifier(made.path("release_float32/model.tflite"))
    photos = [made.data_root / path for path in answers["path"]]
    told = np.stack([
        classifier.predict_pixels(load_image(photo, classifier.image_size)) for photo in photos
    ])  # fmt: skip
    expected = scores.probabilities_of(answers, made.class_names)
    assert (told.argmax(axis=1) == expected.argmax(axis=1)).all()
    assert np.abs(told - expected).max() < 1e-3

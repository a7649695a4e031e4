"""Tests of dermaface.plots: every figure draws, small, and returns nothing."""

import warnings

import matplotlib

matplotlib.use("Agg")

from dermaface import plots
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

NAMES = ["acne", "melasma", "vitiligo"]
IMAGES = pd.DataFrame(
    {"label": NAMES * 4, "split": ["train", "validation"] * 6, "width": 160, "height": 120}
)
HISTORY = pd.DataFrame(
    {
        "stage": ["head"] * 3 + ["fine_tune", "full"],
        "loss": [3, 2, 1, 0.8, 0.7],
        "accuracy": [0.3, 0.5, 0.7, 0.8, 0.9],
        "val_loss": [3, 2, 1.5, 1.2, 1.4],
        "val_accuracy": [0.3, 0.5, 0.6, 0.7, 0.6],
    }
)
METRICS = {"classes": {name: {"images": 5, "recall": 0.6} for name in NAMES}}
MISSING = {"classes": METRICS["classes"] | {"melasma": {"images": 0, "recall": None}}}
CONVERSION = pd.DataFrame(
    {"variant": ["float32", "int8"], "bytes": [1600000, 600000], "accuracy": [0.9, 0.89]}
)
TRIED = pd.DataFrame(
    {
        "name": ["learning rate 0.003, no inner layer, dropout 0.2", "learning rate 0.00001"],
        "accuracy": [0.9, 0.99],
        "val_accuracy": [0.8, 0.7],
    }
)
RANGE = {"smoothed": np.array([2.0, 1.0, 3.0]), "fastest": 0.01, "blows_up": None}
DIAGRAM = {"stage 1": [("photo", "data"), ("backbone", "frozen"), ("head", "learns")], "": []}
FIGURES = {
    "diagram": (DIAGRAM,),
    "range_test": ([1e-5, 0.01, 10], [2.1, np.nan, 90.0], RANGE, [0.001]),
    "settings": (TRIED, 0.7, 0.9),
    "differences": (np.eye(3), (-0.1, 0.2), (-0.3, 0.4)),
    "class_counts": (IMAGES, NAMES),
    "class_counts_without_split": (IMAGES.assign(split=""), NAMES),
    "image_sizes": (IMAGES,),
    "image_grid": ([np.zeros((200, 90, 3))] * 5, ["a\nb"] * 5),
    "curves": (HISTORY,),
    "confusion_matrix": (np.eye(3, dtype=int), NAMES),
    "class_recall": (METRICS, NAMES),
    "variants": (CONVERSION, 0.9, "int8"),
}


@pytest.fixture
def shown(monkeypatch):
    """Collect the figures that `plt.show` would show, as bytes of a JPEG."""
    shown = []

    def show():
        figure = plt.gcf()
        figure.canvas.draw()
        shown.append((tuple(figure.get_size_inches()), np.asarray(figure.canvas.buffer_rgba())))
        plt.close(figure)

    monkeypatch.setattr(plt, "show", show)
    plots.use_notebook_style()
    return shown


def test_notebooks_show_no_warning_that_does_not_name_its_photo(recwarn):
    plots.use_notebook_style()
    warnings.warn_explicit("odd", UserWarning, "file", 1, module="PIL.TiffImagePlugin")
    assert not recwarn


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_draws_once_at_the_agreed_width(name, shown):
    function = getattr(plots, name.removesuffix("_without_split"))
    assert function(*FIGURES[name]) is None
    ((size, pixels),) = shown
    assert size[0] in (4, 6, 8)
    assert pixels[..., :3].std() > 1, "the figure is blank"
    assert not plt.get_fignums()


def test_validation_is_dashed_and_training_solid(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    plots.curves(HISTORY)
    lines = {line.get_label(): line.get_linestyle() for line in plt.gcf().axes[0].get_lines()}
    plt.close("all")
    assert lines["training"] == "-" and lines["validation"] == "--"


def test_settings_are_named_in_words_of_at_most_two_short_lines(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    plots.settings(TRIED, 0.7, 0.9)
    names = [label.get_text() for label in plt.gcf().axes[0].get_yticklabels()]
    plt.close("all")
    assert [name.replace("\n", " ") for name in names] == TRIED["name"].tolist()
    assert max(len(line) for name in names for line in name.splitlines()) <= 40


def test_where_the_loss_blows_up_is_drawn_only_if_it_does(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    drawn = []
    for blows_up in (None, 1.0):
        plots.range_test([1e-5, 0.01, 10], [2, 1, 3], RANGE | {"blows_up": blows_up}, [0.001])
        axes = plt.gcf().axes[0]
        drawn.append({line.get_label() for line in axes.get_lines()})
        plt.gcf().canvas.draw()
        assert "0.00001" in [label.get_text() for label in axes.get_xticklabels()]
        plt.close("all")
    assert drawn[1] - drawn[0] == {"blows up"}


def test_a_class_without_photos_is_named_and_gets_no_dot(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    plots.class_recall(MISSING, NAMES)
    axes = plt.gcf().axes[0]
    plt.close("all")
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["acne", "melasma (no photo)", "vitiligo"]
    assert axes.get_lines()[0].get_ydata().tolist() == [0, 2]


@pytest.mark.parametrize("count", [0, 13])
def test_a_grid_has_one_to_twelve_images(count):
    with pytest.raises(ValueError, match="1 to 12 images"):
        plots.image_grid([np.zeros((8, 8, 3))] * count)


@pytest.mark.parametrize("name", ["a$b$c", r"$\nonsense$", "$"])
def test_dollar_signs_in_names_are_drawn_as_they_are(name, monkeypatch):
    with matplotlib.rc_context():
        plots.use_notebook_style()
        drawn = []
        monkeypatch.setattr(plt, "show", lambda: drawn.append(plt.gcf()))
        plots.image_grid([np.zeros((8, 8, 3))], [name])
        plots.class_counts(IMAGES.replace("acne", name), [name, *NAMES[1:]])
        for figure in drawn:
            figure.canvas.draw()
            texts = figure.findobj(matplotlib.text.Text)
            assert [text for text in texts if text.get_text() == name]
            assert not any(text.get_parse_math() for text in texts)
        plt.close("all")

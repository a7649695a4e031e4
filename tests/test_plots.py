"""Tests of dermaface.plots: every figure draws, small, and returns nothing."""

import io
import re
import warnings

import matplotlib

matplotlib.use("Agg")

from dermaface import plots
from dermaface.model import backbones
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image
import pytest

NAMES = ["acne", "melasma", "vitiligo"]
IMAGES = pd.DataFrame({"label": NAMES * 4, "split": ["train", "validation"] * 6})
HISTORY = pd.DataFrame(
    {
        "stage": ["head"] * 3 + ["fine_tune", "full"],
        "loss": [3, 2, 1, 0.8, 0.7],
        "accuracy": [0.3, 0.5, 0.7, 0.8, 0.9],
        "val_loss": [3, 2, 1.5, 1.2, 1.4],
        "val_accuracy": [0.3, 0.5, 0.6, 0.7, 0.6],
    }
)
RECALL = {"acne": 0.6, "melasma": 0.8, "vitiligo": 0.4}
METRICS = {
    "accuracy": 0.6,
    "classes": {
        name: {"images": 5, "precision": 0.5, "recall": recall, "f1": 0.5}
        for name, recall in RECALL.items()
    },
}
NOTHING = {"images": 0, "precision": None, "recall": None, "f1": None}
MISSING = METRICS | {"classes": METRICS["classes"] | {"melasma": NOTHING}}
LEARNT = pd.DataFrame({"photos": [5, 5, 20, 20], "accuracy": [0.5, 0.7, 0.8, 0.9]})
CONVERSION = pd.DataFrame(
    {
        "variant": ["float32", "int8"],
        "bytes": [1600000, 600000],
        "accuracy_drop": [0, 0.01],
        "drop_low": [-0.02, -0.01],
        "drop_high": [0.02, 0.03],
    }
)
LEVELS = np.random.default_rng(0).normal(0, 40, (8, 60))
TRIED = pd.DataFrame(
    {
        "name": ["learning rate 0.003, no inner layer", "learning rate 0.00001"],
        "val_loss": [0.6, 0.7],
        "accuracy": [0.9, 0.99],
        "val_accuracy": [0.8, 0.7],
    }
)
RANGE = {"smoothed": np.array([2.0, 1.0, 3.0]), "fastest": 0.01, "blows_up": None}
DIAGRAM = {"stage 1": [("photo", "data"), ("backbone", "frozen"), ("head", "learns")], "": []}
BLACK = Image.new("RGB", (20, 20))
SPREAD = {"val_loss": [0.5, 0.7], "val_accuracy": [0.8, 0.6]}
FACE = (np.zeros((20, 16, 3)), "a line", None)
PAIRS = pd.DataFrame({"same": [True, False, False], "similarity": [0.9, 0.4, -0.2]})
RATES = pd.DataFrame({"false_match": [0, 0.5, 1], "false_non_match": [0.5, 0.2, 0]})
FIGURES = {
    "diagram": (DIAGRAM,),
    "stages": ({"head": (410208, (1280,), 14091), "top": (0, (96, 96, 3), 396139)},),
    "range_test": ([1e-5, 0.01, 10], [2.1, np.nan, 90.0], RANGE, [0.001]),
    "settings": (TRIED, 0.7, 0.9),
    "differences": (np.eye(3), (-0.1, 0.2), (-0.3, 0.4)),
    "class_counts": (IMAGES, NAMES),
    "class_counts_without_split": (IMAGES.assign(split=""), NAMES),
    "picture_hashes": ({"a": BLACK, "b": BLACK}, {"a": np.eye(8) > 0, "b": np.eye(8) < 1}),
    "image_grid": ([np.zeros((200, 90, 3))] * 5, ["a\nb"] * 5),
    "curves": (HISTORY,),
    "curves_of_one_epoch": (HISTORY[:1],),
    "confusion_matrix": (np.eye(3, dtype=int), NAMES),
    "confusion_matrix_of_many": (np.eye(30, dtype=int), [f"class {n}" for n in range(30)]),
    "class_recall": (METRICS, NAMES),
    "network_ways": (backbones.get_backbone("tiny"), (3, 3, 1280), 11),
    "picture_rows": ({"a": [np.eye(3)] * 9, "b": [np.zeros((4, 4, 3))]},),
    "feature_maps": (np.ones((8, 8, 3)), {"a": np.eye(9)[:, :, None] * np.arange(9)}),
    "accuracy_by_photos": (LEARNT, 0.9),
    "variants": (CONVERSION, "int8"),
    "side_by_side": ({name: [HISTORY, HISTORY[:1]] for name in "abcd"},),
    "side_by_side_of_two": ({name: [HISTORY] for name in "ab"},),
    "seed_spread": ({name: pd.DataFrame(SPREAD) for name in ("none", "L2")},),
    "thresholds": (np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.5, 0.9]), [0.3, 0.95]),
    "weight_levels": (LEVELS, np.rint(LEVELS)),
    "contact_sheet": ([[FACE] * 3, [(*FACE[:2], True), (*FACE[:2], False)]], ["a", "b"]),
    "contact_sheet_without_lines": ([[(FACE[0], "", None)] * 8],),
    "similarities": ({"before": PAIRS, "after": PAIRS}, {"before": 0.5, "after": 0.3}),
    "error_trade": ({"before": RATES, "after": RATES},),
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
    function = getattr(plots, re.sub("_(of|without)_.*", "", name))
    assert function(*FIGURES[name]) is None
    ((size, pixels),) = shown
    assert size[0] in (4, 6, 8)
    assert pixels[..., :3].std() > 1, "the figure is blank"
    assert not plt.get_fignums()


def test_a_diagram_names_every_kind_of_box_but_steps(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    for kinds in (["data", "step", "frozen"], ["file", "learns"], ["step"]):
        plots.diagram({"": [("a box", kind) for kind in kinds]})
        legend = plt.gcf().axes[0].get_legend()
        named = [text.get_text() for text in legend.get_texts()] if legend else []
        plt.close("all")
        assert named == sorted(set(kinds) - {"step"}, key=list(plots.BOX_COLOURS).index)


def test_validation_is_dashed_and_training_solid(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    plots.curves(HISTORY)
    lines = {line.get_label(): line.get_linestyle() for line in plt.gcf().axes[0].get_lines()}
    plt.close("all")
    assert lines["training"] == "-" and lines["validation"] == "--"


def test_ways_share_their_axes_and_each_seed_has_two_lines(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    plots.side_by_side({"none": [HISTORY] * 3, "L2": [HISTORY[:2]] * 3}, worst=1.5)
    first, second = plt.gcf().axes
    assert [len(axes.get_lines()) for axes in (first, second)] == [6, 6]
    assert first.get_title() == "none" and second.get_title() == "L2"
    assert first.get_ylim() == second.get_ylim() == (0, 1.5)
    assert first.get_xlim() == second.get_xlim()
    plt.close("all")


def test_the_band_of_the_seeds_is_that_of_the_first_way(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    ways = {"none": pd.DataFrame(SPREAD), "L2": pd.DataFrame(SPREAD) / 2}
    plots.seed_spread(ways)
    loss, accuracy = plt.gcf().axes
    for axes, ends in ((loss, (0.5, 0.7)), (accuracy, (0.6, 0.8))):
        (band,) = axes.patches
        assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx(ends)
    assert [list(line.get_xdata()) for line in loss.get_lines()[::2]] == [[0.5, 0.7], [0.25, 0.35]]
    plt.close("all")


def test_thresholds_are_marked_where_they_cut_the_curve(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    plots.thresholds(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.5, 0.9]), [0.3, 0.6])
    roc = plt.gcf().axes[0]
    marked = [tuple(map(float, (*x.get_xdata(), *x.get_ydata()))) for x in roc.get_lines()[2:]]
    assert marked == [(0.5, 1.0), (0.0, 0.5)]
    plt.close("all")


def test_settings_are_named_in_short_lines_beside_their_loss(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    plots.settings(TRIED, 0.7, 0.9)
    assert plt.gcf().axes[0].get_lines()[0].get_xdata().tolist() == [0.6, 0.7]
    names = [label.get_text() for label in plt.gcf().axes[0].get_yticklabels()]
    plt.close("all")
    assert [name.replace("\n", " ") for name in names] == TRIED["name"].tolist()
    assert max(len(line) for name in names for line in name.splitlines()) <= 28


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


def test_the_marked_epoch_is_counted_over_all_stages(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    plots.curves(HISTORY)
    for axes in plt.gcf().axes:
        dot = axes.get_lines()[2]
        assert dot.get_xdata().tolist() == [4] and "epoch 4: lowest" in dot.get_label()
        assert [t.get_text().strip() for t in axes.texts] == ["head", "fine-tuning", "everything"]
    plt.close("all")


def test_a_confusion_matrix_shows_each_count_and_no_zero(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    plots.confusion_matrix(np.array([[7, 0, 2], [0, 8, 0], [1, 0, 0]]), NAMES)
    (axes,) = plt.gcf().axes
    shown = {text.get_position(): text.get_text() for text in axes.texts if text.get_text()}
    plt.close("all")
    assert shown == {(0.5, 0.5): "7", (2.5, 0.5): "2", (1.5, 1.5): "8", (0.5, 2.5): "1"}


def test_the_weakest_class_comes_first_and_one_without_photos_last_without_a_dot(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    plots.class_recall(MISSING, NAMES)
    axes = plt.gcf().axes[0]
    plt.close("all")
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["vitiligo (2 of 5)", "acne (3 of 5)", "melasma (no photo)"]
    assert axes.get_lines()[0].get_xdata().tolist() == [0.4, 0.6]
    assert axes.get_lines()[0].get_ydata().tolist() == [0, 1]


def test_accuracies_are_drawn_only_where_they_differ(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    for drops, labels in (
        ([0, 0.01], ["size (KB)", "points of accuracy lost, with 95 % interval"]),
        ([0, 0], ["size (KB)"]),
    ):
        plots.variants(CONVERSION.assign(accuracy_drop=drops), "int8")
        assert [axes.get_xlabel() for axes in plt.gcf().axes] == labels
        plt.close("all")


def test_as_many_arrows_miss_the_nearest_level_as_in_the_layer(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    for share in (0.0, 0.25, 1.0):
        stored = np.rint(LEVELS) + (np.argsort(np.argsort(LEVELS)) % 4 < 4 * share)
        plots.weight_levels(LEVELS, stored)
        colours = [arrow.arrowprops["color"] for arrow in plt.gcf().axes[1].texts]
        plt.close("all")
        assert len(colours) == 12 and colours.count("#dd8452") == 12 * share


@pytest.mark.parametrize("weights", [LEVELS, np.zeros((3, 40)), np.array([[0.0, 127.0]])])
def test_an_arrow_leads_from_each_shown_weight_to_its_level(weights, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    stored = np.rint(weights) + (np.arange(weights.shape[1]) % 2)
    plots.weight_levels(weights, stored)
    right = plt.gcf().axes[1]
    plt.close("all")
    assert right.texts and len(right.texts) == len(right.get_lines())
    for arrow in right.texts:
        assert arrow.xy[0] in np.unique(stored) and arrow.xyann[0] in np.unique(weights)
        near = np.rint(arrow.xyann[0]) == arrow.xy[0]
        assert arrow.arrowprops["color"] == ("#4c72b0" if near else "#dd8452")


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


def test_a_figure_as_a_file_is_drawn_in_the_same_style_without_a_notebook(recwarn):
    content = plots.as_jpeg(plots.curves, HISTORY)
    with Image.open(io.BytesIO(content)) as picture:
        assert (picture.format, *picture.size) == ("JPEG", 8 * 144, 460)
    assert not plt.get_fignums() and not recwarn


def test_letters_that_the_font_lacks_are_known():
    assert plots.can_write("Größe <&$ é") and not plots.can_write("a 皮肤")


def test_of_many_maps_the_liveliest_stand_beside_the_photo(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    maps = np.eye(9)[:, :, None] * np.arange(9)
    plots.feature_maps(np.ones((8, 8, 3)), {"a layer": maps})
    figure = plt.gcf()
    plt.close("all")
    assert [text.get_text() for text in figure.texts] == ["a layer: 9 x 9 x 9"]
    assert len(figure.axes) == 8
    shown = [axes.get_images()[0].get_array() for axes in figure.axes[1:]]
    assert all(picture.max() == 1 for picture in shown), "a blank map is not lively"


def test_every_draw_is_a_dot_and_the_line_goes_through_their_means(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    plots.accuracy_by_photos(LEARNT, 0.9)
    lines = {line.get_label(): line for line in plt.gcf().axes[0].get_lines()}
    plt.close("all")
    assert lines["a draw"].get_ydata().tolist() == [0.5, 0.7, 0.8, 0.9]
    assert lines["mean of the draws"].get_ydata().tolist() == pytest.approx([0.6, 0.85])
    assert set(lines["all photos"].get_ydata()) == {0.9}


def test_frames_tell_right_from_wrong(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    plots.contact_sheet([[FACE, (*FACE[:2], True), (*FACE[:2], False)]])
    frames = [axes.spines["left"] for axes in plt.gcf().axes]
    assert [frame.get_visible() for frame in frames] == [False, True, True]
    right, wrong = (matplotlib.colors.to_hex(frame.get_edgecolor()) for frame in frames[1:])
    assert right == plots.SPLIT_COLOURS["train"] and wrong == plots.SPLIT_COLOURS["validation"]
    assert [axes.get_xlabel() for axes in plt.gcf().axes] == ["a line"] * 3
    plt.close("all")


def test_each_kind_of_pairs_is_a_whole_of_its_own(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    plots.similarities({"one": PAIRS}, {"one": 0.3})
    (axes,) = plt.gcf().axes
    heights = [sum(bar.get_height() for bar in bars) for bars in axes.containers]
    assert heights == pytest.approx([100, 100])
    assert axes.lines[0].get_xdata()[0] == 0.3
    plt.close("all")


def test_answers_draw_a_row_for_each_photo():
    photo, square = np.zeros((40, 60, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)
    best = [{"label": "a" * 40, "probability": 0.7}, {"label": "b", "probability": 0.3}]
    said = [{"predictions": best, "sure": True}, {"predictions": best, "sure": False}]
    plots.answers([photo] * 2, [square] * 2, said)
    axes = plt.gcf().axes
    assert len(axes) == 6
    assert [axes[n].get_title() for n in (2, 5)] == ["sure", "not sure"]
    assert [bar.get_width() for bar in axes[5].patches] == [0.7, 0.3]
    assert len(axes[2].get_yticklabels()[0].get_text()) <= 20

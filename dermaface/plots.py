"""Every figure of the notebooks; each function draws one and returns nothing."""

from collections.abc import Callable, Mapping, Sequence
import io
import textwrap
from typing import Any
import warnings

import dermaface.quiet  # noqa: F401  (holds back Matplotlib's notes, so it comes first)
from matplotlib import font_manager
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import FancyBboxPatch, Patch
import matplotlib.pyplot as plt
from matplotlib_inline.backend_inline import set_matplotlib_formats
import numpy as np
import pandas as pd
from PIL import Image
import seaborn as sns
import sklearn.metrics

SPLIT_COLOURS = {"train": "#4c72b0", "validation": "#dd8452", "test": "#55a868"}
# The fills of the boxes of a diagram, by what a box stands for.
BOX_COLOURS = {
    "step": "#eeeeee",
    "data": "#dbe5f3",
    "frozen": "#9db4d3",
    "learns": "#fbd9bf",
    "file": "#d5ead9",
}
STAGES = {"head": "head", "fine_tune": "fine-tuning", "full": "everything"}
MAX_THUMBNAILS = 12


def use_notebook_style(quality: int = 80) -> None:
    """Set one style: figures as small JPEGs with a light grid, tables whose texts are not cut.

    Names are drawn as they are, also with dollar signs, between which Matplotlib reads formulas.
    Pillow's warnings of odd photos are left out, for they do not say which photo they mean.

    Args:
        quality: of the JPEGs, 1..95; less where a notebook shows many photos.
    """
    warnings.filterwarnings("ignore", module="PIL")
    _set_style()
    pd.set_option("display.max_colwidth", None)
    set_matplotlib_formats("jpeg", pil_kwargs={"quality": quality}, bbox_inches=None)


def _set_style() -> None:
    """Set what all figures have in common."""
    sns.set_theme(context="notebook", style="whitegrid", font_scale=0.8)
    plt.rcParams.update({"figure.dpi": 96, "figure.constrained_layout.use": True})
    plt.rcParams["text.parse_math"] = False


def as_jpeg(draw: Callable[..., None], *arguments: object) -> bytes:
    """Return as a JPEG file what a function of this module draws, for pages outside notebooks.

    Args:
        draw: such as `curves`.
        arguments: for it.
    """
    content = io.BytesIO()
    plt.switch_backend("Agg")
    with plt.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* is non-interactive")
        _set_style()
        draw(*arguments)
        plt.savefig(content, format="jpeg", dpi=144, pil_kwargs={"quality": 85})
        plt.close()
    return content.getvalue()


def can_write(text: str) -> bool:
    """Tell whether the letters of a text are in the font that every Matplotlib brings."""
    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    return all(font.get_char_index(ord(letter)) for letter in text)


def diagram(rows: dict[str, Sequence[tuple[str, str]]]) -> None:
    """Draw boxes joined by arrows from left to right, one row for each entry.

    Args:
        rows: for each row its name, drawn at the left, and its boxes: what is written in the box,
            in lines of at most 16 letters or so, and what it stands for, a key of `BOX_COLOURS`.
            A legend names every kind that occurs but "step".
    """
    columns = max(len(boxes) for boxes in rows.values())
    margin = 0.17 if any(rows) else 0.0
    step = (1 - margin) / columns
    width, height = 0.82 * step, 0.72
    _, axes = plt.subplots(figsize=(8, 0.85 * len(rows) + 0.35))
    for row, (name, boxes) in enumerate(rows.items()):
        middle = len(rows) - row - 0.5
        axes.text(0, middle, name, va="center", fontsize=9, color="#444444")
        for column, (text, kind) in enumerate(boxes):
            left = margin + column * step
            axes.add_patch(
                FancyBboxPatch(
                    (left, middle - height / 2), width, height, facecolor=BOX_COLOURS[kind],
                    edgecolor="#8c8c8c", boxstyle="round,pad=0,rounding_size=0.01",
                    mutation_aspect=6,
                )
            )  # fmt: skip
            axes.text(left + width / 2, middle, text, ha="center", va="center", fontsize=8)
            if column:
                axes.annotate(
                    "", (left, middle), (left - step + width, middle),
                    arrowprops={"arrowstyle": "-|>", "color": "#666666", "shrinkA": 1},
                )  # fmt: skip
    used = {kind for boxes in rows.values() for _, kind in boxes} - {"step"}
    patches = [
        Patch(facecolor=colour, edgecolor="#8c8c8c", label=kind)
        for kind, colour in BOX_COLOURS.items()
        if kind in used
    ]
    if patches:
        axes.legend(handles=patches, frameon=False, ncols=4, loc="lower right", borderpad=0,
                    bbox_to_anchor=(1, 1), fontsize=8)  # fmt: skip
    axes.set(xlim=(-0.004, 1), ylim=(0, len(rows)))
    axes.axis("off")
    plt.show()


def stages(cuts: dict[str, tuple[int, Sequence[int], int]]) -> None:
    """Draw for each stage of training what is frozen, what is kept of a photo, and what learns.

    Args:
        cuts: by the stage's name, the weights in the frozen front, the shape of what it makes of
            a photo, and the weights that learn.
    """
    diagram(
        {
            name: [
                ("photo", "data"),
                (f"front\n{frozen:,}\nweights", "frozen") if frozen else ("no front", "step"),
                (
                    f"kept\n{' x '.join(map(str, shape))}\n{'features' if frozen else 'pixels'}",
                    "file",
                ),
                (f"rest\n{learning:,}\nfree weights", "learns"),
                ("probabilities", "data"),
            ]
            for name, (frozen, shape, learning) in cuts.items()
        }
    )


def class_counts(images: pd.DataFrame, class_names: Sequence[str]) -> None:
    """Draw how many images each class has in each split.

    Args:
        images: the kept rows of `images.csv`.
        class_names: the classes in index order.
    """
    counts = images.groupby(["label", "split"]).size().unstack(fill_value=0)
    splits = [split for split in ("", *SPLIT_COLOURS) if split in set(images["split"])]
    counts = counts.reindex(index=class_names, columns=splits, fill_value=0)
    colours = [SPLIT_COLOURS.get(split, "#8c8c8c") for split in counts.columns]
    height = max(2.5, 0.22 * len(class_names) + 1)
    axes = counts.plot.barh(stacked=True, color=colours, width=0.8, figsize=(6, height)).axes
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="images", ylabel="")
    if "" in counts.columns:
        axes.get_legend().remove()
    else:
        axes.legend(title="", loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    plt.show()


def image_grid(images: Sequence[np.ndarray], titles: Sequence[str] = ()) -> None:
    """Draw up to twelve images as thumbnails, four in a row, each cropped to its middle square.

    Args:
        images: arrays (height, width, 3), 0..255; at most 12.
        titles: a line or two above each, or nothing.

    Raises:
        ValueError: more than twelve images, which would make the notebook heavy.
    """
    if not 1 <= len(images) <= MAX_THUMBNAILS:
        raise ValueError(f"A grid shows 1 to {MAX_THUMBNAILS} images; got {len(images)}.")
    titles = list(titles)
    columns, rows = 4, -(-len(images) // 4)
    title_lines = max((title.count("\n") + 1 for title in titles), default=0)
    height = (1.48 + 0.17 * title_lines) * rows
    _, axes = plt.subplots(rows, columns, figsize=(1.5 * columns, height), squeeze=False)
    for position, cell in enumerate(axes.flat):
        cell.axis("off")
        cell.set_anchor("S")
        if position < len(images):
            pixels = _middle_square(np.clip(images[position], 0, 255).astype("uint8"))
            cell.imshow(pixels, interpolation="antialiased")
            if titles:
                cell.set_title(titles[position], fontsize=8)
    plt.show()


def picture_hashes(pictures: Mapping[str, Image.Image], hashes: Mapping[str, np.ndarray]) -> None:
    """Draw pictures, each with its hash at its right: light where a bit is set.

    Args:
        pictures: at most six by name, the original first.
        hashes: the bits of each, (rows, columns).
    """
    original = next(iter(hashes.values()))
    shown, titles = [], []
    for name, picture in pictures.items():
        shown += [np.asarray(picture), np.dstack([220 * hashes[name]] * 3)]
        titles += [name, f"bits changed: {(hashes[name] != original).sum()}"]
    image_grid(shown, titles)


def _middle_square(pixels: np.ndarray) -> np.ndarray:
    """Return the largest square in the middle of an image (height, width, channels)."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def curves(history: pd.DataFrame) -> None:
    """Draw loss and accuracy over the epochs of all stages, training solid, validation dashed.

    Epochs are counted from 1 over all stages; the one with the lowest validation loss is marked.

    Args:
        history: `history.csv`.
    """
    epochs = np.arange(1, len(history) + 1)
    best = int(history["val_loss"].to_numpy().argmin())
    first_epochs = history.groupby("stage", sort=False).size().cumsum().shift(fill_value=0)
    _, panels = plt.subplots(1, 2, figsize=(8, 3.2))
    for axes, quantity in zip(panels, ("loss", "accuracy"), strict=True):
        colour = SPLIT_COLOURS["train"]
        axes.plot(epochs, history[quantity], ".-", color=colour, label="training")
        validation = history[f"val_{quantity}"]
        colour = SPLIT_COLOURS["validation"]
        axes.plot(epochs, validation, ".--", color=colour, label="validation")
        axes.plot(epochs[best], validation.iloc[best], "o", markersize=8, color=colour,
                  label=f"epoch {best + 1}: lowest\nvalidation loss")  # fmt: skip
        if len(first_epochs) > 1:
            _mark_stages(axes, first_epochs)
        axes.set(xlabel="epoch, counted over all stages", ylabel=quantity)
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels[0].legend(frameon=False)
    plt.show()


def _mark_stages(axes: plt.Axes, first_epochs: pd.Series) -> None:
    """Write the name of each stage above its first epoch, with an upright line between two."""
    for stage, first in first_epochs.items():
        if first:
            axes.axvline(first + 0.5, color="#8c8c8c", linewidth=0.8, linestyle=":")
        axes.text(
            first + 0.5, 1.01, f" {STAGES.get(stage, stage)}", fontsize=8, color="#444444",
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip


def range_test(
    rates: Sequence[float], losses: Sequence[float], found: dict, candidates: Sequence[float]
) -> None:
    """Draw a learning-rate range test: the loss against the rate, and what was found in it.

    Args:
        rates: of the steps.
        losses: of the steps.
        found: as from `comparison.read_range_test`.
        candidates: the rates to compare, drawn as triangles.
    """
    _, axes = plt.subplots(figsize=(6, 3))
    axes.plot(rates, losses, ".", color="#b0b0b0", label="a batch")
    axes.plot(rates, found["smoothed"], color=SPLIT_COLOURS["train"], label="smoothed")
    axes.axvline(found["fastest"], color=SPLIT_COLOURS["test"], linestyle="--",
                 label="falls fastest")  # fmt: skip
    if found["blows_up"]:
        axes.axvline(found["blows_up"], color="#c44e52", linestyle=":", label="blows up")
    axes.plot(candidates, [0] * len(candidates), "^", color=SPLIT_COLOURS["validation"],
              label="to compare", clip_on=False, zorder=3)  # fmt: skip
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
    axes.xaxis.set_major_formatter(lambda rate, _: f"{rate:.7f}".rstrip("0").rstrip("."))
    axes.set_ylim(0, 1.6 * found["smoothed"][0])
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    plt.show()


def settings(tried: pd.DataFrame, low: float, high: float) -> None:
    """Draw validation loss beside training and validation accuracy, one line per setting.

    Args:
        tried: one row per setting, the best at the top, with `name` in words, `val_loss`,
            `accuracy` and `val_accuracy`.
        low: where the 95 % interval of the best one's validation accuracy begins.
        high: where it ends.
    """
    positions = np.arange(len(tried))
    _, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(8, 0.42 * len(tried) + 1.1))
    blue, orange = SPLIT_COLOURS["train"], SPLIT_COLOURS["validation"]
    left.plot(tried["val_loss"], positions, "o", color=orange)
    left.set_yticks(positions, [textwrap.fill(name, 28) for name in tried["name"]])
    left.set(xlabel="validation loss", ylim=(len(tried) - 0.5, -0.5))
    right.axvspan(low, high, color=orange, alpha=0.12, linewidth=0,
                  label="95 % interval\nof the best")  # fmt: skip
    right.hlines(positions, tried["val_accuracy"], tried["accuracy"], color="#c8c8c8", linewidth=3)
    right.plot(tried["accuracy"], positions, "o", color=blue, markerfacecolor="white",
               label="training")  # fmt: skip
    right.plot(tried["val_accuracy"], positions, "o", color=orange, label="validation")
    right.set_xlabel("accuracy")
    right.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    plt.show()


def differences(
    losses: np.ndarray, over_seeds: Sequence[float], over_photos: Sequence[float]
) -> None:
    """Draw by how much one setting's loss differs from another's, with its two intervals.

    Args:
        losses: the one's loss less the other's, (seeds, photos).
        over_seeds: where the 95 % interval over the seeds begins and ends.
        over_photos: the same over the photos.
    """
    seeds, photos = losses.shape
    _, axes = plt.subplots(figsize=(6, 1.9))
    axes.axvline(0, color="#666666", linewidth=1)
    axes.plot(losses.mean(axis=1), [0] * seeds, "o", color="#b0b0b0", label="a seed")
    for position, interval in enumerate((over_seeds, over_photos)):
        axes.plot(interval, [position] * 2, "|-", color=SPLIT_COLOURS["train"], markersize=12,
                  label=None if position else "95 % interval")  # fmt: skip
    axes.plot([losses.mean()] * 2, [0, 1], "D", color=SPLIT_COLOURS["train"], label="mean")
    axes.set_yticks([0, 1], [f"over {seeds} seeds", f"over {photos} photos"])
    axes.set(xlabel="winner's loss less the start's (left of 0, the winner is better)")
    axes.set_ylim(1.5, -0.5)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    plt.show()


def confusion_matrix(matrix: np.ndarray, class_names: Sequence[str]) -> None:
    """Draw a confusion matrix, one row per true class: right answers blue, mistakes orange.

    The deeper the colour, the larger the share of the row. Zeros are left out.

    Args:
        matrix: counts (num_classes, num_classes).
        class_names: the classes in index order.
    """
    number = len(class_names)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    texts = np.where(matrix > 0, matrix.astype(str), "") if number <= 25 else False
    side = 4 if number <= 4 else 6 if number <= 12 else 8
    # With less room beside it, the word "true" touches the edge.
    layout = ConstrainedLayoutEngine(w_pad=0.1)
    _, axes = plt.subplots(figsize=(side, 0.9 * side), layout=layout)
    right = np.eye(number, dtype=bool)
    # A single mistake among many photos gets a colour that can be seen.
    mistakes = np.minimum(0.15 + share, 1)
    for colours, shades, shown in (("Blues", share, right), ("Oranges", mistakes, ~right)):
        sns.heatmap(
            pd.DataFrame(shades, class_names, class_names), mask=~shown | (matrix == 0),
            annot=texts, fmt="", cmap=colours, vmin=0, vmax=1, square=True, cbar=False,
            xticklabels=1, yticklabels=1, ax=axes,
        )  # fmt: skip
    axes.grid(visible=False)
    edges = range(number + 1)
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(which="minor", color="#dddddd", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    axes.set(xlabel="predicted", ylabel="true")
    axes.tick_params(axis="x", rotation=90, labelsize=min(9, 300 / number))
    axes.tick_params(axis="y", rotation=0, labelsize=min(9, 300 / number))
    plt.show()


def side_by_side(ways: Mapping[str, Sequence[pd.DataFrame]], worst: float = 1.2) -> None:
    """Draw the loss of several ways to train, all on the same axes, a panel for each way.

    Training is solid and validation dashed, as in `curves`; each seed has a line of its own.

    Args:
        ways: for each way its histories, one for each seed, with `loss` and `val_loss`.
        worst: where the axis of the loss ends; what lies above is cut off.
    """
    columns = min(3, len(ways))
    rows = -(-len(ways) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(8, 2.1 * rows + 0.5), sharex=True, sharey=True, squeeze=False
    )
    for axes in panels.flat[len(ways) :]:
        axes.axis("off")
    for axes, (name, histories) in zip(panels.flat, ways.items(), strict=False):
        for history, alpha in zip(histories, np.linspace(1, 0.4, len(histories)), strict=True):
            epochs, look = np.arange(1, len(history) + 1), {"linewidth": 1.2, "alpha": alpha}
            axes.plot(epochs, history["loss"], "-", color=SPLIT_COLOURS["train"], **look)
            axes.plot(epochs, history["val_loss"], "--", color=SPLIT_COLOURS["validation"], **look)
        axes.set_title(name, fontsize=9)
        axes.set(ylim=(0, worst))
        axes.xaxis.get_major_locator().set_params(integer=True)
    for axes in panels[:, 0]:
        axes.set_ylabel("loss")
    for axes in panels[-1]:
        axes.set_xlabel("epoch")
    lines = panels[0, 0].get_lines()[:2]
    figure.legend(lines, ["training", "validation"], loc="outside upper right", ncols=2,
                  frameon=False)  # fmt: skip
    plt.show()


def seed_spread(measured: Mapping[str, pd.DataFrame]) -> None:
    """Draw what each way to train came to, a dot for each seed, over the spread of the first way.

    Args:
        measured: for each way its figures, one row for each seed, with `val_loss` and
            `val_accuracy`. The band spans the first way's lowest and highest.
    """
    _, panels = plt.subplots(1, 2, figsize=(8, 0.32 * len(measured) + 1), sharey=True)
    first = next(iter(measured.values()))
    labels = {"val_loss": "validation loss", "val_accuracy": "validation accuracy"}
    for axes, (column, label) in zip(panels, labels.items(), strict=True):
        axes.axvspan(first[column].min(), first[column].max(), color="#dddddd", linewidth=0)
        for position, figures in enumerate(measured.values()):
            axes.plot(figures[column], [position] * len(figures), "o", alpha=0.7,
                      color=SPLIT_COLOURS["validation"])  # fmt: skip
            axes.plot(figures[column].mean(), position, "|", color="#444444", markersize=14)
        axes.set_yticks(range(len(measured)), list(measured))
        axes.set(xlabel=label, ylim=(len(measured) - 0.5, -0.5))
        axes.locator_params(axis="x", nbins=5)
    panels[0].set_xlim(left=0)
    plt.show()


def thresholds(truth: np.ndarray, probabilities: np.ndarray, chosen: Sequence[float]) -> None:
    """Draw the ROC curve, and precision and recall against the threshold.

    Args:
        truth: 0 or 1 for each photo.
        probabilities: of class 1, for each photo.
        chosen: thresholds to mark in both panels.
    """
    _, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
    false, true, limits = sklearn.metrics.roc_curve(truth, probabilities, drop_intermediate=False)
    left.plot([0, 1], [0, 1], ":", color="#8c8c8c", label="tossing a coin")
    left.plot(false, true, color=SPLIT_COLOURS["validation"], label="the network")
    left.set(xlabel="false alarms (share of the others)", ylabel="recall", aspect="equal")
    precision, recall, steps = sklearn.metrics.precision_recall_curve(truth, probabilities)
    right.plot(steps, precision[:-1], color=SPLIT_COLOURS["train"], label="precision")
    right.plot(steps, recall[:-1], "--", color=SPLIT_COLOURS["validation"], label="recall")
    right.set(xlabel="threshold", xlim=(0, 1), ylim=(0, 1.03))
    for number, threshold in enumerate(chosen):
        at = np.flatnonzero(limits >= threshold)[-1]
        left.plot(false[at], true[at], "o", color="#444444")
        left.annotate(f"{threshold:.2f}", (false[at], true[at]), (6, -11), fontsize=8,
                      textcoords="offset points")  # fmt: skip
        label = None if number else "thresholds of the table"
        right.axvline(threshold, color="#8c8c8c", linestyle=":", label=label)
    left.legend(frameon=False, loc="lower right", fontsize=8)
    right.legend(frameon=True, framealpha=1, edgecolor="white", loc="lower left", fontsize=8)
    plt.show()


def class_recall(metrics: dict, class_names: Sequence[str]) -> None:
    """Draw how many of each class's photos were recognised, with 95 % intervals, weakest first.

    A class without photos is named as such and has no point. The upright line is the accuracy.

    Args:
        metrics: one split of `metrics.json`.
        class_names: the classes in index order.
    """
    from dermaface.evaluation.scores import class_frame

    classes = class_frame(metrics).loc[list(class_names)].sort_values("recall", kind="stable")
    labels = [
        f"{row.Index} ({row.found} of {row.images})" if row.images else f"{row.Index} (no photo)"
        for row in classes.itertuples()
    ]
    measured = classes[classes["images"] > 0]
    _, axes = plt.subplots(figsize=(6, max(2.5, 0.24 * len(class_names) + 0.8)))
    errors = np.abs(measured[["low", "high"]].T.to_numpy() - measured["recall"].to_numpy())
    axes.errorbar(measured["recall"], np.arange(len(measured)), xerr=errors, fmt="o", capsize=3,
                  color="#4c72b0")  # fmt: skip
    axes.axvline(metrics["accuracy"], color="#8c8c8c", linestyle=":", label="all classes")
    axes.set_yticks(range(len(classes)), labels)
    axes.set_ylim(len(classes) - 0.5, -0.5)
    axes.set(xlabel="recall, with 95 % interval", xlim=(0, 1.02))
    axes.legend(loc="lower left", frameon=True, framealpha=1, edgecolor="white")
    plt.show()


def reliability(
    before: pd.DataFrame, now: pd.DataFrame, names: Sequence[str] = ("as trained", "now")
) -> None:
    """Draw how often answers are right against how sure the model was of them.

    Args:
        before: as from `confidence.reliability`, such as without the temperature.
        now: the same, such as with it; its intervals and numbers of photos are drawn.
        names: of both.
    """
    _, axes = plt.subplots(figsize=(4.4, 3.2))
    axes.plot([0, 1], [0, 1], color="#8c8c8c", linestyle=":", label="what they say")
    colours = ("#dd8452", "#4c72b0")
    for table, name, colour in zip((before, now), names, colours, strict=True):
        size = 12 + 150 * table["photos"] / table["photos"].sum()
        axes.scatter(
            table["confidence"], table["accuracy"], size, color=colour, label=name, zorder=3
        )
    axes.vlines(now["confidence"], now["low"], now["high"], color=colours[1], alpha=0.4)
    for row in now.itertuples():
        axes.annotate(
            f"{row.photos:.0f}", (row.confidence, row.accuracy), (5, -11), fontsize=7,
            textcoords="offset points", color=colours[1],
        )  # fmt: skip
    axes.set(
        xlabel="probability of the answer, with the number of photos",
        ylabel="share that is right",
        xlim=(0, 1.03),
        ylim=(-0.02, 1.03),
    )
    axes.legend(loc="upper left", frameon=False)
    plt.show()


def coverage(table: pd.DataFrame, min_confidence: float, sure_accuracy: float) -> None:
    """Draw how many answers are right if only the surest are given.

    Args:
        table: as from `confidence.coverage_frame`.
        min_confidence: from which probability on answers are sure.
        sure_accuracy: share of sure answers that shall be right, 0..1.
    """
    share, right = table["sure"] / table["sure"].iloc[-1], table["right"] / table["sure"]
    _, axes = plt.subplots(figsize=(5.4, 3))
    axes.plot(share, right, color="#4c72b0", label="share that is right")
    axes.fill_between(
        share,
        table["low"],
        right,
        color="#4c72b0",
        alpha=0.2,
        label="down to its interval's lower end",
    )
    axes.axhline(sure_accuracy, color="#dd8452", linestyle="--", label="what you ask for")
    sure = share[table["confidence"] >= min_confidence].max()
    axes.axvline(
        0 if np.isnan(sure) else sure, color="#8c8c8c", linestyle=":", label="limit chosen"
    )
    axes.set(
        xlabel="share of photos that get a sure answer", ylabel="of these, right", xlim=(0, 1.02),
        ylim=(min(0.5, sure_accuracy - 0.1), 1.02),
    )  # fmt: skip
    axes.legend(loc="lower right", fontsize=7)
    plt.show()


def variants(conversion: pd.DataFrame, chosen: str | None) -> None:
    """Draw the size of every variant, and the accuracy that it lost where any lost or won some.

    Args:
        conversion: the rows of one split of `conversion.csv`.
        chosen: the variant that ships, drawn darker, or None.
    """
    colours = ["#4c72b0" if v == chosen else "#b3c4e0" for v in conversion["variant"]]
    differ = bool((conversion["accuracy_drop"] != 0).any())
    _, panels = plt.subplots(
        1, 1 + differ, figsize=(8 if differ else 6, 2.2), sharey=True, squeeze=False
    )
    sizes = panels[0, 0]
    bars = sizes.barh(conversion["variant"], conversion["bytes"] / 1000, color=colours)
    sizes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8)
    sizes.set(xlabel="size (KB)", xlim=(0, conversion["bytes"].max() / 1000 * 1.15))
    sizes.invert_yaxis()
    if differ:
        drops = panels[0, 1]
        lost, low, high = (100 * conversion[n] for n in ("accuracy_drop", "drop_low", "drop_high"))
        positions = np.arange(len(conversion))
        drops.hlines(positions, low, high, color="#8c8c8c", linewidth=1)
        drops.scatter(lost, positions, color=colours, zorder=3)
        drops.axvline(0, color="#dd8452", linestyle="--", label="Keras model")
        drops.set(xlabel="points of accuracy lost, with 95 % interval")
        drops.legend(loc="upper right", bbox_to_anchor=(1, 1.22), frameon=False)
    for axes in panels.flat:
        axes.grid(axis="y", visible=False)
    plt.show()


def weight_levels(trained: np.ndarray, stored: np.ndarray) -> None:
    """Draw the weights of one channel, and the levels on which some of them are stored.

    It is the channel whose weights spread as those of most others do. A weight that does not go to
    its nearest level is drawn in another colour; among the weights that are shown, as large a share
    does so as in the whole layer, as nearly as can be.

    Args:
        trained: the weights of a layer, counted in levels, (outputs, inputs).
        stored: the same after rounding.
    """
    channel = np.argsort(trained.std(axis=1))[len(trained) // 2]
    order = np.argsort(trained[channel])
    floats, levels = trained[channel][order], np.rint(stored[channel][order])
    count = min(12, len(floats))
    moved = np.convolve(np.rint(floats) != levels, np.ones(count), "valid") / count
    distance = abs(moved - (np.rint(trained) != np.rint(stored)).mean())
    from_middle = abs(np.arange(len(moved)) - len(moved) // 2)
    start = np.lexsort([from_middle, distance])[0]
    some = slice(start, start + count)
    low, high = np.floor(floats[some].min()) - 1, np.ceil(floats[some].max()) + 1
    _, (left, right) = plt.subplots(1, 2, figsize=(8, 2.4), width_ratios=(1, 1.5))
    left.hist(floats, bins=np.arange(-130, 131, 10), color="#4c72b0")
    left.axvspan(low, high, color="#dd8452", alpha=0.4, linewidth=0)
    left.set(xlabel="level", ylabel=f"of {len(floats)} weights", xticks=[-127, 0, 127])
    right.vlines(np.arange(low, high + 1), -0.1, 1.1, color="#c8c8c8", linewidth=1)
    for value, level in zip(floats[some], levels[some], strict=True):
        colour = "#4c72b0" if np.rint(value) == level else "#dd8452"
        arrow = {"arrowstyle": "-|>", "color": colour}
        right.annotate("", (level, 0.05), (value, 0.95), arrowprops=arrow)
        right.plot(value, 1, "o", color=colour, markersize=4)
    right.set(xlim=(low - 0.5, high + 0.5), ylim=(-0.2, 1.2), xlabel="level")
    right.set_yticks([0, 1], ["stored", "trained"])
    right.xaxis.get_major_locator().set_params(integer=True)
    right.grid(visible=False)
    marks = [Patch(color="#4c72b0", label="nearest level"), Patch(color="#dd8452", label="another")]
    right.legend(handles=marks, frameon=False, ncols=2, loc="lower right",
                 bbox_to_anchor=(1, 1), fontsize=8)  # fmt: skip
    plt.show()


def network_ways(backbone: Any, grid: Sequence[int], num_classes: int) -> None:
    """Draw a photo's way through a network to ImageNet's classes, and to those of a new last layer.

    Args:
        backbone: its `image_size` and `scaling` are drawn; as from `backbones.get_backbone`.
        grid: (height, width, maps) of what is pooled.
        num_classes: how many classes the new layer has.
    """
    way = [
        (f"pixels\n{backbone.image_size} x {backbone.image_size} x 3", "data"),
        (f"scaling\n{backbone.scaling}", "step"),
        (f"convolutions\n{' x '.join(map(str, grid))}", "frozen"),
        (f"pooling\n{grid[-1]:,}", "step"),
    ]
    diagram(
        {
            "ImageNet": [*way, ("dense\n1,000", "frozen"), ("names", "data")],
            "yours": [*way, (f"dense\n{num_classes:,}", "learns"), ("your classes", "data")],
        }
    )


def picture_rows(rows: Mapping[str, Sequence[np.ndarray]], columns: int = 8) -> None:
    """Draw groups of small pictures, pixel for pixel, each stretched to its darkest and lightest.

    Args:
        rows: for each group its name, written above it, and its pictures: arrays (height, width) or
            (height, width, 3) of any range. A constant one is drawn black.
        columns: how many pictures stand side by side.
    """
    lines = [
        ("" if start else name, pictures[start : start + columns])
        for name, pictures in rows.items()
        for start in range(0, len(pictures), columns)
    ]
    tile, room = 4 / columns, 0.2  # inches, for a picture and for a name
    height = tile * len(lines) + room * len(rows)
    # The places are set by hand: a layout would push the pictures away from under a long name.
    figure = plt.figure(figsize=(4, height), layout="none")
    top = height
    for name, pictures in lines:
        if name:
            top -= room
            figure.text(0, (top + 0.05) / height, name, fontsize=8)
        top -= tile
        for column, picture in enumerate(pictures):
            place = (column * tile / 4, top / height, 0.94 * tile / 4, 0.94 * tile / height)
            axes = figure.add_axes(place)
            axes.axis("off")
            shifted = np.asarray(picture, dtype=float) - np.min(picture)
            stretched = shifted / (shifted.max() or 1)
            axes.imshow(stretched, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    plt.show()


def feature_maps(photo: np.ndarray, maps: Mapping[str, np.ndarray]) -> None:
    """Draw a photo and, for each of several layers, the seven maps that vary most over it.

    Args:
        photo: (height, width, 3), of any range.
        maps: what each layer made of it, by name, (height, width, maps).
    """
    rows = {}
    for name, made in maps.items():
        lively = made.std(axis=(0, 1)).argsort()[::-1][:7]
        title = f"{name}: {' x '.join(map(str, made.shape))}"
        rows[title] = [photo, *np.moveaxis(made[..., lively], -1, 0)]
    picture_rows(rows)


def accuracy_by_photos(curve: pd.DataFrame, all_photos: float) -> None:
    """Draw accuracy against the number of training photos of each class, on a logarithmic axis.

    Args:
        curve: one row for each training, with `photos` (of each class) and `accuracy`.
        all_photos: the accuracy after training on all photos there are.
    """
    from dermaface.evaluation.scores import mean_interval

    means = curve.groupby("photos")["accuracy"].mean()
    intervals = curve.groupby("photos")["accuracy"].apply(mean_interval)
    blue, orange = SPLIT_COLOURS["train"], SPLIT_COLOURS["validation"]
    _, axes = plt.subplots(figsize=(6, 3))
    axes.axhline(all_photos, color="#8c8c8c", linestyle=":", label="all photos")
    axes.plot(curve["photos"], curve["accuracy"], ".", color="#b0b0b0", label="a draw")
    axes.vlines(means.index, *zip(*intervals, strict=True), color=blue, linewidth=3,
                label="95 % interval\nof the mean")  # fmt: skip
    axes.plot(means, "o--", color=orange, label="mean of the draws")
    axes.set(xscale="log", xlabel="training photos of each class", ylabel="validation accuracy")
    axes.set_xticks(means.index, [str(count) for count in means.index])
    axes.minorticks_off()
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    plt.show()


def contact_sheet(rows: Sequence[Sequence[tuple]], titles: Sequence[str] = ()) -> None:
    """Draw rows of pictures, each with a line under it, some of them framed.

    Args:
        rows: of up to eight pictures, each as its pixels (height, width, 3), 0..255, the line, and
            True for a blue frame, False for an orange one, None for no frame.
        titles: one to stand left of each row.
    """
    columns = max(map(len, rows))
    has_lines = any(line for row in rows for _, line, _ in row)
    size = (8, (8 / max(columns, 6)) * len(rows) * (1.2 if has_lines else 1))
    _, axes = plt.subplots(len(rows), columns, figsize=size, squeeze=False)
    for cells, row in zip(axes, rows, strict=True):
        for cell in cells[len(row) :]:
            cell.axis("off")
        for cell, (pixels, line, right) in zip(cells, row, strict=False):
            square = _middle_square(np.clip(pixels, 0, 255).astype("uint8"))
            cell.imshow(square, interpolation="antialiased")
            cell.set(xticks=[], yticks=[])
            cell.set_xlabel(line, fontsize=8, labelpad=2)
            for spine in cell.spines.values():
                spine.set(visible=right is not None, linewidth=3)
                spine.set_edgecolor(SPLIT_COLOURS["train" if right else "validation"])
    for cells, title in zip(axes, titles, strict=False):
        cells[0].set_ylabel(textwrap.shorten(title, 16, placeholder="..."), fontsize=8)
    plt.show()


def similarities(pairs: Mapping[str, pd.DataFrame], thresholds: Mapping[str, float]) -> None:
    """Draw how similar photos of one person and of two persons are, a panel for each embedding.

    Args:
        pairs: as from `verification.pair_frame`, by the name of the embedding.
        thresholds: by the same names, a similarity to mark.
    """
    _, axes = plt.subplots(1, len(pairs), figsize=(8, 2.7), sharex=True, sharey=True, squeeze=False)
    bins = np.linspace(-1, 1, 61)
    for cell, (name, frame) in zip(axes[0], pairs.items(), strict=True):
        for same, colour in ((False, SPLIT_COLOURS["validation"]), (True, SPLIT_COLOURS["train"])):
            values = frame.loc[frame["same"] == same, "similarity"]
            shares = np.full(len(values), 100 / len(values))
            label = "one person" if same else "two persons"
            cell.hist(values, bins, weights=shares, color=colour, alpha=0.65, label=label)
        cell.axvline(thresholds[name], color="#444444", linestyle=":")
        cell.set(title=name, xlabel="similarity (cosine)", xticks=np.linspace(-1, 1, 5))
    axes[0, 0].set_ylabel("share of the pairs\nof each kind (%)")
    axes[0, 0].legend(frameon=False, fontsize=8, loc="upper left")
    plt.show()


def error_trade(rates: Mapping[str, pd.DataFrame]) -> None:
    """Draw both kinds of error against each other, a line for each of two embeddings.

    Args:
        rates: as from `verification.error_rates`, by the name of the embedding.
    """
    _, axes = plt.subplots(figsize=(4, 3.6))
    axes.plot([0, 1], [0, 1], ":", color="#444444", label="both errors equal")
    for (name, frame), colour in zip(
        rates.items(), ("#8c8c8c", SPLIT_COLOURS["test"]), strict=True
    ):
        step = max(1, len(frame) // 2000)  # more points than pixels would make no difference
        shown = frame.iloc[::step]
        axes.plot(shown["false_match"], shown["false_non_match"], color=colour, label=name)
    axes.set(xlabel="two persons taken for one (share)", ylabel="one person taken for two (share)")
    axes.set(xlim=(0, 0.6), ylim=(0, 0.6), aspect="equal")
    axes.legend(frameon=False, fontsize=8)
    plt.show()


def answers(photos: Sequence[np.ndarray], seen: Sequence[np.ndarray], said: Sequence[dict]) -> None:
    """Draw photos, each beside what the network is fed, and its likeliest classes as bars.

    Args:
        photos: uint8 (height, width, 3), 0..255, upright.
        seen: the squares that are fed, uint8 (size, size, 3).
        said: as from `Classifier.answer`.
    """
    ratios = {"width_ratios": (1, 1, 1.6)}
    size = (8, 2.1 * len(photos))
    _, axes = plt.subplots(len(photos), 3, figsize=size, squeeze=False, gridspec_kw=ratios)
    for (whole, fed, bars), photo, square, answer in zip(axes, photos, seen, said, strict=True):
        for cell, pixels in ((whole, photo), (fed, square)):
            cell.imshow(pixels, interpolation="antialiased" if cell is whole else "nearest")
            cell.axis("off")
        best = answer["predictions"]
        shares = [entry["probability"] for entry in best]
        names = [textwrap.shorten(entry["label"], 20, placeholder="...") for entry in best]
        bars.barh(range(len(best)), shares, color=SPLIT_COLOURS["train"], height=0.6)
        bars.set(yticks=range(len(best)), yticklabels=names, xlim=(0, 1))
        bars.set_title("sure" if answer["sure"] else "not sure", fontsize=10)
        bars.invert_yaxis()
        bars.grid(axis="y", visible=False)
    axes[0, 0].set_title("the photo, upright", fontsize=10)
    axes[0, 1].set_title("as the network sees it", fontsize=10)
    axes[-1, 2].set_xlabel("probability")
    plt.show()

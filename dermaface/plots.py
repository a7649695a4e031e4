"""Every figure of the notebooks; each function draws one and returns nothing."""

from collections.abc import Callable, Mapping, Sequence
import io
import warnings

import dermaface.quiet  # noqa: F401  (holds back Matplotlib's notes, so it comes first)
from matplotlib import font_manager
from matplotlib.patches import FancyBboxPatch, Patch
import matplotlib.pyplot as plt
from matplotlib_inline.backend_inline import set_matplotlib_formats
import numpy as np
import pandas as pd
from PIL import Image
import seaborn as sns

SPLIT_COLOURS = {"train": "#4c72b0", "validation": "#dd8452", "test": "#55a868"}
# The fills of the boxes of a diagram, by what a box stands for.
BOX_COLOURS = {
    "step": "#eeeeee",
    "data": "#dbe5f3",
    "frozen": "#cfd8e6",
    "learns": "#fbd9bf",
    "file": "#d5ead9",
}
STAGES = {"head": "head", "fine_tune": "fine-tuning", "full": "everything"}
MAX_THUMBNAILS = 12


def use_notebook_style() -> None:
    """Set one style: figures as small JPEGs with a light grid, tables whose texts are not cut.

    Names are drawn as they are, also with dollar signs, between which Matplotlib reads formulas.
    Pillow's warnings of odd photos are left out, for they do not say which photo they mean.
    """
    warnings.filterwarnings("ignore", module="PIL")
    _set_style()
    pd.set_option("display.max_colwidth", None)
    set_matplotlib_formats("jpeg", pil_kwargs={"quality": 85}, bbox_inches=None)


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
            "frozen" and "learns" are explained by a legend where they occur.
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
    used = {kind for boxes in rows.values() for _, kind in boxes} & {"frozen", "learns"}
    patches = [Patch(facecolor=BOX_COLOURS[kind], label=kind) for kind in sorted(used)]
    if patches:
        axes.legend(handles=patches, frameon=False, ncols=2, loc="lower right", borderpad=0,
                    bbox_to_anchor=(1, 1), fontsize=8)  # fmt: skip
    axes.set(xlim=(-0.004, 1), ylim=(0, len(rows)))
    axes.axis("off")
    plt.show()


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
    height = (1.42 + 0.17 * title_lines) * rows
    _, axes = plt.subplots(rows, columns, figsize=(1.5 * columns, height), squeeze=False)
    for position, cell in enumerate(axes.flat):
        cell.axis("off")
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


def settings(tried: pd.DataFrame, names: Sequence[str]) -> None:
    """Draw training and validation accuracy, and their gap, one line per setting.

    Args:
        tried: one row per setting, with `accuracy` and `val_accuracy`, the best at the top.
        names: the columns that make the setting.
    """
    labels = [" / ".join(f"{row[name]:g}" for name in names) for row in tried.to_dict("records")]
    positions = np.arange(len(tried))
    _, axes = plt.subplots(figsize=(6, max(2.2, 0.26 * len(tried) + 1.0)))
    axes.hlines(positions, tried["val_accuracy"], tried["accuracy"], color="#c8c8c8", linewidth=3)
    axes.plot(tried["accuracy"], positions, "o", color=SPLIT_COLOURS["train"],
              markerfacecolor="white", label="training")  # fmt: skip
    axes.plot(tried["val_accuracy"], positions, "o", color=SPLIT_COLOURS["validation"],
              label="validation")  # fmt: skip
    axes.set_yticks(positions, labels)
    axes.invert_yaxis()
    axes.set(xlabel="accuracy")
    title = " / ".join(name.replace("_", " ") for name in names)
    axes.set_title(title, loc="left", fontsize=8)
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
    _, axes = plt.subplots(figsize=(side, 0.9 * side))
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


def variants(conversion: pd.DataFrame, keras_accuracy: float, chosen: str | None) -> None:
    """Draw size and accuracy of every variant beside each other.

    Args:
        conversion: the rows of one split of `conversion.csv`.
        keras_accuracy: of the Keras model on the same split, 0..1.
        chosen: the variant that ships, drawn darker, or None.
    """
    colours = ["#4c72b0" if v == chosen else "#b3c4e0" for v in conversion["variant"]]
    _, (left, right) = plt.subplots(1, 2, figsize=(8, 2.4), sharey=True)
    left.barh(conversion["variant"], conversion["bytes"] / 1000, color=colours)
    left.set(xlabel="size (KB)")
    left.invert_yaxis()
    right.barh(conversion["variant"], conversion["accuracy"], color=colours)
    right.axvline(keras_accuracy, color="#dd8452", linestyle="--", label="Keras model")
    right.set(xlabel="accuracy", xlim=(0, 1.02))
    for position, (accuracy, variant) in enumerate(
        zip(conversion["accuracy"], conversion["variant"], strict=True)
    ):
        colour = "white" if variant == chosen else "black"
        right.text(0.02, position, f"{accuracy:.3f}", va="center", fontsize=8, color=colour)
    right.legend(loc="upper right", bbox_to_anchor=(1, 1.22), frameon=False)
    for axes in (left, right):
        axes.grid(axis="y", visible=False)
    plt.show()

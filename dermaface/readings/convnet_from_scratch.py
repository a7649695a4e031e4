"""What the walkthrough "A convnet from scratch" says about its figures."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dermaface.readings.words import counted, listed, percent

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# A validation loss a tenth above its lowest has risen; less may be a wobble.
CLEARLY = 1.1
AT_THE_END = 3  # epochs whose mean loss says where a training ended
# What two ways to compute the same 32-bit probability may differ by.
ROUNDING = 1e-6
# A layer that learns nothing is a step; the first one, which scales the pixels, is the data.
BOXES = {"Rescaling": "data", "Conv2D": "learns", "Dense": "learns"}


def photos(train: "pd.DataFrame", validation: "pd.DataFrame", classes: Sequence[str]) -> str:
    """Say how many photos there are on each side of the split, and which class is which."""
    lines = [
        f"{counted(len(rows), 'photo')} to {use}: "
        + listed([f"{(rows['label'] == name).sum()} of {name}" for name in classes])
        for rows, use in ((train, "learn from"), (validation, "judge by"))
    ]
    total = len(train) + len(validation)
    shares = listed([percent(len(rows) / total) for rows in (train, validation)])
    end = f"A split of {shares}. Class 0 is {classes[0]}, class 1 is {classes[1]}."
    return "\n".join([*lines, end])


def boxes(names: Sequence[str], shapes: Sequence[Sequence[int]]) -> list[tuple[str, str]]:
    """Return layers, with the shapes of what they hand on, as boxes for `plots.diagram`."""
    lines = [name.replace("Pooling", "\nPooling") for name in names]  # fits the box
    return [
        (f"{line}\n{' x '.join(map(str, shape))}", BOXES.get(name, "step"))
        for name, line, shape in zip(names, lines, shapes, strict=True)
    ]


def layers(names: Sequence[str], by_hand: Sequence, by_keras: Sequence) -> "pd.DataFrame":
    """Return two counts of shapes and parameters in one table; see `counted_by_hand`."""
    import pandas as pd

    rows = [
        (name, " x ".join(map(str, shape)), count, theirs)
        for name, (shape, count), (_, theirs) in zip(names, by_hand, by_keras, strict=True)
    ]
    return pd.DataFrame(rows, columns=["layer", "hands on", "by hand", "Keras"])


def counted_by_hand(names: Sequence[str], by_hand: Sequence, by_keras: Sequence) -> str:
    """Say whether two counts of shapes and parameters agree, and where the parameters are.

    Args:
        names: of the layers.
        by_hand: a shape and a number of parameters for each.
        by_keras: the same, from Keras.
    """
    differ = [
        f"row {number} ({name})"
        for number, (name, mine, theirs) in enumerate(
            zip(names, by_hand, by_keras, strict=True), start=1
        )
        if mine != theirs
    ]
    if differ:
        return f"Keras counts otherwise in {listed(differ)}: find the mistake."
    counts = [count for _, count in by_hand]
    share = percent(max(counts) / sum(counts))
    return (
        f"Keras has the same shapes and parameters in all {counted(len(names), 'row')}.\n"
        f"Of {sum(counts):,} parameters, {share} are in one layer, "
        f"a {names[counts.index(max(counts))]}."
    )


def untrained(by_hand: float, by_keras: float, probabilities: "np.ndarray") -> str:
    """Say what an untrained network's cross-entropy is, beside that of not knowing at all."""
    theirs = "has the same" if abs(by_hand - by_keras) < 1e-5 else f"says {by_keras:.6f}"
    return (
        f"Cross-entropy by hand: {by_hand:.6f}; Keras {theirs}. Always 0.5 would cost 0.693147.\n"
        f"Before training, all answers lie between {probabilities.min():.2f} and "
        f"{probabilities.max():.2f}."
    )


def overfitting(history: "pd.DataFrame") -> str:
    """Say whether a training ran into overfitting, and from which epoch on.

    Args:
        history: `accuracy`, `val_accuracy`, `loss` and `val_loss`, one row for each epoch.
    """
    last, lowest = history.iloc[-1], history["val_loss"].min()
    best = int(history["val_loss"].to_numpy().argmin()) + 1
    ends = (
        f"In the last of {counted(len(history), 'epoch')}, training accuracy is "
        f"{last['accuracy']:.2f}, validation accuracy {last['val_accuracy']:.2f}.\n"
    )
    end = history["val_loss"].tail(AT_THE_END).mean()
    if end < CLEARLY * lowest or last["loss"] > lowest:
        return (
            f"{ends}The validation loss has not risen clearly above its lowest, {lowest:.2f} in "
            f"epoch {best}:\nso far, this network does not overfit."
        )
    return (
        f"{ends}The validation loss fell to {lowest:.2f} by epoch {best} and rose to "
        f"{end:.2f}, the mean of\nthe last {AT_THE_END}: {end / lowest:.1f} times as much, while "
        f"the training loss fell to {last['loss']:.3f}.\nThat is overfitting."
    )


def remedies(measured: Mapping[str, "pd.DataFrame"], table: "pd.DataFrame", photos: int) -> str:
    """Say how far apart equal trainings end, and which remedies beat the lack of one.

    Args:
        measured: for each way to train its `val_loss` and `val_accuracy`, one row for each seed;
            the first has no remedy.
        table: one row for each remedy, with `lower loss` and `fewer mistakes`.
        photos: how many the accuracies rest on.
    """
    (name, figures), *others = measured.items()
    low, high = figures["val_accuracy"].min(), figures["val_accuracy"].max()
    ahead = [way for way, x in others if x["val_loss"].max() < figures["val_loss"].min()]
    every = listed(ahead) if ahead else "none"
    return (
        f"With {name}, {len(figures)} seeds end between {low:.2f} and {high:.2f} validation "
        f"accuracy:\n{round((high - low) * photos)} of {photos} photos apart, by luck alone.\n"
        f"A lower loss with every seed than {name} with any: {every}.\n" + beyond_chance(table)
    )


def beyond_chance(table: "pd.DataFrame") -> str:
    """Say which remedies beat the lack of one beyond chance, by loss and by mistakes.

    Args:
        table: one row for each remedy, with `lower loss` and `fewer mistakes`.
    """

    def named(which: "pd.Series") -> str:
        return listed(list(table.index[which])) if which.any() else "none"

    lower, fewer = table["lower loss"].astype(bool), table["fewer mistakes"].astype(bool)
    lines = [
        f"A lower loss beyond both kinds of chance: {named(lower)}.",
        f"Fewer mistakes beyond both kinds of chance: {named(fewer)}.",
    ]
    if (lower & ~fewer).any():
        alone = named(lower & ~fewer)
        lines.append(f"A lower loss alone, from mistakes made with less certainty: {alone}.")
    return "\n".join(lines)


def thresholds(table: "pd.DataFrame", area: float, name: str) -> str:
    """Say what a higher threshold costs and saves.

    Args:
        table: as from `threshold_frame`, thresholds rising.
        area: under the ROC curve.
        name: of the class that is looked for.
    """
    first, last = table.iloc[0], table.iloc[-1]
    return (
        f"From a threshold of {table.index[0]:.2f} to one of {table.index[-1]:.2f}, the recall of "
        f"{name}\ngoes from {first['recall']:.2f} to {last['recall']:.2f}, and the false alarms go "
        f"from {first['false alarms']:.0f} to {last['false alarms']:.0f}.\n"
        f"Area under the ROC curve: {area:.3f} (1 is perfect, 0.5 is a coin)."
    )


def unfrozen_first(
    measured: Mapping[str, "pd.DataFrame"],
    moved: Mapping[str, float],
    alike: Sequence[str],
    frozen: "pd.DataFrame",
) -> str:
    """Set ways to unfreeze beside each other, and beside not doing so.

    Args:
        measured: for each way its `val_loss` and `val_accuracy`, one row for each seed.
        moved: for each way, how far the backbone's kernels went, as a share of their length.
        alike: the ways whose networks all give one class to every photo.
        frozen: the figures of the network that stayed frozen.
    """
    lines = ["Means over the seeds:"]
    for name, figures in ({"stayed frozen": frozen} | dict(measured)).items():
        lines.append(
            f"{name.capitalize()}: validation loss {figures['val_loss'].mean():.2f}, accuracy "
            f"{figures['val_accuracy'].mean():.2f}; the kernels moved by "
            f"{100 * moved.get(name, 0):.0f} %."
        )
    lines += [
        f"{name.capitalize()}: every network gives one class to all photos." for name in alike
    ]
    return "\n".join(lines)


def on_fresh(
    scored: Mapping[str, Mapping], measured: Mapping[str, "pd.DataFrame"]
) -> "pd.DataFrame":
    """Return the accuracy of each way to train on fresh photos, beside that on held-back ones.

    Args:
        scored: for each way the figures of its last network on fresh photos, as from `score`.
        measured: for each way its `val_accuracy` on held-back photos, the last network's last.

    Returns:
        `fresh` with its 95 % interval, `low` to `high`, and `held back`.
    """
    import pandas as pd

    rows = {
        way: (s["accuracy"], *s["accuracy_interval"], measured[way]["val_accuracy"].iloc[-1])
        for way, s in scored.items()
    }
    columns = ["fresh", "low", "high", "held back"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def fresh(table: "pd.DataFrame", count: int, at_chosen: "pd.Series", wanted: float) -> str:
    """Say whether figures on held-back photos last on fresh ones.

    Args:
        table: one row for each way to train: its accuracy on `held back` photos, and the 95 %
            interval of that on fresh ones, from `low` to `high`.
        count: of the fresh photos.
        at_chosen: a row of `threshold_frame`, of the fresh photos.
        wanted: the recall for which its threshold was chosen.
    """
    inside = int(
        ((table["low"] <= table["held back"]) & (table["held back"] <= table["high"])).sum()
    )
    return (
        f"On {counted(count, 'photo')} that nothing was chosen by. Held-back accuracies within the "
        f"95 % interval\nof the fresh ones: {inside} of {len(table)}. The threshold chosen for a "
        f"recall of {wanted:.2f} has {at_chosen['recall']:.2f}\nhere "
        f"({at_chosen['low']:.2f} to {at_chosen['high']:.2f})."
    )


def saved(before: "np.ndarray", after: "np.ndarray", size: int, names: Sequence[str]) -> str:
    """Say whether a saved model answers as before, and what `clear_session` did to names.

    Args:
        before: the answers before it was saved.
        after: those of the loaded model.
        size: of the file, in bytes.
        names: of a new model before and after `clear_session`.
    """
    change = float(abs(before - after).max())
    answers = "the same answers" if change < ROUNDING else f"answers up to {change:.1g} apart"
    counting = "starts again" if len(names[1]) < len(names[0]) else "goes on"
    return (
        f"{size / 1000:,.0f} KB on disk. Loaded again, it gives {answers} on "
        f"{counted(len(before), 'photo')}.\nBefore clear_session, a new model was {names[0]};\n"
        f"after it, {names[1]}: counting {counting}."
    )


def _with_spread(figures: "pd.DataFrame", column: str) -> str:
    """Return a column's mean with its lowest and highest value."""
    values = figures[column]
    return f"{values.mean():.2f} ({values.min():.2f} to {values.max():.2f})"


def summary(
    measured: Mapping[str, "pd.DataFrame"], history: "pd.DataFrame", table: "pd.DataFrame"
) -> str:
    """Sum the walkthrough up in figures.

    Args:
        measured: for each way to train its `val_loss` and `val_accuracy`, one row for each seed.
        history: of the network without a remedy.
        table: accuracies on fresh photos, `fresh` with its interval `low` and `high`.
    """
    ways = [
        f"{name}: loss {_with_spread(figures, 'val_loss')}, "
        f"accuracy {_with_spread(figures, 'val_accuracy')}"
        for name, figures in measured.items()
    ]
    on_fresh = [
        f"{x.Index}: {x.fresh:.2f} ({x.low:.2f} to {x.high:.2f})" for x in table.itertuples()
    ]
    return "\n".join(
        [
            f"The first network's validation loss was {history['val_loss'].min():.2f} at best and "
            f"{history['val_loss'].iloc[-1]:.2f} at the end.",
            "On the held-back photos, the mean over the seeds (lowest to highest):",
            *(f"  {line}" for line in ways),
            "On fresh photos, accuracy with its 95 % interval:",
            *(f"  {line}" for line in on_fresh),
        ]
    )


def beside_the_source(
    measured: Mapping[str, "pd.DataFrame"],
    staged: Mapping[str, "pd.DataFrame"],
    held: int,
    fresh: int,
    parameters: int,
) -> "pd.DataFrame":
    """Return a table of what the course project did and what is done here, in figures.

    Args:
        measured: as for `summary`; the first way has no remedy.
        staged: the same for the two orders of unfreezing, the right one first.
        held: how many photos were held back.
        fresh: how many were drawn to judge once.
        parameters: of the convnet.
    """
    import pandas as pd

    seeds, orders = (len(next(iter(some.values()))) for some in (measured, staged))
    spreads = [f"{name} {_with_spread(x, 'val_accuracy')}" for name, x in measured.items()]
    losses = [f"{name} {_with_spread(x, 'val_loss')}" for name, x in staged.items()]
    rows = {
        "network": (
            "Conv2D and MaxPooling2D stacked, one sigmoid",
            f"the same; all {parameters:,} parameters counted by hand and compared with Keras's",
        ),
        "remedies": (
            "L2, dropout, early stopping and augmentation, one training each",
            f"each alone, with {seeds} seeds; accuracy {', '.join(spreads)}",
        ),
        "unfreezing": (
            "MobileNet frozen, then unfrozen in five steps",
            f"two orders beside each other, with {orders} seeds; loss {', '.join(losses)}",
        ),
        "figures": (
            "70/30; none published",
            f"{held} photos held back and {fresh} fresh ones, accuracy there with an interval",
        ),
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["the project", "here"])

"""What notebook 03 says about its figures; each function returns one text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dermaface.readings.words import percent

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


STAGES = {"head": "the head", "fine_tune": "fine-tuning", "full": "the whole network"}


def frozen_share(frozen: int, learning: int) -> str:
    """Say how much of the work for a photo lies in what is frozen, in multiply-adds."""
    if not frozen:
        return "How much work the frozen front does cannot be seen: a Hub module hides its layers."
    share = frozen / (frozen + learning)
    part = "more than 99.9 %" if share > 0.9994 else f"{share:.1%}".replace("%", " %")
    return (
        f"The frozen front does {part} of the work for a photo: {frozen / 1e6:,.2f} of "
        f"{(frozen + learning) / 1e6:,.2f} million multiply-adds."
    )


def time_saved(photos: int, epochs: int, kept: float, usual: float) -> str:
    """Say what keeping features brought.

    Args:
        photos: trained on.
        epochs: timed.
        kept: seconds with kept features, computing them included.
        usual: seconds without.
    """
    took = (
        f"{epochs} epochs of {photos} photos took {usual:.2f} s the usual way and {kept:.2f} s "
        "with kept features,\ncomputing them included"
    )
    factor = usual / kept
    if factor >= 1.1:
        return f"{took}: {factor:.1f} times as fast."
    if factor <= 0.9:
        return (
            f"{took}: {1 / factor:.1f} times as long. It pays with more epochs or a larger front."
        )
    return f"{took}: about the same. It pays with more epochs or a larger front."


def learning_part(
    total: int,
    in_head: int,
    learning: int,
    normalizations: Sequence[int],
    frozen: int,
    shape: Sequence[int],
    share: float,
) -> str:
    """Say what learns in fine-tuning, what stays frozen, and what is kept of a photo.

    Args:
        total: weights of the model.
        in_head: weights that learn in the head.
        learning: weights that learn, those in the head included.
        normalizations: the weights in each BatchNormalization layer of the backbone that lies
            after the cut and stays frozen.
        frozen: weights in the front that is computed once.
        shape: of what is kept of each photo.
        share: of the multiply-adds for a photo that lies in the front, 0..1; 0 if it is hidden in
            a module.
    """
    in_backbone = f"{learning - in_head:,}" if learning > in_head else "none"
    said = [
        f"Of the model's {total:,} weights, {learning:,} learn:",
        f"{in_head:,} in the head, {in_backbone} in the backbone.",
    ]
    if normalizations:
        count = len(normalizations)
        layers = "one BatchNormalization layer" if count == 1 else (
            f"{count} BatchNormalization layers"
        )  # fmt: skip
        where = " after the cut" if frozen else ""
        said.append(f"The {sum(normalizations):,} weights of its {layers}{where} stay frozen.")
    size = " x ".join(map(str, shape))
    if frozen:
        work = f", and {percent(share)} of the work for a photo," if share else ""
        said.append(
            f"The front with {frozen:,} weights{work} is computed once:\n{size} features per photo."
        )
    else:
        others = "All its other layers" if normalizations else "All its layers"
        said.append(f"{others} are set free, so the pixels are kept: {size} per photo.")
    return "\n".join(said)


def stage_outcome(history: "pd.DataFrame", stage: str) -> str:
    """Say how a stage's validation loss went, and whether its weights are kept.

    Args:
        history: `history.csv` up to this stage.
        stage: as in its column `stage`.
    """
    name = STAGES[stage]
    losses = history.loc[history["stage"] == stage, "val_loss"].to_list()
    if not losses:
        return f"{name.capitalize()} was left out: it had no epochs."
    lowest = min(losses)
    best, epochs = losses.index(lowest) + 1, len(losses)
    where = f"in epoch {best} of {epochs}" if epochs > 1 else "in its only epoch"
    earlier = history["val_loss"].to_list()[: -len(losses)]
    if earlier:
        before, after = _told_apart(min(earlier), lowest)
        if lowest < min(earlier):
            return (
                f"{name.capitalize()} lowered the validation loss from {before} to {after}, "
                f"{where}:\nits weights are kept."
            )
        return (
            f"{name.capitalize()} got the validation loss no lower than {after}, {where},\nand "
            f"before it was {before}: rolled back."
        )
    if best == 1:
        more = "\nThe later epochs are not used." if epochs > 1 else ""
        return f"The validation loss of {name} was lowest, {lowest:.2f}, {where}.{more}"
    first, last = _told_apart(losses[0], lowest)
    more = (
        "It was still falling, so more epochs may lower it further."
        if best == epochs
        else "The later epochs are not used."
    )
    return f"The validation loss of {name} fell from {first} to {last}, {where}.\n{more}"


def validation_beside_training(history: "pd.DataFrame", stage: str) -> str:
    """Say in how many epochs of a stage the model did better on validation photos."""
    rows = history[history["stage"] == stage]
    if rows.empty:
        return "There is no epoch to compare."
    epochs, last = len(rows), rows.iloc[-1]
    above = int((rows["val_accuracy"] > rows["accuracy"]).sum())
    figures = f"{last['val_accuracy']:.2f} against {last['accuracy']:.2f}"
    if epochs == 1:
        return f"Validation accuracy beside training accuracy, after the only epoch: {figures}."
    count = {0: "none of the", epochs: "all"}.get(above, f"{above} of the")
    return (
        f"Validation accuracy was above training accuracy in {count} {epochs} epochs;\nin the last "
        f"one, it was {figures}."
    )


def normalization(before: "Sequence[list[np.ndarray]]", after: "Sequence[list[np.ndarray]]") -> str:
    """Say whether BatchNormalization layers of the backbone moved in training.

    Args:
        before: the weights of each layer before.
        after: and after, in the same order.
    """
    total = len(before)
    moved = sum(
        any((old != new).any() for old, new in zip(*pair, strict=True))
        for pair in zip(before, after, strict=True)
    )
    if not total:
        return "The backbone shows no BatchNormalization layer, so there is none to compare."
    if total == 1:
        verb = "moved" if moved else "did not move"
        return f"The backbone's one BatchNormalization layer {verb}."
    return f"Of the backbone's {total} BatchNormalization layers, {moved or 'none'} moved."


def from_scratch(scratch: "pd.DataFrame", history: "pd.DataFrame") -> str:
    """Compare the same network from random weights with the trained one, after equal passes.

    Args:
        scratch: its epochs, with the columns of `history.csv`.
        history: `history.csv`; its first stage is compared.
    """
    if scratch.empty:
        return (
            "No network was trained from random weights: scratch_epochs is 0,\nor the backbone is "
            "a TensorFlow Hub module, which never comes without its own."
        )
    if history.empty:
        return "There is no stage on the trained backbone to compare with."
    first = history["stage"].iloc[0]
    stage = history[history["stage"] == first]
    passes = min(len(scratch), len(stage))
    reached, trained = (rows["val_accuracy"].iloc[passes - 1] for rows in (scratch, stage))
    points = round(100 * (trained - reached))
    distance = f"{abs(points)} point" + ("s" if abs(points) > 1 else "")
    if points > 0:
        verdict = f"The trained backbone has a head start of {distance}; more passes may change it."
    elif points:
        verdict = f"The trained backbone brought no head start: it is {distance} behind."
    else:
        verdict = "The trained backbone brought no head start."
    accuracies = scratch["accuracy"].to_list()
    if len(accuracies) > 1:
        verdict += (
            f"\nFrom random weights, training accuracy went from {accuracies[-2]:.2f} to "
            f"{accuracies[-1]:.2f} in the last pass."
        )
    return (
        f"Validation accuracy after {passes} pass{'es' if passes > 1 else ''}: {reached:.2f} from "
        f"random weights,\n{trained:.2f} for {STAGES[first]} on the trained backbone after as many."
        f"\n{verdict}"
    )


def whole_model(accuracy: float, expected: float, photos: int) -> str:
    """Say whether the whole model answers like its halves.

    Args:
        accuracy: from pixels to probabilities, on the validation photos.
        expected: of the epoch whose weights were kept.
        photos: the number of validation photos.
    """
    right, before = round(accuracy * photos), round(expected * photos)
    told = (
        f"From pixels to probabilities, the model gets {right} of {photos} photos right;\n"
        f"in the epoch that was kept it got {before}"
    )
    if abs(right - before) > max(2, 0.01 * photos):
        return f"{told}. Rounding does not explain that, so do not go on."
    return f"{told}. The two agree, to within rounding."


def training_summary(history: "pd.DataFrame", photos: int) -> str:
    """Say in four lines what was trained and what is kept.

    Args:
        history: `history.csv`.
        photos: the number of validation photos.
    """
    counts = history.groupby("stage", sort=False).size()
    trained = ", ".join(f"{STAGES[stage]} {count}" for stage, count in counts.items())
    best = history.loc[history["val_loss"].idxmin()]
    first, last = _told_apart(history["val_loss"].iloc[0], best["val_loss"])
    right = round(best["val_accuracy"] * photos)
    return (
        f"Epochs: {trained}.\n"
        f"Kept: epoch {best['epoch']} of {STAGES[best['stage']]}, with a validation loss of "
        f"{last}\n({first} after the very first epoch).\n"
        f"Right: {right} of {photos} validation photos, by which this epoch was also chosen."
    )


def _told_apart(*numbers: float) -> list[str]:
    """Return numbers as texts, with two decimals or as many as tell them apart."""
    for decimals in (2, 3, 4, 6):
        texts = [f"{number:.{decimals}f}" for number in numbers]
        if len(set(texts)) == len(set(numbers)):
            break
    return texts

"""What notebook 02 says about its figures; each function returns one text."""

from collections import Counter
from collections.abc import Mapping
import math
from typing import TYPE_CHECKING

from dermaface.readings.words import counted, listed, percent

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def plain_pipeline(photos: "pd.DataFrame") -> str:
    """Say what the plainest input pipeline would make of a table of photos.

    Args:
        photos: rows of `images.csv`, with `format` and `orientation`.
    """
    is_other = ~photos["format"].isin(["JPEG", "PNG"])
    is_turned = photos["orientation"] > 1
    others, turned = int(is_other.sum()), int(is_turned.sum())
    told = (
        f"Of {counted(len(photos), 'training photo')}, {others or 'none'} "
        f"{'are' if others > 1 else 'is'} in a format other than JPEG or PNG,\n"
        f"and {turned or 'none'} {'are' if turned > 1 else 'is'} stored turned or mirrored"
    )
    wrong = int((is_other | is_turned).sum())
    if not wrong:
        return f"{told}:\nas far as that goes, the five lines would do for these."
    return f"{told}: the five lines leave out or misread {wrong:,} of them."


def batch_range(pixels: "np.ndarray") -> str:
    """Say whether a batch holds pixels as the model wants them.

    Args:
        pixels: (batch, height, width, 3).
    """
    low, high = float(pixels.min()), float(pixels.max())
    told = f"{counted(len(pixels), 'photo')} of {pixels.shape[2]} x {pixels.shape[1]} pixels, "
    told += f"from {low:g} to {high:g}: "
    if low < 0:
        return told + "some are below 0, so they were scaled before the model could do it."
    if high <= 1:
        return told + "already divided, or black; the model would see next to nothing."
    if high > 255:
        return told + "more than a byte holds, so they were scaled."
    return told + "raw, as the model wants them."


def augmentation_speed(keras_seconds: float, project_seconds: float) -> str:
    """Say which of two ways to augment a batch took less time, and by what factor."""
    factor = max(keras_seconds, project_seconds) / min(keras_seconds, project_seconds)
    told = (
        f"A batch takes {1000 * keras_seconds:.0f} ms in Keras's layers and "
        f"{1000 * project_seconds:.0f} ms in one warp:\n"
    )
    if factor < 1.1:
        return told + "about the same on this machine."
    winner = "one warp is" if project_seconds < keras_seconds else "Keras's layers are"
    return told + f"{winner} {factor:.1f} times as fast on this machine."


def backbone(name: str, layers: int, parameters: int, multiply_adds: int) -> str:
    """Describe a backbone in one line.

    Args:
        name: as in the table of backbones, or a handle.
        layers: how many it has.
        parameters: how many weights it holds.
        multiply_adds: for one photo; 0 if they are hidden in a module.
    """
    work = f"{multiply_adds / 1e6:,.0f} million multiply-adds for one photo"
    if not multiply_adds:
        work = "multiply-adds hidden in its module"
    return f"{name}: {counted(layers, 'layer')}, {parameters:,} parameters, {work}."


def frozen_backbone(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """Say how many parameters of a backbone could learn before it was frozen, and can now.

    Args:
        before: how many `parameters` it has, and how many of them are `trainable`.
        after: the same once it is frozen.
    """
    learnt, learns, parameters = before["trainable"], after["trainable"], after["parameters"]
    if learns:
        return f"{learns:,} of {parameters:,} parameters can still learn: it is not frozen."
    if not learnt:
        return f"None of {parameters:,} parameters could learn even before: it came frozen."
    return f"Before, {learnt:,} of {parameters:,} parameters could learn; now none can."


def same_in_training(difference: float) -> str:
    """Say whether a frozen backbone gives the same features in training as in use.

    Args:
        difference: the largest between features of the same photos.
    """
    if difference < 1e-6:
        return "The frozen backbone gives the same features in training as in use."
    return (
        f"In training the features differ by up to {difference:.2g} from those in use:\n"
        "some layer acts only in training, as dropout does."
    )


def head_size(learning: int, parameters: int, photos: int) -> str:
    """Say how much of a model has to be learnt, and from how much.

    Args:
        learning: parameters that learn.
        parameters: all of them.
        photos: to train on.
    """
    per_photo = learning / photos
    told = (
        f"{learning:,} of {parameters:,} parameters learn ({100 * learning / parameters:.1f} %), "
        f"{per_photo:,.1f} for each of {counted(photos, 'training photo')}."
    )
    if per_photo > 1000:
        return f"{told}\nThat is a lot to learn from so few."
    return told


def untrained(loss: float, num_classes: int) -> str:
    """Say whether a model that has learnt nothing is as undecided as it should be.

    Args:
        loss: its cross-entropy on one batch.
        num_classes: how many classes there are.
    """
    chance = math.log(num_classes)
    told = f"Untrained loss {loss:.1f} against ln {num_classes} = {chance:.1f}: "
    if loss > chance + 1:
        return (
            f"{told}well above.\nThe features are large for a new head, or not what they should be."
        )
    if loss < chance - 0.5:
        return f"{told}well below.\nOnly luck, or pictures that give the answer away, can do that."
    if loss > chance + 0.2:
        return f"{told}nearly undecided.\nThe random head leans a little towards some classes."
    return f"{told}undecided, as it should be."


def alike_neighbours(hits: "dict[str, np.ndarray]", classes: "np.ndarray") -> str:
    """Say which of two sets of features puts photos of one class side by side.

    Args:
        hits: for both, by name, whether the nearest other photo has the same class, bool (photos,).
        classes: the photos' classes, int (photos,).
    """
    sizes = Counter(classes.tolist()).values()
    chance = sum(size * (size - 1) for size in sizes) / max(len(classes) - 1, 1)
    (first, ours), (second, theirs) = hits.items()
    found, fewer = int(ours.sum()), int(theirs.sum())
    told = (
        f"Nearest neighbours of the same class: {found} of {len(ours)} by {first},\n"
        f"{fewer} by {second}, about {chance:.0f} by guessing.\n"
    )
    # Photos on which both agree say nothing; of the others, chance would give each side half.
    if abs(found - fewer) <= 2 * math.sqrt((ours != theirs).sum()):
        return f"{told}The difference is no more than chance can bring."
    better = first if found > fewer else second
    return f"{told}The difference is clear: {better} tell your classes apart better."


def summary(name: str, learning: int, photos: int, hits: "dict[str, np.ndarray]") -> str:
    """Say in three lines what was built, what it knows before training, and how far to trust it.

    Args:
        name: the backbone's.
        learning: parameters of the head.
        photos: to train on.
        hits: as for `alike_neighbours`.
    """
    shares = [f"{percent(float(found.mean()))} by {by}" for by, found in hits.items()]
    return (
        f"{name}, frozen, and a head of {learning:,} parameters to learn from "
        f"{counted(photos, 'photo')}.\n"
        f"Neighbours of the same class: {listed(shares)}.\n"
        f"That is a hint from {len(next(iter(hits.values())))} training photos, not an accuracy: "
        "nothing is trained yet."
    )


def same_model(same_counts: bool, difference: float) -> str:
    """Say whether two models are one and the same.

    Args:
        same_counts: whether they have as many parameters, and as many of them learn.
        difference: the largest between their probabilities for the same photos.
    """
    if same_counts and difference < 1e-5:
        return (
            "The packaged model is yours: as many parameters learn, and its answers are the same."
        )
    counts = "as many" if same_counts else "more or fewer"
    return (
        f"The packaged model is not yours: {counts} parameters learn, and its "
        f"probabilities differ by up to {difference:.2g}."
    )

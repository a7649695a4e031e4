"""Every sentence that the notebooks make from figures; each function returns one as a string.

Prose in a notebook says how to read a result. What *this* run shows is said by one of these, from
the figures themselves, so that it is true of any data set and turns when the figures turn.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SPLITS = ("train", "validation", "test")


def _number_of(number: int, noun: str) -> str:
    """Return a number with its noun, such as "1 photo" or "3 classes"."""
    return f"{number} {noun}" + ("" if number == 1 else "es" if noun.endswith("s") else "s")


def _percent(share: float) -> str:
    """Return a share in whole percent; what is neither nothing nor all does not look like it."""
    rounded = round(100 * share)
    if rounded == 0 and share > 0:
        return "less than 1 %"
    return "more than 99 %" if rounded == 100 and share < 1 else f"{rounded} %"


def _listed(words: Sequence[str], last: str = "and") -> str:
    """Return words as a sentence lists them: "a", "a and b", "a, b and c"."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def _interval(share: float, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of a number of photos (Wilson 1927)."""
    squared = 1.959964**2 / total
    middle = share + squared / 2
    half = math.sqrt(share * (1 - share) * squared + squared**2 / 4)
    return (middle - half) / (1 + squared), (middle + half) / (1 + squared)


# 1. Explore the data


def files_found(photos: "pd.DataFrame") -> str:
    """Say how many files there are, in how many classes, and whether they came divided.

    Args:
        photos: as from `find_images`: `label` and `split`.
    """
    found = (
        f"{_number_of(len(photos), 'file')} {'lies' if len(photos) == 1 else 'lie'} in "
        f"{_number_of(photos['label'].nunique(), 'class')}"
    )
    if (photos["split"] == "").all():
        return f"{found}. No split was given, so one is made at the end."
    counts = photos["split"].replace("", "train").value_counts()
    given = [f"{split} {counts[split]}" for split in SPLITS if split in counts]
    return f"{found}. Given splits: {_listed(given)}."


def files_accounted(counts: Mapping[str, int]) -> str:
    """Say what became of every file below the data root.

    Args:
        counts: as from `count_files`.
    """
    system, beside = counts["system files"], counts["files beside the class folders"]
    parts = [f"{counts['kept']} can be used"]
    if counts["excluded"]:
        parts.append(f"{counts['excluded']} cannot")
    if system:
        parts.append(f"{system} {'is a system file' if system == 1 else 'are system files'}")
    if beside:
        parts.append(f"{beside} {'is' if beside == 1 else 'are'} not on the list")
    return f"Of {_number_of(counts['on disk'], 'file')} on disk, {_listed(parts)}."


def files_excluded(photos: "pd.DataFrame") -> str:
    """Say how many listed files cannot be used, why most of them, and which class suffers most.

    Args:
        photos: as from `check_images`: `label`, `status` and `reason`.
    """
    excluded = photos["status"] == "excluded"
    if not excluded.any():
        return "Every file on the list was read to its end."
    reasons = photos["reason"][excluded].value_counts()
    by_class = excluded.groupby(photos["label"])
    name = by_class.mean().idxmax()
    return (
        f"{excluded.sum()} of {_number_of(len(photos), 'file')} ({_percent(excluded.mean())}) "
        f"cannot be used; the most frequent reason ({reasons.iloc[0]}): "
        f"{reasons.index[0].rstrip('.')}.\n"
        f"The class {name!r} loses the largest share, {by_class.sum()[name]} of "
        f"{by_class.size()[name]}."
    )


def formats_found(kept: "pd.DataFrame") -> str:
    """Say in which formats the photos are stored, and how many of them are not stored upright.

    Args:
        kept: rows of `images.csv`: `format` and `orientation`.
    """
    formats = [f"{count} {name}" for name, count in kept["format"].value_counts().items()]
    turned = int((kept["orientation"] != 1).sum())
    if not turned:
        return f"Stored as {_listed(formats)}, all of them upright."
    return (
        f"Stored as {_listed(formats)}; a note turns or mirrors {turned} of "
        f"{_number_of(len(kept), 'photo')} ({_percent(turned / len(kept))})."
    )


def class_balance(counts: Mapping[str, int]) -> str:
    """Say how even the classes are, and how often one and the same answer would be right.

    Args:
        counts: the photos of each class.
    """
    counts = dict(counts)
    largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    most, fewest = counts[largest], counts[smallest]
    share = _percent(most / sum(counts.values()))
    if most == fewest:
        return (
            f"Each of the {_number_of(len(counts), 'class')} has {_number_of(most, 'photo')}. One "
            f"answer for all would be right for {share}."
        )
    judged = "imbalanced" if most > 3 * fewest else "even enough"
    return (
        f"The largest class is {largest} ({most}), the smallest {smallest} ({fewest}), "
        f"{most / fewest:.1f} times: {judged}.\n"
        f"Always answering {largest} would be right for {share}."
    )


def photos_shown(shown: "pd.DataFrame", kept: "pd.DataFrame") -> str:
    """Say how much of the photos a grid shows.

    Args:
        shown: the rows of `kept` that are shown.
        kept: rows of `images.csv`: `label`.
    """
    return (
        f"{len(shown)} of {_number_of(len(kept), 'photo')}, from {shown['label'].nunique()} of "
        f"{_number_of(kept['label'].nunique(), 'class')}."
    )


def blur_by_size(scores: "pd.DataFrame") -> str:
    """Say what the size at which photos are measured does to their blur score.

    Args:
        scores: one row per photo, one column per side in pixels, the smallest first.
    """
    small, large = scores.columns[0], scores.columns[-1]
    fell = int((scores[large] < scores[small]).sum())
    said = (
        f"At {large} px, {fell} of {_number_of(len(scores), 'photo')} "
        f"{'scores' if fell == 1 else 'score'} lower than at {small} px (median "
        f"{scores[large].median():.0f} against {scores[small].median():.0f})."
    )
    if 2 * fell > len(scores):
        return f"{said}\nA threshold is good for one size only."
    return f"{said}\nThat is unusual; look at these photos."


def photos_flagged(kept: "pd.DataFrame") -> str:
    """Say how many photos are flagged, for what, and in which class most of them lie.

    Args:
        kept: rows of `images.csv`: `label` and `flags`.
    """
    flagged = kept[kept["flags"] != ""]
    if not len(flagged):
        return f"None of the {len(kept)} photos is flagged."
    kinds = flagged["flags"].str.split().explode().value_counts()
    flags = _listed([f"{count} as {kind}" for kind, count in kinds.items()])
    labels = flagged["label"].value_counts()
    return (
        f"{len(flagged)} of {_number_of(len(kept), 'photo')} "
        f"({_percent(len(flagged) / len(kept))}) {'is' if len(flagged) == 1 else 'are'} flagged: "
        f"{flags}.\nNo class has more of them than {labels.index[0]}: {labels.iloc[0]} of its "
        f"{_number_of((kept['label'] == labels.index[0]).sum(), 'photo')}."
    )


def photo_sizes(kept: "pd.DataFrame", inputs: Sequence[int]) -> str:
    """Say how large the photos are beside the inputs of models, and how far from square.

    Args:
        kept: rows of `images.csv`: `width` and `height`.
        inputs: sides in pixels.
    """
    sides = kept[["width", "height"]]
    short, long = sides.min(axis=1), sides.max(axis=1)
    extent = f"{short.min()} to {short.max()}" if short.nunique() > 1 else f"{short.min()}"
    small = [f"{int((short < side).sum())} for {side} px" for side in inputs]
    return (
        f"The shorter sides measure {extent} px, and the longer ones up to "
        f"{(long / short).max():.2f} times as much.\n"
        f"Of {_number_of(len(kept), 'photo')}, too small are {_listed(small)}."
    )


def hash_distances(distances: Mapping[str, int]) -> str:
    """Say whether a hash tells copies of a photo from another photo.

    Args:
        distances: in how many of 64 bits a picture differs from the photo: the photo itself, its
            copies, and last another photo.
    """
    _, *copies, other = distances
    bits = [distances[name] for name in copies]
    missed = [name for name in copies if distances[name] >= distances[other]]
    extent = f"{min(bits)} to {max(bits)}" if len(set(bits)) > 1 else f"{bits[0]}"
    said = (
        f"The copies differ from the photo in {extent} of 64 bits, {other} in {distances[other]}."
    )
    if not missed:
        return f"{said}\nEvery copy lies closer than {other}."
    lie = "lies" if len(missed) == 1 else "lie"
    return f"{said}\nNo closer than {other} {lie}: {_listed(missed)}."


def copies_found(photos: "pd.DataFrame", pairs: "pd.DataFrame") -> str:
    """Say how many photos have a copy, and how many pairs of copies contradict each other.

    Args:
        photos: as from `group_copies`: `copies`.
        pairs: as from `find_copies`: `conflict` and `leak`.
    """
    if not len(pairs):
        return f"No copy was found among {_number_of(len(photos), 'file')}."
    return (
        f"{(photos['copies'] != '').sum()} of {_number_of(len(photos), 'file')} have a copy, which "
        f"makes {_number_of(len(pairs), 'pair')}.\n"
        f"Pairs in two classes: {pairs['conflict'].sum()}, in two given splits: "
        f"{pairs['leak'].sum()}."
    )


def photos_left_out(count: int, kept: int) -> str:
    """Say how many photos the rules leave out.

    Args:
        count: photos that they leave out.
        kept: photos that could be used before.
    """
    remain = f"{kept - count} {'remains' if kept - count == 1 else 'remain'}"
    return f"The rules leave out {count} of {_number_of(kept, 'photo')}; {remain}."


def photos_moved(by_hash: int, by_shuffle: int, old: int, new: int) -> str:
    """Say how many old photos change their split when new ones come, by two ways to split.

    Args:
        by_hash: old photos that move where a hash decides.
        by_shuffle: old photos that move where all are shuffled again.
        old: photos that were there before.
        new: photos that come.
    """
    if not old:
        return "There are too few photos to try it."
    return (
        f"When {_number_of(new, 'photo')} {'joins' if new == 1 else 'join'} {old}, the hash moves "
        f"{by_hash} of the old ones, a new shuffle {by_shuffle} ({_percent(by_shuffle / old)})."
    )


def split_shares(kept: "pd.DataFrame") -> str:
    """Say how many photos each split has, and how well the held-out ones can measure.

    Args:
        kept: rows of `images.csv`: `split`.
    """
    counts = kept["split"].value_counts()
    shares = [
        f"{split} {counts[split]} ({_percent(counts[split] / len(kept))})"
        for split in SPLITS
        if split in counts
    ]
    held_out = "test" if "test" in counts else "validation"
    low, high = _interval(0.9, counts[held_out])
    none = "" if "test" in counts else "; there is no test split"
    return (
        f"{_listed(shares).capitalize()}{none}.\nAn accuracy of 90 % on "
        f"{_number_of(counts[held_out], f'{held_out} photo')} would have a 95 % interval from "
        f"{_percent(low)} to {_percent(high)}."
    )


def smallest_class(counts: "pd.DataFrame", split: str) -> str:
    """Say how little the photos of the smallest class of a split can tell.

    Args:
        counts: photos of each class (rows) in each split (columns).
        split: one of the columns.
    """
    name, count = counts[split].idxmin(), int(counts[split].min())
    if not count:
        return f"No {split} photo shows {name}, so nothing is measured for it."
    if count <= 6:
        steps = [f"{100 * right / count:.0f}" for right in range(count + 1)]
        scores = f"It can only score {_listed(steps, 'or')} %"
    else:
        scores = f"Each photo moves its score by {100 / count:.1f} points"
    return (
        f"No class has fewer {split} photos than {name}: {count}.\n{scores}; after a full score, "
        f"{_percent(_interval(1.0, count)[0])} would still be possible."
    )


def split_agreement(same: int, total: int) -> str:
    """Say how many photos the package puts where a plain hash of each puts them.

    Args:
        same: photos for which both say the same.
        total: photos that came without a split.
    """
    if not total:
        return "Every photo came with a split, and the package keeps it."
    said = f"The package puts {same} of {_number_of(total, 'photo')} where your function does"
    if same == total:
        return f"{said}."
    return f"{said}.\nThe others follow a copy, a group or an earlier split."


# 2. Build the model


def _count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def plain_pipeline(photos: "pd.DataFrame") -> str:
    """Say what the plainest input pipeline would make of a table of photos.

    Args:
        photos: rows of `images.csv`, with `format` and `orientation`.
    """
    is_other = ~photos["format"].isin(["JPEG", "PNG"])
    is_turned = photos["orientation"] > 1
    others, turned = int(is_other.sum()), int(is_turned.sum())
    told = (
        f"Of {_count(len(photos), 'training photo')}, {others or 'none'} "
        f"{'have' if others > 1 else 'has'} another format than JPEG or PNG,\n"
        f"and {turned or 'none'} {'lie' if turned > 1 else 'lies'} turned or mirrored in the file"
    )
    wrong = int((is_other | is_turned).sum())
    if not wrong:
        return f"{told}: the five lines would do for these."
    return f"{told}: the five lines leave out or misread {wrong:,} of them."


def batch_range(pixels: "np.ndarray") -> str:
    """Say whether a batch holds pixels as the model wants them.

    Args:
        pixels: (batch, height, width, 3).
    """
    low, high = float(pixels.min()), float(pixels.max())
    told = f"{_count(len(pixels), 'photo')} of {pixels.shape[2]} x {pixels.shape[1]} pixels, "
    told += f"from {low:g} to {high:g}: "
    if low < 0:
        return told + "some are below 0, so somebody has scaled them before the model could."
    if high <= 1:
        return told + "divided already, or black; the model would see next to nothing."
    if high > 255:
        return told + "more than a byte holds, so somebody has scaled them."
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
        parameters: how many numbers it holds.
        multiply_adds: of one photo; 0 where they are hidden in a module.
    """
    work = f"{multiply_adds / 1e6:,.0f} million multiply-adds for one photo"
    if not multiply_adds:
        work = "work that its module hides"
    return f"{name}: {_count(layers, 'layer')}, {parameters:,} parameters, {work}."


def frozen_backbone(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """Say how many numbers of a backbone could learn before it was frozen, and can now.

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
        f"{per_photo:,.1f} for each of {_count(photos, 'training photo')}."
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
        return f"{told}well below.\nOnly luck, or the answer in the picture, can bring that."
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
        return f"{told}Between the two lies no more than chance can bring."
    better = first if found > fewer else second
    return f"{told}The difference is clear: {better} tell your classes apart better."


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
    counts = "as many" if same_counts else "not as many"
    return (
        f"The packaged model is not yours: {counts} parameters learn, and its "
        f"probabilities differ by up to {difference:.2g}."
    )


# 3. Train the model

# 4. Analyze the curves


def describe_curves(history: "pd.DataFrame") -> str:
    """Return in words which shape the curves have, by the validation loss.

    A rise after the lowest value counts only where it is larger than any rise from one epoch to the
    next before it, and than 5 % of the lowest value.

    Args:
        history: `history.csv`.
    """
    losses = history["val_loss"].tolist()
    epochs, best = len(losses), losses.index(min(losses))
    if epochs == 1:
        return "One epoch is a point and not a curve: it does not show whether more would help."
    lowest, last = losses[best], losses[-1]
    found = f"Validation loss is lowest in epoch {best + 1} of {epochs}, at {lowest:.3f}"
    if best == epochs - 1:
        return f"{found}.\nThat is the last one: it was still falling, so more epochs may help."
    rises = history.groupby("stage", sort=False)["val_loss"].diff().iloc[: best + 1]
    if last - lowest <= max(rises.fillna(0).max(), 0.05 * lowest):
        return (
            f"{found}, and ends little above, at {last:.3f}.\n"
            "It has levelled off: more epochs alone would bring little."
        )
    found += f", then rises by {100 * (last / lowest - 1):.0f} % to {last:.3f}.\n"
    if history["loss"].iloc[-1] < history["loss"].iloc[best]:
        return f"{found}Training loss goes on falling: overfitting after epoch {best + 1}."
    return f"{found}Training loss rises, too: the later steps did harm (learning rate)."


def describe_best_epoch(history: "pd.DataFrame", images: int) -> str:
    """Return in words which epoch was kept, and whether accuracy would have chosen another one.

    Args:
        history: `history.csv`.
        images: how many validation images there are.
    """
    losses, accuracies = history["val_loss"].tolist(), history["val_accuracy"].tolist()
    best = losses.index(min(losses))
    stages = list(dict.fromkeys(history["stage"]))
    kept = history["stage"].iloc[best]
    where = f" (epoch {history['epoch'].iloc[best]} of stage {kept})" if len(stages) > 1 else ""
    said = [f"Kept: epoch {best + 1}{where}, with validation accuracy {accuracies[best]:.3f}."]
    highest = accuracies.index(max(accuracies))
    more = round((accuracies[highest] - accuracies[best]) * images)
    if more:
        said.append(
            f"Accuracy alone would have chosen epoch {highest + 1}, where "
            f"{_counted(more, 'more photo')} of {images} {'was' if more == 1 else 'were'} right."
        )
    else:
        said.append("No epoch has a higher accuracy.")
    for stage in stages[stages.index(kept) + 1 :]:
        said.append(f"Stage {stage} brought no lower loss and was taken back.")
    return "\n".join(said)


def describe_count(right: int, total: int, evaluated: float, logged: float) -> str:
    """Return in words whether three ways to an accuracy agree.

    Args:
        right: right answers by comparing them with the table of images.
        total: all images.
        evaluated: accuracy by Keras's `evaluate`.
        logged: accuracy that training noted for the kept epoch.
    """
    others = round(evaluated * total), round(logged * total)
    said = (
        f"Right of {total}: {right} by counting, {others[0]} by `evaluate`, {others[1]} in the "
        "training log.\n"
    )
    apart = abs(others[1] - right)
    if others[0] != right:
        return f"{said}The answers and the table do not stand in the same order."
    if not apart:
        return f"{said}All three agree."
    if apart <= max(2, 0.01 * total):
        return f"{said}So small a difference comes from rounding, as in features that are kept."
    return f"{said}Rounding does not explain that: `model.keras` is not what that epoch left."


def describe_gap(
    train_accuracy: float, validation_accuracy: float, interval: tuple[float, float]
) -> str:
    """Return in words what the gap between training and validation accuracy says.

    Args:
        train_accuracy: 0..1, in the same epoch as the validation accuracy.
        validation_accuracy: 0..1.
        interval: of the validation accuracy, 95 %.
    """
    said = f"Training {train_accuracy:.3f} lies "
    of_validation = f"the interval of validation, {interval[0]:.3f} to {interval[1]:.3f}.\n"
    if train_accuracy > interval[1]:
        gap = 100 * (train_accuracy - validation_accuracy)
        return (
            f"{said}{gap:.0f} points higher, above {of_validation}"
            "The model knows its training photos better than new ones."
        )
    side = "below" if train_accuracy < interval[0] else "inside"
    if train_accuracy < 0.7:
        return (
            f"{said}{side} {of_validation}Underfitting: it has not even learnt its training photos,"
            " or they do not show what tells the classes apart."
        )
    return f"{said}{side} {of_validation}No gap that these photos could show."


def describe_reference(frame: "pd.DataFrame", images: int) -> str:
    """Return in words by how much each way to answer beats the first, and what chance explains.

    Args:
        frame: as from `reference_frame`; the first row is what all others must beat.
        images: how many images were answered.
    """
    ways = {name: (row["accuracy"], row["low"], row["high"]) for name, row in frame.iterrows()}
    (base, first), *others = ways.items()
    gains = [f"{name} {100 * (way[0] - first[0]):+.0f}" for name, way in others]
    said = [f"In points above the {base} ({first[0]:.2f}):", f"{', '.join(gains)}."]
    level = [name for name, way in others if not _beats(way, first)]
    if level:
        said.append(f"Not shown to beat it: {', '.join(level)}.")
    (best, highest), (second, next_one), *_ = sorted(ways.items(), key=lambda way: -way[1][0])
    said.append(
        f"Best: {best}, above {second} by more than chance explains."
        if _beats(highest, next_one)
        else f"{best.capitalize()} and {second} are too close for {_counted(images, 'photo')} to "
        "tell which is better."
    )
    if "from scratch" not in ways:
        said.append("Nothing was trained from scratch in this run.")
    return "\n".join(said)


def _beats(first: Sequence[float], second: Sequence[float]) -> bool:
    """Tell whether one accuracy lies above another by more than chance explains.

    That is where the 95 % interval of their difference lies above 0: Newcombe (1998), Statistics in
    Medicine 17, 873-890, method 10. Accuracies on the same images differ by chance a little less.

    Args:
        first: accuracy, and the lower and upper bound of its Wilson interval.
        second: the same.
    """
    margin = math.hypot(first[0] - first[1], second[2] - second[0])
    return first[0] - second[0] > margin


def describe_splits(metrics: Mapping[str, Mapping]) -> str:
    """Return in words which accuracy to report, how the splits compare, and what is not measured.

    Args:
        metrics: for each split its figures, as from `score`.
    """
    accuracy, interval = (metrics["validation"][n] for n in ("accuracy", "accuracy_interval"))
    if "test" not in metrics:
        said = [
            f"There is no test split: {accuracy:.3f} is validation (also used to choose).",
            "It flatters a little. A folder named test would give a figure that nobody chose.",
        ]
        return "\n".join([*said, *describe_missing(metrics)])
    test = metrics["test"]["accuracy"], *metrics["test"]["accuracy_interval"]
    validation = accuracy, *interval
    compared = f"Validation {accuracy:.3f}, test {test[0]:.3f}: test lies"
    of_validation = f"validation's interval, {interval[0]:.3f} to {interval[1]:.3f}"
    if interval[0] <= test[0] <= interval[1]:
        said = [f"{compared} inside {of_validation}.", "Chance alone can explain the difference."]
    else:
        said = [f"{compared} {'below' if test[0] < interval[0] else 'above'} {of_validation}."]
        differ = _beats(test, validation) or _beats(validation, test)
        said.append(
            "Chance does not explain that: the two groups of photos differ."
            if differ
            else "It may still be chance, for test has an interval, too."
        )
    said.append(
        f"Report {test[0]:.3f} with its 95 % interval {test[1]:.3f} to {test[2]:.3f}: nothing was "
        "chosen by it."
    )
    return "\n".join([*said, *describe_missing(metrics)])


def describe_missing(metrics: Mapping[str, Mapping]) -> list[str]:
    """Return a sentence for each split that lacks classes.

    Args:
        metrics: for each split its figures, as from `score`.
    """
    return [
        f"Not measured: no {split} photo shows {', '.join(missing)}."
        for split, figures in metrics.items()
        if (missing := [name for name, e in figures["classes"].items() if not e["images"]])
    ]


def describe_sureness(log_loss: float, promised: float, margin: float) -> str:
    """Return in words whether a model is right as often as it says.

    Args:
        log_loss: of its answers, in nats.
        promised: the log loss that its answers promise.
        margin: how far chance alone takes the one from the other.
    """
    said = f"log loss {log_loss:.3f}, promised {promised:.3f} ± {margin:.3f}: "
    if log_loss > promised + margin:
        return f"{said}too sure of itself."
    if log_loss < promised - margin:
        return f"{said}less sure than it could be."
    return f"{said}as sure as it is right, within chance."


def describe_confusions(matrix: "np.ndarray", class_names: Sequence[str]) -> str:
    """Return in words how many answers are wrong and which classes are taken for each other most.

    Args:
        matrix: counts, one row per true class, one column per answer.
        class_names: the classes in index order.
    """
    total = int(matrix.sum())
    wrong = total - int(matrix.trace())
    if not wrong:
        return f"None of {_counted(total, 'answer')} is wrong, so there is nothing to confuse."
    pairs = {
        (a, b): int(matrix[a, b] + matrix[b, a]) for b in range(len(class_names)) for a in range(b)
    }
    said = f"{wrong} of {_counted(total, 'answer')} {'is' if wrong == 1 else 'are'} wrong.\n"
    most = max(pairs.values())
    if most == 1:
        return f"{said}No two classes are confused more than once: there is no pattern to see."
    often = [pair for pair, times in pairs.items() if times == most]
    told = []
    for a, b in often[:3]:
        if matrix[a, b] and matrix[b, a]:
            told.append(f"{class_names[a]} and {class_names[b]} are taken for each other")
        else:
            true, answer = (a, b) if matrix[a, b] else (b, a)
            told.append(f"{class_names[true]} is taken for {class_names[answer]}")
    more = f";\nand {_counted(len(often) - 3, 'other pair')}" if len(often) > 3 else ""
    each = " each" if len(often) > 1 else ""
    return f"{said}Most often, {most} times{each}: " + ";\n".join(told) + f"{more}."


def describe_weakest(classes: "pd.DataFrame", accuracy: float) -> str:
    """Return in words which class is found least often, and how sure that is.

    Args:
        classes: as from `class_frame`.
        accuracy: of all classes together.
    """
    measured = classes[classes["images"] > 0]
    widths = measured["high"] - measured["low"]
    width = f"{widths.min():.2f} to {widths.max():.2f} wide"
    if widths.round(2).nunique() == 1:
        width = f"{widths.max():.2f} wide"
    fewest, most = measured["images"].min(), measured["images"].max()
    counts = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    sizes = f"With {counts} {'photo' if most == 1 else 'photos'} per class, intervals are {width}."
    name, level = weakest_class(classes)
    row = classes.loc[name]
    if row["recall"] == 1:
        return f"Every photo of every class was found.\n{sizes}"
    said = f"Weakest: {name}, {row['found']:.0f} of {row['images']:.0f} found"
    if level:
        said += f", level with {_counted(level, 'other class', 'other classes')}"
    side = "lies below" if row["high"] < accuracy else "holds"
    told = "probably weaker" if row["high"] < accuracy else "it may be chance"
    return (
        f"{said}.\nIts interval, {row['low']:.3f} to {row['high']:.3f}, {side} the accuracy of "
        f"all ({accuracy:.3f}): {told}.\n{sizes}"
    )


def weakest_class(classes: "pd.DataFrame") -> tuple[str, int]:
    """Return the class with the lowest recall, and how many others are as weak.

    Args:
        classes: as from `class_frame`. Of several, the one with the most images is taken.
    """
    measured = classes[classes["images"] > 0]
    weakest = measured[measured["recall"] == measured["recall"].min()]
    return weakest["images"].idxmax(), len(weakest) - 1


def describe_mistakes(wrong: int, total: int, sure_wrong: int, sure: int, limit: float) -> str:
    """Return in words how many answers were wrong, and how many of the wrong ones were sure.

    Args:
        wrong: wrong answers.
        total: all answers.
        sure_wrong: wrong answers with at least the probability `limit`.
        sure: all answers with at least that probability.
        limit: 0..1.
    """
    if not wrong:
        return f"No mistake in {_counted(total, 'answer')}. The next photo can still bring one."
    said = f"{wrong} of {_counted(total, 'answer')} {'is' if wrong == 1 else 'are'} wrong.\n"
    if not sure:
        return f"{said}No answer at all was given with {100 * limit:.0f} % or more."
    return (
        f"{said}Of the {_counted(sure, 'answer')} given with {100 * limit:.0f} % or more, "
        f"{sure_wrong or 'none'} {'is' if sure_wrong <= 1 else 'are'} wrong."
    )


def describe_analysis(
    history: "pd.DataFrame",
    reference: "pd.DataFrame",
    metrics: Mapping[str, Mapping],
    classes: "pd.DataFrame",
) -> str:
    """Return the figures of notebook 04 in four lines.

    Args:
        history: `history.csv`.
        reference: as from `reference_frame`, on the validation photos.
        metrics: for each split its figures, as from `score`.
        classes: of the split to report, as from `class_frame`.
    """
    losses = history["val_loss"].tolist()
    accuracies = reference["accuracy"]
    split = "test" if "test" in metrics else "validation"
    figures, chosen = metrics[split], "" if split == "test" else " (also used to choose)"
    low, high = figures["accuracy_interval"]
    name, _ = weakest_class(classes)
    lines = (
        f"Kept: epoch {losses.index(min(losses)) + 1} of {len(losses)}.",
        f"On the validation photos: {reference.index[0]} {accuracies.iloc[0]:.2f}, best "
        f"({accuracies.idxmax()}) {accuracies.max():.2f}.",
        f"To report: {figures['accuracy']:.3f} ({low:.3f} to {high:.3f}) of "
        f"{figures['images']} {split} photos{chosen}.",
        f"Lowest recall: {name}, {classes.loc[name, 'found']} of {classes.loc[name, 'images']}.",
    )
    return "\n".join(lines)


def _counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number and its noun, such as "1 photo" and "2 photos"."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


# 5. Convert and test TFLite


def _spoken(names: Sequence[str]) -> str:
    """Return names as one speaks them: "a", "a and b", "a, b and c"."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _points_lost(drop: float) -> str:
    """Return what an accuracy drop, as a share of 1, means in words."""
    points = round(100 * drop, 1)
    if not points:
        return "loses no accuracy"
    return f"{'loses' if points > 0 else 'wins'} {abs(points)} points of accuracy"


def _amount(change: float) -> str:
    """Return how far a probability moved, with as many digits as say something."""
    if change < 0.001:
        return "less than 0.001"
    return f"{change:.2f}" if change >= 0.01 else f"{change:.3f}"


def rounding(trained: "np.ndarray", stored: "np.ndarray") -> str:
    """Say how many weights did not go to the nearest level.

    Args:
        trained: weights counted in levels.
        stored: the same after rounding.
    """
    moved = float((trained.round() != stored.round()).mean())
    if not moved:
        return f"Each of this layer's {trained.size:,} weights went to its nearest level."
    return (
        f"Of this layer's {trained.size:,} weights, {100 * moved:.1f} % went to another level than "
        "the nearest."
    )


def closer(changes: "pd.DataFrame") -> str:
    """Say which of two files stays closer to the Keras model, by a sign test over the photos.

    Args:
        changes: one row per photo and one column per file, as from `probability_changes`.
    """
    first, second = changes.columns
    wins = {
        first: int((changes[first] < changes[second]).sum()),
        second: int((changes[second] < changes[first]).sum()),
    }
    better, worse = (first, second) if wins[first] > wins[second] else (second, first)
    decided = wins[better] + wins[worse]
    # How often fair coins would split at least as unevenly, to either side.
    tails = sum(math.comb(decided, heads) for heads in range(wins[worse] + 1))
    chance = min(1.0, 2 * tails / 2**decided)
    p_value = "p < 0.001" if chance < 0.001 else f"p = {chance:.2g}"
    counts = (
        f"Of {len(changes)} photos, {better} stayed closer on {wins[better]} and {worse} on "
        f"{wins[worse]} (sign test, {p_value})."
    )
    if chance >= 0.05:
        return (
            f"No difference was found between {first} and {second} that is more than chance.\n"
            f"{counts}"
        )
    typical = changes.median()
    return (
        f"Closer to the Keras model: {better}.\n{counts}\n"
        f"The median photo's largest change of a probability is {_amount(typical[better])}, with "
        f"{worse} {_amount(typical[worse])}."
    )


def recipes(tried: "pd.DataFrame") -> str:
    """Say which way of making `int8` was taken, and why.

    Args:
        tried: one row for each way that was tried, in this order, with `recipe`, `accuracy_drop`,
            `agreement` and `passed`, as from `try_recipes`.
    """
    best = tried.sort_values(["passed", "agreement"], ascending=False).iloc[0]
    figures = (
        f"It agrees on {100 * best['agreement']:.1f} % of the validation photos and "
        f"{_points_lost(best['accuracy_drop'])}."
    )
    if not best["passed"]:
        return (
            f"None of {len(tried)} recipes keeps to the limits; the one that agrees best goes on: "
            f"{best['recipe']}.\n{figures}"
        )
    if len(tried) == 1:
        return (
            f"The first recipe keeps to the limits, so no other was tried: {best['recipe']}.\n"
            f"{figures}"
        )
    missed = _spoken(list(tried["recipe"])[:-1])
    return f"Beyond the limits: {missed}.\nThe next keeps to them: {best['recipe']}.\n{figures}"


def kinds(table: "pd.DataFrame") -> str:
    """Say whether files are what their names say, and which calculate in integers alone.

    Args:
        table: one row per variant, as from `Audit.summary`.
    """
    wrong = [f"{name} is {kind}" for name, kind in table["it is"].items() if name != kind]
    whole = list(table.index[table["operators in floats"] == 0])
    mixed = table["float islands"][table["float islands"] > 0]
    told = [
        f"Not what the name says: {_spoken(wrong)}."
        if wrong
        else "Every file is what its name says.",
        f"Without an operator in floats: {_spoken(whole)}."
        if whole
        else "Each of them has operators in floats.",
    ]
    if len(mixed):
        islands = _spoken([f"{name} ({count})" for name, count in mixed.items()])
        told.append(f"Float islands: {islands}.")
    return "\n".join(told)


def alike(table: "pd.DataFrame") -> str:
    """Say which columns of a table hold the same value in every row.

    Args:
        table: one row per file.
    """
    same = [f"{name} {table[name].iloc[0]}" for name in table if table[name].nunique() == 1]
    return f"The same in every file: {_spoken(same)}." if same else "No column is the same in all."


def sizes(rows: "pd.DataFrame", weights: "pd.Series") -> str:
    """Say how large each file is against `float32`, and where weights are the smallest part.

    Args:
        rows: the rows of one split of `conversion.csv`.
        weights: the thousands of bytes that the weights take, by variant.
    """
    size = rows.set_index("variant")["bytes"] / 1000
    others = [
        f"{variant} {100 * size[variant] / size['float32']:.0f} %"
        for variant in size.index
        if variant != "float32"
    ]
    part = weights.astype(float) / size
    return (
        f"float32 takes {size['float32']:,.0f} KB; of that, {_spoken(others)}.\nWeights and biases "
        f"are {100 * part.min():.0f} % of {part.idxmin()}; the rest describes layers, scales and "
        "labels."
    )


def answers_changed(rows: "pd.DataFrame") -> str:
    """Say how many answers each file changed, and how far a probability moved at most.

    Args:
        rows: the rows of one split of `conversion.csv`.
    """
    images = rows["images"].iloc[0]
    some = rows[rows["changed"] > 0]
    same = list(rows["variant"][rows["changed"] == 0])
    said = f"No file changed any of the {images} answers."
    if len(some):
        counts = _spoken([f"{row.variant} {row.changed}" for row in some.itertuples()])
        none = f"; {_spoken(same)} none" if same else ""
        said = f"Changed, of {images} answers: {counts}{none}."
    most = rows.loc[rows["max_abs_diff"].idxmax()]
    return (
        f"{said}\nThe largest change of a probability is {_amount(most['max_abs_diff'])}, in "
        f"{most['variant']}."
    )


def drops(rows: "pd.DataFrame") -> str:
    """Say which files are worse or better than the Keras model by more than chance.

    Args:
        rows: the rows of one split of `conversion.csv`.
    """
    told = [
        f"{word} than the Keras model by more than chance: "
        + _spoken([f"{r.variant} ({100 * abs(r.accuracy_drop):.1f} points)" for r in some])
        + "."
        for word, some in (
            ("Worse", list(rows[rows["drop_low"] > 0].itertuples())),
            ("Better", list(rows[rows["drop_high"] < 0].itertuples())),
        )
        if some
    ]
    if told:
        return "\n".join(told)
    return (
        "Every interval holds 0: no file's accuracy differs by more than chance on these "
        f"{rows['images'].iloc[0]} photos."
    )


def speed(rows: "pd.DataFrame") -> str:
    """Say which file was fastest on this computer, and which slowest.

    Args:
        rows: the rows of one split of `conversion.csv`.
    """
    times = rows.set_index("variant")["latency_ms"]
    return (
        f"With two threads, {times.idxmin()} is fastest on this computer: {times.min():.1f} ms for "
        f"one photo.\nSlowest is {times.idxmax()}, {times.max():.1f} ms; int8 takes "
        f"{times['int8'] / times['float32']:.1f} times as long as float32."
    )


def chosen(variant_preference: Sequence[str], variant: str) -> str:
    """Say why a variant was chosen.

    Args:
        variant_preference: variants, the most wanted first.
        variant: the one that ships.
    """
    refused = list(variant_preference)[: list(variant_preference).index(variant)]
    if not refused:
        return f"The most wanted variant keeps to all limits: {variant} ships."
    return (
        f"Wanted more, but refused: {_spoken(refused)}.\nThe next that keeps to all limits ships: "
        f"{variant}."
    )


def both_answers(photo: Any) -> str:
    """Return the title of a photo whose answer changed: both guesses, and what it is.

    Args:
        photo: a row of `changed_answers`, as from `itertuples`.
    """
    return (
        f"{photo.keras} {100 * photo.keras_probability:.0f} %\n"
        f"now {photo.file} {100 * photo.file_probability:.0f} %\n(is {photo.label})"
    )


def recall_changes(rows: "pd.DataFrame") -> str:
    """Say which class lost the most recall by conversion, and which won the most.

    Args:
        rows: the rows of one variant of `conversion.csv`.
    """
    changes = {
        f"{name.removeprefix('recall_change_')} ({row['split']})": change
        for _, row in rows.iterrows()
        for name, change in row.filter(like="recall_change_").dropna().items()
    }
    lost, won = (limit(changes, key=changes.__getitem__) for limit in (min, max))
    told = []
    if changes[lost] < 0:
        told.append(f"Lost most recall: {lost}, {-100 * changes[lost]:.0f} points.")
    if changes[won] > 0:
        told.append(f"Won most recall: {won}, {100 * changes[won]:.0f} points.")
    return "\n".join(told) or "No class lost or won recall."


def changed_photos(changed: "pd.DataFrame", images: int, min_confidence: float) -> str:
    """Say what happened to the photos that a file answers otherwise than the Keras model.

    Args:
        changed: these photos, as from `changed_answers`.
        images: how many photos were asked about.
        min_confidence: the probability from which an answer counts as sure.
    """
    if changed.empty:
        return f"Each of {images} photos got the model's own answer."
    lost = int((changed["keras"] == changed["label"]).sum())
    won = int((changed["file"] == changed["label"]).sum())
    sure = int((changed["keras_probability"] >= min_confidence).sum())
    return (
        f"{len(changed)} of {images} photos got another answer.\n"
        f"Right before and wrong now: {lost}; wrong before and right now: {won}.\n"
        f"The model itself had been sure ({min_confidence:.2f} or more) of {sure} of them."
    )


def resizers(table: "pd.DataFrame") -> str:
    """Say what another way to resize does to the answers.

    Args:
        table: as from `score_resizers`; the first row is the pixel rule.
    """
    others = table.iloc[1:].sort_values(["agreement", "max_abs_diff"], ascending=[True, False])
    worst = others.iloc[0]
    if worst["agreement"] == 1:
        moved = others.loc[others["max_abs_diff"].idxmax()]
        return (
            "No other resizer changed an answer.\nThe largest change of a probability is "
            f"{_amount(moved['max_abs_diff'])}, with {moved['resizer']}."
        )
    return (
        f"{worst['resizer']} changed the most answers, {100 * (1 - worst['agreement']):.1f} % of "
        f"them, and moved a probability by up to {_amount(worst['max_abs_diff'])}.\n"
        f"With it the accuracy is {worst['accuracy']:.3f} instead of "
        f"{table['accuracy'].iloc[0]:.3f}."
    )


def same_answer(class_names: Sequence[str], first: "np.ndarray", second: "np.ndarray") -> str:
    """Say whether two programs got the same probabilities for one photo.

    Args:
        class_names: the classes in index order.
        first: the one's probabilities, (num_classes,).
        second: the other's.
    """
    ours, theirs = (class_names[int(given.argmax())] for given in (first, second))
    off = float(abs(first - second).max())
    if ours != theirs:
        return f"They differ: {ours} against {theirs}; a probability is {_amount(off)} off."
    apart = f"the probabilities lie up to {_amount(off)} apart" if off else "no probability differs"
    return f"Both say {ours}, {first.max():.2f}; {apart}."


def answer(guess: tuple[str, float], label: str) -> str:
    """Return the title of a photo: the guess, its probability, and what it is where that is wrong.

    Args:
        guess: the likeliest class and its probability.
        label: what the photo shows.
    """
    name, probability = guess
    return f"{name}\n{100 * probability:.0f} %" + ("" if name == label else f"\n(is {label})")


def shown(guesses: Sequence[tuple[str, float]], labels: Sequence[str]) -> str:
    """Say how many of the shown answers are right.

    Args:
        guesses: for each photo the likeliest class and its probability.
        labels: what each photo shows.
    """
    wrong = [p for (name, p), label in zip(guesses, labels, strict=True) if name != label]
    said = f"Right: {len(guesses) - len(wrong)} of these {len(guesses)}"
    return f"{said}; the surest wrong answer has {max(wrong):.2f}." if wrong else f"{said}."


def strangers(told: Mapping[str, float], min_confidence: float) -> str:
    """Say how often a file was sure of pictures that show none of its classes.

    Args:
        told: as from `strangers_told`.
        min_confidence: the probability from which an answer counts as sure.
    """
    return (
        f"Sure ({min_confidence:.2f} or more) of {told['sure']} of {told['pictures']} patterns: "
        f'"not sure" stopped {told["pictures"] - told["sure"]}.'
    )


def shipped(conversion: "pd.DataFrame", variant: str) -> str:
    """Say how large the file that ships is, and what it changed of all held-out photos.

    Args:
        conversion: all rows of `conversion.csv`.
        variant: the one that ships.
    """
    rows = conversion[conversion["variant"] == variant]
    size = rows["bytes"].iloc[0]
    whole = conversion.loc[conversion["variant"] == "float32", "bytes"].iloc[0]
    return (
        f"{variant} ships: {size / 1000:,.0f} KB, {100 * size / whole:.0f} % of float32.\nIt "
        f"changed {rows['changed'].sum()} of {rows['images'].sum()} answers; its largest change of "
        f"a probability is {_amount(rows['max_abs_diff'].max())}."
    )


# 6. Compare settings

"""What notebook 05 says about its figures; each function returns one text."""

from collections.abc import Mapping, Sequence
import math
from typing import TYPE_CHECKING, Any

from dermaface.readings.words import counted, listed, percent, strange

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


# Times nearer than this are a tie; a 90th percentile this many medians high tells of disturbance.
TIE, ERRATIC = 1.2, 2.0


def _amount(change: float) -> str:
    """Return how far a probability moved, with as many digits as say something."""
    if change < 0.001:
        return "less than 0.001"
    return f"{change:.2f}" if change >= 0.01 else f"{change:.3f}"


def in_turn(wanted: "np.ndarray", nearest: "np.ndarray", pushed: "np.ndarray") -> str:
    """Say which way of rounding keeps a layer's output closer to what it was.

    Args:
        wanted: the output with the weights as they are, counted in levels.
        nearest: the output with each weight at its nearest level.
        pushed: the output with each weight's error pushed on to the next ones.
    """
    off, left = (float(abs(output - wanted).mean()) for output in (nearest, pushed))
    won = "is closer" if left < off else "is not closer here"
    return (
        f"The output is {off:.3f} off with nearest levels, {left:.3f} with errors pushed on:\n"
        f"pushing {won}."
    )


def rounding(trained: "np.ndarray", stored: "np.ndarray") -> str:
    """Say which layer it is, and how many of its weights did not go to their nearest level.

    Args:
        trained: weights counted in levels.
        stored: the same after rounding.
    """
    moved = float((trained.round() != stored.round()).mean())
    channels, inputs = trained.shape
    layer = f"The layer has {counted(channels, 'channel')} of {counted(inputs, 'weight')} each.\n"
    if not moved:
        return f"{layer}Each weight went to its nearest level."
    return f"{layer}{100 * moved:.1f} % of the weights went to a level other than their nearest."


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
        f"Of {len(changes)} photos, {first} stayed closer on {wins[first]} and {second} on "
        f"{wins[second]} (sign test, {p_value}).\n"
        f"On {len(changes) - decided} neither was closer: both moved exactly as far."
    )
    if chance >= 0.05:
        return f"No difference beyond chance was found between {first} and {second}.\n{counts}"
    typical = changes.median()
    return (
        f"Closer to the Keras model: {better}.\n{counts}\n"
        f"The median photo's largest change in a probability is {typical[better]:.4f}; with "
        f"{worse} it is {typical[worse]:.4f}."
    )


def recipes(tried: "pd.DataFrame") -> str:
    """Say which way of making `int8` was taken, and why.

    Args:
        tried: one row per recipe, in the order in which they were tried, with `recipe`,
            `accuracy_drop`, `agreement` and `passed`, as from `try_recipes`.
    """
    best = tried.sort_values(["passed", "agreement"], ascending=False).iloc[0]
    figures = (
        f"It agrees on {100 * best['agreement']:.1f} % of the validation photos; its accuracy "
        f"differs by {0 - round(100 * best['accuracy_drop'], 1):+.1f} points."
    )
    if not best["passed"]:
        return (
            f"None of {len(tried)} recipes keeps to the limits; the one that agrees best is taken: "
            f"{best['recipe']}.\n{figures}"
        )
    if len(tried) == 1:
        return (
            f"The first recipe keeps to the limits, so no other was tried: {best['recipe']}.\n"
            f"{figures}"
        )
    missed = listed(list(tried["recipe"])[:-1])
    return f"Beyond the limits: {missed}.\nThe next keeps to them: {best['recipe']}.\n{figures}"


def kinds(table: "pd.DataFrame") -> str:
    """Say whether files are what their names say, and what it takes to run them.

    Args:
        table: one row per variant, as from `Audit.summary`.
    """
    wrong = [f"{name} is {kind}" for name, kind in table["it is"].items() if name != kind]
    whole = list(table.index[table["operators in floats"] == 0])
    mixed = table["float islands"][table["float islands"] > 0]
    told = [
        f"Not what the name says: {listed(wrong)}."
        if wrong
        else "Every file is what its name says.",
        f"Without operators in floats: {listed(whole)}."
        if whole
        else "Every file has operators in floats.",
    ]
    if len(mixed):
        islands = listed([f"{name} ({count})" for name, count in mixed.items()])
        told.append(f"Float islands: {islands}.")
    told.append(oldest_runtimes(table))
    return "\n".join(told)


def oldest_runtimes(table: "pd.DataFrame") -> str:
    """Say which files need a newer runtime than the others.

    Args:
        table: one row per variant, as from `Audit.summary`.
    """
    needed = table["TF Lite from"]
    versions = sorted(set(needed), key=lambda text: [int(part) for part in text.split(".")])
    files = [listed(list(needed.index[needed == version])) for version in versions]
    if len(versions) == 1:
        return f"TF Lite {versions[0]} or newer runs every file."
    return (
        f"The oldest TF Lite, {versions[0]}, is enough for {files[0]};\nthe newest, "
        f"{versions[-1]}, is needed by {files[-1]}."
    )


def alike(table: "pd.DataFrame") -> str:
    """Say which columns of a table hold the same value in every row.

    Args:
        table: one row per file.
    """
    same = [f"{name} {table[name].iloc[0]}" for name in table if table[name].nunique() == 1]
    return f"The same in every file: {listed(same)}." if same else "No column is the same in all."


def sizes(table: "pd.DataFrame") -> str:
    """Say how large each file is beside `float32`, and where weights are the smallest part.

    Args:
        table: one row per variant, with `size (KB)` and `weights (KB)`, in thousands of bytes.
    """
    size = table["size (KB)"].astype(float)
    others = [
        f"{variant} takes {100 * size[variant] / size['float32']:.0f} %"
        for variant in size.index
        if variant != "float32"
    ]
    part = table["weights (KB)"].astype(float) / size
    return (
        f"Of the {size['float32']:,.0f} KB of float32,\n{listed(others)}.\nWeights and biases are "
        f"{100 * part.min():.0f} % of {part.idxmin()}; the rest describes layers, scales and "
        "labels."
    )


def answers_changed(rows: "pd.DataFrame") -> str:
    """Say how many answers each file changed, and how far a probability moved at most.

    Args:
        rows: the rows of one split of `conversion.csv`.
    """
    counts = listed([f"{row.variant} {row.changed}" for row in rows.itertuples()])
    return (
        f"Changed, of {rows['images'].iloc[0]} answers: {counts}.\nThe largest change in a "
        f"probability, by any of them, is {_amount(rows['max_abs_diff'].max())}."
    )


def drops(rows: "pd.DataFrame") -> str:
    """Say which files are worse or better than the Keras model by more than chance.

    Args:
        rows: the rows of one split of `conversion.csv`.
    """
    told = [
        f"{word} than the Keras model by more than chance: "
        + listed([f"{r.variant} ({100 * abs(r.accuracy_drop):.1f} points)" for r in some])
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
        "Every interval contains 0:\nno file's accuracy differs by more than chance on these "
        f"{rows['images'].iloc[0]} photos."
    )


def speed(rows: "pd.DataFrame") -> str:
    """Say how far the files' times lie apart, how many tie, and how many are unsteady.

    Args:
        rows: the rows of one split of `conversion.csv`.
    """
    times = rows["latency_1_thread_ms"]
    tied = int((times <= TIE * times.min()).sum())
    erratic = sum(
        int((rows[f"{column}_p90_ms"] > ERRATIC * rows[f"{column}_ms"]).sum())
        for column in ("latency_1_thread", "latency")
    )
    return (
        f"With one thread, the fastest file takes {times.min():.2f} ms on this computer, the "
        f"slowest {times.max():.2f} ms.\n{tied} of {len(rows)} are within 20 % of the fastest, "
        f"and tie.\n{erratic} of {2 * len(rows)} times are erratic: a p90 of over twice the median."
    )


def chosen(conversion: "pd.DataFrame", variant_preference: Sequence[str], variant: str) -> str:
    """Say why a variant was chosen, and compare it with the next that passes.

    Args:
        conversion: all rows of `conversion.csv`.
        variant_preference: variants, most wanted first.
        variant: the one that ships.
    """
    refused = list(variant_preference)[: list(variant_preference).index(variant)]
    said = f"The most wanted variant keeps to all limits: {variant} ships."
    if refused:
        said = (
            f"Preferred, but refused: {listed(refused)}.\nThe next that keeps to all limits "
            f"ships: {variant}."
        )
    return f"{said}\n{beside_the_next(conversion, variant_preference, variant)}"


def beside_the_next(
    conversion: "pd.DataFrame", variant_preference: Sequence[str], variant: str
) -> str:
    """Compare the file that ships with the next in the order that passes.

    Args:
        conversion: all rows of `conversion.csv`.
        variant_preference: variants, most wanted first.
        variant: the one that ships.
    """
    table = conversion[conversion["split"] == "validation"].set_index("variant")
    later = list(variant_preference)[list(variant_preference).index(variant) + 1 :]
    passing = [name for name in later if table["passed"][name]]
    if not passing:
        return "No less wanted variant passes."
    told = [
        f"{name}: {table['bytes'][name] / 1000:,.0f} KB, "
        f"{table['latency_1_thread_ms'][name]:.2f} ms with one thread, "
        f"{table['changed'][name]} of {table['images'][name]} answers changed."
        for name in (variant, passing[0])
    ]
    size, taken = (
        100 * table[column][passing[0]] / table[column][variant]
        for column in ("bytes", "latency_1_thread_ms")
    )
    told.append(f"{passing[0]} has {size:.0f} % of the bytes and takes {taken:.0f} % of the time.")
    return "\n".join(told)


def both_answers(photo: Any) -> str:
    """Return the title of a photo whose answer changed: both guesses, and what it is.

    Args:
        photo: a row of `changed_answers`, as from `itertuples`.
    """
    return (
        f"{photo.keras} {100 * photo.keras_probability:.0f} %\n"
        f"now {photo.file} {100 * photo.file_probability:.0f} %\n(is {photo.label})"
    )


def recall_changes(rows: "pd.DataFrame", predictions: "pd.DataFrame") -> str:
    """Say which class lost the most recall by conversion, and which gained the most, in photos.

    Args:
        rows: the rows of one variant of `conversion.csv`.
        predictions: one row per photo with `split` and `label`.
    """
    images = predictions.groupby(["split", "label"]).size()
    changes = {
        (row["split"], name.removeprefix("recall_change_")): change
        for _, row in rows.iterrows()
        for name, change in row.filter(like="recall_change_").dropna().items()
    }
    told = []
    for said, sign in {"Lost": -1, "Gained": 1}.items():
        split, name = max(changes, key=lambda key: sign * changes[key])
        if (change := sign * changes[split, name]) > 0:
            of = images[split, name]
            photos = f"{round(change * of)} of {counted(of, 'photo')}"
            told.append(f"{said} most recall: {name} ({split}), {photos}.")
    return "\n".join(told) or "On balance, no class lost or gained recall."


def limits(trust: Mapping[str, float], found: Any, plain: float) -> str:
    """Say from which probabilities on an answer is sure and a class possible.

    Args:
        trust: the limits, as from `confidence.choose_limits`.
        found: what it found out about sure answers, a `confidence.Trust`.
        plain: the limit of sets if the temperature were not fitted anew.
    """
    wanted = f"{100 * trust['sure_accuracy']:.0f} %"
    counts = f"{found.sure} of {counted(found.photos, 'answer')}"
    if found.reached and not found.min_confidence:
        said = (
            f"Every answer is sure: {found.right} of {found.photos} are right, and the interval "
            f"begins at {100 * found.low:.1f} %;\nyou asked for {wanted}."
        )
    elif found.reached:
        said = (
            f"Sure from {found.min_confidence:.2f} on: {counts}, and {found.right} of these are "
            "right.\n"
            f"The interval of that share begins at {100 * found.low:.1f} %; you asked for {wanted}."
        )
    else:
        said = (
            f"No limit makes sure answers right at {wanted} by the lower end of the interval.\n"
            f"The best is {found.min_confidence:.2f}: {counts} are sure, {found.right} of them "
            f"right, from {100 * found.low:.1f} % on."
        )
    if abs(trust["min_confidence"] - found.min_confidence) > 1e-3:
        said += f"\nYou set {trust['min_confidence']:.2f} yourself, and that holds."
    if not trust["set_threshold"]:
        return f"{said}\nThere are too few photos for sets: every class belongs to every set."
    return (
        f"{said}\nClasses from {trust['set_threshold']:.3f} on belong to a set ({plain:.3f} if the "
        "temperature\nwere not fitted anew)."
    )


def calibrated(errors: Mapping[str, float], split: str) -> str:
    """Say whether the probabilities of a file mean what they say.

    Args:
        errors: as from `confidence.errors`, with Keras's answers as those before.
        split: whose answers these are.
    """
    return (
        f"Expected calibration error on {split}: Keras {errors['before']:.3f}, the file "
        f"{errors['now']:.3f};\nwere every probability true, so few photos would still show "
        f"about {errors['chance']:.3f}."
    )


def changed_photos(changed: "pd.DataFrame", images: "pd.Series", min_confidence: float) -> str:
    """Say what happened to the photos that a file answers differently from the Keras model.

    Args:
        changed: these photos, as from `changed_answers`.
        images: how many photos were asked about, by split.
        min_confidence: the probability from which an answer counts as sure.
    """
    counts = {split: int((changed["split"] == split).sum()) for split in images.index}
    here = listed([f"on {split} {counts[split]} of {images[split]}" for split in images.index])
    lost = int((changed["keras"] == changed["label"]).sum())
    won = int((changed["file"] == changed["label"]).sum())
    sure = int((changed["keras_probability"] >= min_confidence).sum())
    return (
        f"Answers that changed: {here}.\n"
        f"Right before and wrong now: {lost}; wrong before and right now: {won}.\n"
        f"The model itself was sure ({min_confidence:.2f} or more) of {sure} of them."
    )


def resizers(table: "pd.DataFrame") -> str:
    """Say what another way to resize does to the answers.

    Args:
        table: as from `score_resizers`; the first row is the pixel rule.
    """
    rule, others = table.iloc[0], table.iloc[1:]
    return (
        f"Other resizers changed up to {100 * (1 - others['agreement'].min()):.1f} % of the "
        f"answers and moved a probability by up to {_amount(others['max_abs_diff'].max())}.\n"
        f"The accuracy is then {others['accuracy'].min():.3f} to {others['accuracy'].max():.3f} "
        f"instead of {rule['accuracy']:.3f}."
    )


def slips(changed: "pd.DataFrame", photos: "pd.DataFrame") -> str:
    """Say how many answers each slip of a careless client changed.

    Args:
        changed: one row per changed answer, with the categorical `slip`, as from
            `changed_by_slips`.
        photos: rows of `images.csv` that were asked about. Only those with an EXIF note can be
            misread by ignoring it.
    """
    images, turned = len(photos), int((photos["orientation"] > 1).sum())
    if changed.empty:
        said = f"No slip changed any of the {images} answers."
    else:
        counts = changed["slip"].value_counts(sort=False)
        told = listed([f"{slip} {count}" for slip, count in counts.items()])
        said = f"Answers changed by one slip at a time, of {images}:\n{told}."
    carry = (
        f"{counted(turned, 'photo')} carr{'ies' if turned == 1 else 'y'} an EXIF note on turning"
    )
    return f"{said}\n{carry}." if turned else f"{said}\nNo photo here carries an EXIF note."


def slipped(photo: Any) -> tuple[str, str]:
    """Return the titles of a photo as it should be read, and as a careless client reads it.

    Args:
        photo: a row of `changed_by_slips`, as from `itertuples`.
    """
    rule, careless = (100 * p for p in (photo.by_rule_probability, photo.careless_probability))
    return (
        f"by the rule\n{photo.by_rule} {rule:.0f} %\n(is {photo.label})",
        f"{photo.slip}\n{photo.careless} {careless:.0f} %\n",
    )


def same_answer(class_names: Sequence[str], first: "np.ndarray", second: "np.ndarray") -> str:
    """Say whether two programs got the same probabilities for one photo.

    Args:
        class_names: the classes in index order.
        first: the first one's probabilities, (num_classes,).
        second: the second one's.
    """
    ours, theirs = (class_names[int(given.argmax())] for given in (first, second))
    off = float(abs(first - second).max())
    if ours != theirs:
        return f"They differ: {ours} against {theirs}; a probability is {_amount(off)} off."
    apart = f"the probabilities lie up to {_amount(off)} apart" if off else "no probability differs"
    return f"Both say {ours}, {first.max():.2f}; {apart}."


def answer(guess: tuple[str, float], label: str) -> str:
    """Return the title of a photo: the guess, its probability and, if that is wrong, what it is.

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
    right = sum(name == label for (name, _), label in zip(guesses, labels, strict=True))
    return f"Right: {right} of these {len(guesses)}."


def strangers(told: Mapping[str, float], min_confidence: float) -> str:
    """Say how often a file was sure of pictures that show none of its classes.

    Args:
        told: as from `strangers_told`.
        min_confidence: the probability from which an answer counts as sure.
    """
    return (
        f"Of {strange(told)}, {told['sure']} got a sure answer ({min_confidence:.2f} or more);\n"
        f'"not sure" stopped {told["pictures"] - told["sure"]}. The highest probability was '
        f"{told['mean_confidence']:.2f} on average."
    )


def shipped(
    conversion: "pd.DataFrame",
    variant: str,
    split: str,
    interval: tuple[float, float],
    told: Mapping,
) -> str:
    """Say in three lines what ships, what this run measured, and how far to trust it.

    Args:
        conversion: all rows of `conversion.csv`.
        variant: the one that ships.
        split: the photos that report on it.
        interval: the 95 % interval of the share of answers that it changed.
        told: about pictures of no class, as from `strangers_told`.
    """
    row = conversion[(conversion["variant"] == variant) & (conversion["split"] == split)].iloc[0]
    whole = conversion.loc[conversion["variant"] == "float32", "bytes"].iloc[0]
    low, high = (100 * limit for limit in interval)
    return (
        f"What: {variant}, {100 * row['bytes'] / whole:.0f} % as large as float32.\n"
        f"This run: {row['changed']} of {row['images']} {split} answers changed.\n"
        f"How far to trust it: on photos like these, {low:.1f} % to {high:.1f} % of answers may "
        f"change;\non others, expect anything: of {strange(told)}, "
        f"{percent(told['sure'] / told['pictures'])} got a sure answer."
    )

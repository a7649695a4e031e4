"""What notebook 05 says about its figures; each function returns one text."""

from collections.abc import Mapping, Sequence
import math
from typing import TYPE_CHECKING, Any

from dermaface.readings.words import counted, listed, percent

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


# Times nearer than this are a tie; a 90th percentile this many medians high tells of disturbance.
TIE, ERRATIC = 1.2, 2.0


def _points_lost(drop: float) -> str:
    """Put an accuracy drop, as a share of 1, into words."""
    points = round(100 * drop, 1)
    if not points:
        return "loses no accuracy"
    return f"{'loses' if points > 0 else 'gains'} {abs(points)} points of accuracy"


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
        f"Of {len(changes)} photos, {better} stayed closer on {wins[better]} and {worse} on "
        f"{wins[worse]} (sign test, {p_value})."
    )
    if tied := len(changes) - decided:
        counts += f"\nOn {tied} neither was closer: both moved exactly as far."
    if chance >= 0.05:
        return f"No difference beyond chance was found between {first} and {second}.\n{counts}"
    typical = changes.median()
    return (
        f"Closer to the Keras model: {better}.\n{counts}\n"
        f"The median photo's largest change in a probability is {_amount(typical[better])}; with "
        f"{worse} it is {_amount(typical[worse])}."
    )


def recipes(tried: "pd.DataFrame") -> str:
    """Say which way of making `int8` was taken, and why.

    Args:
        tried: one row per recipe, in the order in which they were tried, with `recipe`,
            `accuracy_drop`, `agreement` and `passed`, as from `try_recipes`.
    """
    best = tried.sort_values(["passed", "agreement"], ascending=False).iloc[0]
    figures = (
        f"It agrees on {100 * best['agreement']:.1f} % of the validation photos and "
        f"{_points_lost(best['accuracy_drop'])}."
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


def sizes(rows: "pd.DataFrame", weights: "pd.Series") -> str:
    """Say how large each file is beside `float32`, and where weights are the smallest part.

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
        f"float32 takes {size['float32']:,.0f} KB;\nof that, {listed(others)}.\nWeights and biases "
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
        counts = listed([f"{row.variant} {row.changed}" for row in some.itertuples()])
        none = f"; {listed(same)} none" if same else ""
        said = f"Changed, of {images} answers: {counts}{none}."
    most = rows.loc[rows["max_abs_diff"].idxmax()]
    return (
        f"{said}\nThe largest change in a probability is {_amount(most['max_abs_diff'])}, in "
        f"{most['variant']}."
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
    """Say which files are fastest with one thread, which tie, and whose times are unsteady.

    Args:
        rows: the rows of one split of `conversion.csv`.
    """
    table = rows.set_index("variant")
    times = table["latency_1_thread_ms"].sort_values()
    tied = list(times.index[times <= TIE * times.min()])
    slower = [f"{name} {times[name]:.2f} ms" for name in times.index[len(tied) :]]
    if len(tied) == 1:
        told = [f"With one thread, {tied[0]} is fastest on this computer: {times.min():.2f} ms."]
    else:
        told = [
            f"With one thread, {listed(tied)} tie\n(within 20 %): {times.min():.2f} to "
            f"{times[tied[-1]]:.2f} ms on this computer."
        ]
    if slower:
        told.append(f"Slower: {listed(slower)}.")
    for threads, column in {"one thread": "latency_1_thread", "two threads": "latency"}.items():
        erratic = table[f"{column}_p90_ms"] > ERRATIC * table[f"{column}_ms"]
        if erratic.any():
            told.append(
                f"Erratic with {threads} (p90 over twice the median):\n"
                f"{listed(list(table.index[erratic]))}."
            )
    return "\n".join(told)


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
    smaller = table["bytes"][passing[0]] < table["bytes"][variant]
    slower = table["latency_1_thread_ms"][passing[0]] > TIE * table["latency_1_thread_ms"][variant]
    if smaller and not slower:
        told.append(f"{passing[0]} is smaller and no slower here: prefer it for processors.")
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
    return "\n".join(told) or "No class lost or gained recall."


def changed_photos(changed: "pd.DataFrame", images: "pd.Series", min_confidence: float) -> str:
    """Say what happened to the photos that a file answers differently from the Keras model.

    Args:
        changed: these photos, as from `changed_answers`.
        images: how many photos were asked about, by split.
        min_confidence: the probability from which an answer counts as sure.
    """
    if changed.empty:
        return f"Each of {images.sum()} photos got the model's own answer."
    counts = {split: int((changed["split"] == split).sum()) for split in images.index}
    here = listed(
        [f"on {split} {counts[split] or 'none'} of {images[split]}" for split in images.index]
    )
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
    others = table.iloc[1:].sort_values(["agreement", "max_abs_diff"], ascending=[True, False])
    worst = others.iloc[0]
    if worst["agreement"] == 1:
        moved = others.loc[others["max_abs_diff"].idxmax()]
        return (
            "No other resizer changed an answer.\nThe largest change in a probability is "
            f"{_amount(moved['max_abs_diff'])}, with {moved['resizer']}."
        )
    return (
        f"{worst['resizer']} changed the most answers, {100 * (1 - worst['agreement']):.1f} % of "
        f"them,\nand moved a probability by up to {_amount(worst['max_abs_diff'])}.\n"
        f"With it, the accuracy is {worst['accuracy']:.3f} instead of "
        f"{table['accuracy'].iloc[0]:.3f}."
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


def shipped(
    conversion: "pd.DataFrame", variant: str, interval: tuple[float, float], strange: float
) -> str:
    """Say in three lines what ships, what this run measured, and how far to trust it.

    Args:
        conversion: all rows of `conversion.csv`.
        variant: the one that ships.
        interval: the 95 % interval of the share of answers that it changed.
        strange: the share of strange pictures that got a sure answer.
    """
    rows = conversion[conversion["variant"] == variant]
    size = rows["bytes"].iloc[0]
    whole = conversion.loc[conversion["variant"] == "float32", "bytes"].iloc[0]
    low, high = (100 * limit for limit in interval)
    return (
        f"What: {variant}, {100 * size / whole:.0f} % as large as float32.\n"
        f"This run: {rows['changed'].sum()} of {rows['images'].sum()} answers changed.\n"
        f"How far to trust it: on photos like these, {low:.1f} % to {high:.1f} % of answers may "
        f"change;\non others, expect anything: {percent(strange)} of strange pictures got a "
        "sure answer."
    )

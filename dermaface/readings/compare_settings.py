"""What notebook 06 says about its figures; each function returns one text."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def setting(values: Mapping[str, float]) -> str:
    """Return a setting of a head in words, or a part of one.

    Args:
        values: of some or all of `learning_rate`, `inner_size` (0 is none), `dropout_rate` and
            `augmentation` (a factor on that of notebook 02), in the order wanted.
    """
    words = []
    for name, value in values.items():
        number = _number(value)
        if name == "augmentation":
            factor = "as in 02" if value == 1 else f"{number} times that of 02"
            words.append(f"augmentation {factor}" if value else "no augmentation")
        elif name == "inner_size":
            words.append(f"inner layer of {number}" if value else "no inner layer")
        elif name == "dropout_rate":
            words.append(f"dropout {number}" if value else "no dropout")
        else:
            words.append(f"{name.replace('_', ' ')} {number}")
    return ", ".join(words)


def change(values: Mapping[str, float], start: Mapping[str, float]) -> str:
    """Return in words what a setting changes against the start; "start" if nothing.

    Args:
        values: as in `setting`; what the start does not have is left out.
        start: the setting to beat.
    """
    return setting({name: values[name] for name in start if values[name] != start[name]}) or "start"


def _number(value: float) -> str:
    """Return a number as a person would write it, without an exponent."""
    return f"{value:.10f}".rstrip("0").rstrip(".")


def _listed(values: Sequence[float]) -> str:
    """Return numbers as a list in words."""
    *most, last = map(_number, values)
    return f"{', '.join(most)} and {last}" if most else last


def range_test(fastest: float, blows_up: float | None, candidates: Sequence[float]) -> str:
    """Say what a learning-rate range test found, and what it says of the rates to compare.

    Args:
        fastest: the rate at which the loss falls fastest.
        blows_up: the rate from which it is higher than at the beginning; None if there is none.
        candidates: the rates to compare.
    """
    end = f"blows up near {_number(float(f'{blows_up:.1g}'))}" if blows_up else "never blows up"
    low = [rate for rate in candidates if rate < fastest / 10]
    high = [rate for rate in candidates if blows_up and rate > blows_up / 10]
    verdicts = {
        "worth trying": [rate for rate in candidates if rate not in (*low, *high)],
        "below a tenth of the fastest, so expect slow training": low,
        "above a tenth of where it blows up, so expect restless training": high,
    }
    found = [
        f"{_listed(rates)} {'is' if len(rates) == 1 else 'are'} {verdict}"
        for verdict, rates in verdicts.items()
        if rates
    ]
    said = ";\n".join(found)
    return (
        f"The loss falls fastest near a learning rate of {_number(float(f'{fastest:.1g}'))} and "
        f"{end}.\nOf the rates to compare, {said}."
    )


def early_stopping(best: int, trained: int, stopped: bool, loss: float) -> str:
    """Say how a training ended that stops once the validation loss no longer falls.

    Args:
        best: the number of the epoch with the lowest validation loss, from 1.
        trained: how many epochs there were.
        stopped: whether it stopped by itself, not because there were no more epochs.
        loss: the lowest validation loss.
    """
    end = "stopped by itself after" if stopped else "had not converged when it was cut short after"
    return (
        f"The training {end} {trained} epochs.\nIts best was epoch {best}, with a validation loss "
        f"of {loss:.3f}."
    )


def unfinished(converged: "pd.Series", bound: int) -> str:
    """Say how many training runs the bound cut short before they had converged.

    Args:
        converged: for each training run whether it stopped by itself; the index names its setting.
        bound: the largest number of epochs.
    """
    ended = converged.index[~converged.astype(bool)]
    if ended.empty:
        return f"None of the {len(converged)} training runs was cut short by compared_epochs."
    said = (
        f"{len(ended)} of {len(converged)} training runs had not converged when compared_epochs "
        f"cut {'it' if len(ended) == 1 else 'them'} short at {bound},\nso more epochs may still "
        "change the order"
    )
    names = list(dict.fromkeys(ended))
    return "\n".join([f"{said}:", *names]) if len(names) <= 2 else f"{said}."


def tried_values(table: "pd.DataFrame", photos: int) -> str:
    """Say which of the values tried has the lowest validation loss, and how near the others are.

    Args:
        table: one row per value, named in words, with `val_loss` and `val_accuracy`.
        photos: how many there are to validate on.
    """
    ordered = table.sort_values("val_loss")
    best, loss = str(ordered.index[0]), ordered["val_loss"].iloc[0]
    best = best[0].upper() + best[1:]
    if len(table) == 1:
        return f"{best} is the only value tried, with a validation loss of {loss:.3f}."
    behind = round(ordered["val_loss"].iloc[1], 3) - round(loss, 3)  # as the table shows them
    lead = f"the next is {behind:.3f} higher" if behind else "a tie to three digits with the next"
    right = (table["val_accuracy"] * photos).round().astype(int)
    apart = (
        f"The best and the worst accuracy differ by {right.max() - right.min()} of {photos} photos"
    )
    if right.max() == right.min():
        apart = f"All accuracies are the same: {right.max()} of {photos} photos right"
    return f"{best} has the lowest validation loss, {loss:.3f}; {lead}.\n{apart}."


def compared(tried: "pd.DataFrame", low: float, high: float) -> str:
    """Say how many settings the photos cannot tell from the best, and which one memorises most.

    Args:
        tried: one row per setting, the best first, with `name` in words, `accuracy` and
            `val_accuracy`.
        low: where the 95 % interval of the best one's validation accuracy begins.
        high: where it ends.
    """
    inside = int(tried["val_accuracy"].between(low, high).sum())
    gaps = tried["accuracy"] - tried["val_accuracy"]
    widest = tried.loc[gaps.idxmax()]
    gap = (
        f'Training is furthest ahead of validation in the row "{widest["name"]}":\n'
        f"{widest['accuracy']:.2f} against {widest['val_accuracy']:.2f}."
    )
    if gaps.max() <= 0:
        gap = "No setting does better in training than in validation."
    return (
        f"{inside} of {len(tried)} settings {'lies' if inside == 1 else 'lie'} within the interval "
        f"of the best one's accuracy, {low:.2f} to {high:.2f}.\n{gap}"
    )


def decision(over_seeds: tuple[float, float], over_photos: tuple[float, float]) -> str:
    """Say whether the winner of a comparison is better than the start beyond chance.

    Args:
        over_seeds: the 95 % interval, over the seeds, of the winner's loss less the start's.
        over_photos: the same over the photos.
    """
    (seeds_low, seeds_high), (photos_low, photos_high) = over_seeds, over_photos
    if not any((*over_seeds, *over_photos)):
        return "No difference found: the start itself has the lowest loss of all settings."
    mean = (seeds_low + seeds_high) / 2
    how = (
        f"{abs(mean):.3f} {'lower' if mean < 0 else 'higher'} than"
        if round(mean, 3)
        else "equal to"
    )
    figures = (
        f"On average the winner's loss is {how} the start's\n({seeds_low:+.3f} to "
        f"{seeds_high:+.3f} over the seeds, "
        f"{photos_low:+.3f} to {photos_high:+.3f} over the photos)."
    )
    if seeds_high < 0 and photos_high < 0:
        return f"A difference beyond chance: both intervals lie below 0.\n{figures}"
    if seeds_low > 0 or photos_low > 0:
        return f"No better setting found: the winner lost its lead on new seeds.\n{figures}"
    why = "both intervals contain 0"
    if seeds_high < 0 or photos_high < 0:
        why = f"the interval over the {'photos' if seeds_high < 0 else 'seeds'} contains 0"
    return f"No difference found: {why}.\n{figures}"


def photos_apart(start: float, winner: float, photos: int, low: float, high: float) -> str:
    """Say how the difference in accuracy compares with what the number of photos leaves open.

    Args:
        start: the mean accuracy of the start over the seeds.
        winner: that of the winner.
        photos: how many there are to validate on.
        low: where the 95 % interval of the start's accuracy begins.
        high: where it ends.
    """
    least, most = round(low * photos), round(high * photos)
    place = "inside" if least <= round(winner * photos, 1) <= most else "outside"
    other = "and so does the winner" if winner == start else f"the winner {winner * photos:.1f}"
    return (
        f"The start answers {start * photos:.1f} of {photos} photos right on average, {other}.\n"
        f"With {photos} photos, a model that gets {start * photos:.0f} right may truly deserve "
        f"anything\nfrom {least} to {most} (95 % interval); "
        f"the winner's {winner * photos:.1f} is {place}."
    )


def summary(chosen: str, settings: int, photos: int) -> str:
    """Say in short what a comparison decided, and how far to trust it.

    Args:
        chosen: "start" or "winner".
        settings: how many were compared.
        photos: how many they were compared on.
    """
    if settings == 1:
        return "Only the start was tried, so settings.yaml holds the start."
    compared = f"{settings} settings were compared on {photos} validation photos"
    if chosen == "start":
        return (
            f"{compared}: none beats the start beyond chance.\nsettings.yaml holds the start. "
            "More photos may still show a difference."
        )
    return (
        f"{compared}: one beats the start beyond chance.\nsettings.yaml holds the winner. It was "
        "picked on these photos,\nso expect a smaller lead on new ones."
    )

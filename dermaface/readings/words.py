"""Numbers and lists in words, as the readings need them."""

from collections.abc import Mapping, Sequence


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, such as "1 photo", "3 classes" or "1,280 features"."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {plural or noun + ('es' if noun.endswith('s') else 's')}"


def measured_on(figures: Mapping, split: str) -> str:
    """Return on how much figures rest, such as "63 test photos, 61 pictures, 40 groups".

    Groups are left out where there are as many as pictures.

    Args:
        figures: as from `score`: `images`, `pictures` and `groups`.
        split: of the photos.
    """
    said = [counted(figures["images"], f"{split} photo"), counted(figures["pictures"], "picture")]
    if figures["groups"] < figures["pictures"]:
        said.append(counted(figures["groups"], "group"))
    return ", ".join(said)


def strange(told: Mapping) -> str:
    """Return what pictures of no class are, such as "36 drawn pictures of other things".

    Args:
        told: as from `strangers_told`.
    """
    kind = "drawn picture" if told["drawn"] else "photo"
    return f"{counted(told['pictures'], kind)} of other things"


def percent(share: float) -> str:
    """Return a share in whole percent; only nothing reads as 0 %, and only all as 100 %."""
    rounded = round(100 * share)
    if rounded == 0 and share > 0:
        return "less than 1 %"
    return "more than 99 %" if rounded == 100 and share < 1 else f"{rounded} %"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Return words as a sentence lists them: "a", "a and b", "a, b and c"."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)

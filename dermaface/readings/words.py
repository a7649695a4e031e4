"""Numbers and lists in words, as the readings need them."""

from collections.abc import Sequence


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, such as "1 photo", "3 classes" or "1,280 features"."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {plural or noun + ('es' if noun.endswith('s') else 's')}"


def percent(share: float) -> str:
    """Return a share in whole percent; only nothing reads as 0 %, and only all as 100 %."""
    rounded = round(100 * share)
    if rounded == 0 and share > 0:
        return "less than 1 %"
    return "more than 99 %" if rounded == 100 and share < 1 else f"{rounded} %"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Return words as a sentence lists them: "a", "a and b", "a, b and c"."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)

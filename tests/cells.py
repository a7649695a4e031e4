"""How nbval compares what a cell prints with what is committed; tests/conftest.py sets it up."""

import re

IGNORED_TAG = "nbval-ignore-output"  # nbval's own: the cell is run and its output not compared
NUMBERS_VARY_TAG = "nbval-numbers-vary"  # of the output, only the words are compared

# With its sign, thousands separators, decimals and exponent; also a figure's size, 768x278.4.
# Digits in a name, such as int8 or block_4, are no number, and neither are nan and inf.
NUMBER = re.compile(r"(?<![\w.])[+-]?\d+(?:,\d{3})*(?:\.\d+)?(?:[ex][+-]?\d+(?:\.\d+)?)?")


def blank_numbers(output: str) -> str:
    """Return an output with `#` for every number, and one space or dash for several.

    So a table that is wider, or a line that breaks elsewhere, is the same, and a word is not.
    """
    blanked = re.sub("-{2,}", "-", NUMBER.sub("#", output))
    return " ".join(blanked.split())

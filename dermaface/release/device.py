"""Whether a device answered as the release promises, by the report of the page of `web`."""

import hashlib
from pathlib import Path

from dermaface.release import contract
from dermaface.release.contract import NUMBER, PROBABILITIES, SHA256, TEXT, record
import numpy as np

REPORT_SCHEMA = record(
    report={"const": "dermaface device report"},
    model=record(name=TEXT, version=TEXT, variant=TEXT, sha256=TEXT | SHA256),
    runtime=TEXT,
    device=record(user_agent=TEXT),
    labels={"type": "array", "items": TEXT},
    milliseconds=NUMBER | {"minimum": 0, "maximum": 1e6},
    answers={
        "type": "array",
        "items": record(
            picture=TEXT,
            input_sha256=TEXT | SHA256,
            probabilities=PROBABILITIES,
            from_file=PROBABILITIES,
        ),
    },
)


def check_report(folder: str | Path, report: str | Path) -> list[str]:
    """Judge a device's answers to the golden pictures of a release.

    Only the answers themselves count, not what the report says about them. A report is text that
    anyone can write: believe it as far as you believe its sender.

    Args:
        folder: the release folder, which `contract.check_release` should have passed.
        report: the JSON file that the page offers.

    Returns:
        What was found, one line each.

    Raises:
        ValueError: the report cannot be read, is about another file or other pictures, lacks an
            answer, or an answer is further off than a file of this variant may be.
    """
    folder, report = Path(folder), Path(report)
    hint = "Name the file that the page of 'dermaface web' saves."
    told = contract.read_json(report, REPORT_SCHEMA, hint)
    golden = contract.read_json(folder / "golden" / "expected.json", contract.EXPECTED_SCHEMA)
    described = contract.read_json(folder / "model.json", contract.MODEL_SCHEMA)
    name = repr(str(report))
    sha256 = hashlib.sha256((folder / "model.tflite").read_bytes()).hexdigest()
    asked = {key: _plain(value) for key, value in told["model"].items()}
    if asked["sha256"] != sha256:
        raise ValueError(
            f"{name} is about another file: {asked['name']} {asked['version']}, "
            f"{asked['variant']}, whose SHA-256 begins with {asked['sha256'][:12]}, not with "
            f"{sha256[:12]}."
        )
    if told["labels"] != golden["labels"]:
        raise ValueError(f"{name} has other labels than the release.")
    tolerance = contract.tolerance_of(described["variant"])
    answers = {answer["input_sha256"]: answer for answer in told["answers"]}
    if len(answers) != len(told["answers"]):
        raise ValueError(f"{name} answers a golden picture twice.")
    largest = {"probabilities": 0.0, "from_file": 0.0}
    read_otherwise = 0
    for entry in golden["pictures"]:
        answer = answers.get(entry["input_sha256"])
        if answer is None:
            raise ValueError(f"{name} has no answer to the golden picture {entry['picture']}.")
        off = {}
        for kind in largest:
            if len(answer[kind]) != len(golden["labels"]):
                raise ValueError(f"{name} lacks probabilities for {entry['picture']}.")
            off[kind] = float(np.abs(np.subtract(answer[kind], entry["probabilities"])).max())
            largest[kind] = max(largest[kind], off[kind])
        if off["probabilities"] > tolerance:
            guess = golden["labels"][int(np.argmax(answer["probabilities"]))]
            raise ValueError(
                f"For {entry['picture']}, the device says {guess} and {entry['predicted']} is "
                f"expected; a probability is off by {off['probabilities']:.4f}, where {tolerance} "
                "is allowed. The file does not answer there as measured."
            )
        read_otherwise += off["from_file"] > tolerance
    number = len(golden["pictures"])
    lines = [
        f"device: {_plain(told['device'].get('model') or told['device']['user_agent'])}",
        f"runtime: {_plain(told['runtime'])}, {told['milliseconds']:.1f} ms a photo",
        f"device, given the pixels: {number} golden pictures answered as expected, at most "
        f"{largest['probabilities']:.4f} off",
        f"device, given the files: {number - read_otherwise} of {number} as expected, at most "
        f"{largest['from_file']:.4f} off",
        "By this report, the file answers on the device as it did where it was made.",
    ]
    if read_otherwise:
        lines.append(
            "But photos are read differently there, so expect other answers to photos than here."
        )
    return lines


def _plain(value: object) -> str:
    """Return what a stranger has written as text that cannot steer a terminal, cut to a line."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(value)[:300])

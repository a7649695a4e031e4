"""Write docs/clothing/: the first screen of the report of a run on real photos.

    make clothing DATA=FOLDER

makes the run and calls

    python benchmarks/clothing.py outputs/clothing

which writes the page and its pictures, and prints the passage for the project's README. The photos
are those of https://github.com/alexeygrigorev/clothing-dataset-small.
"""

import argparse
import base64
from pathlib import Path

from dermaface import plots, report, runs
from dermaface.runs import NOTEBOOKS, Run
import nbformat
import pandas as pd

FOLDER = runs.project_root() / "docs" / "clothing"
PAGE = """# A run on real photos

This is what the report of a run opens with. The run was made by

```
dermaface run --data clothing --run-name clothing
```

**{screen.verdict}.** {screen.reason}

{tiles}

![Twelve held-out photos, each with the released file's answer and its probability](answers.jpg)

*The released file's answers to twelve held-out photos.*

## Warnings

{warnings}

## Curves

<img src="curves.jpg" width="768" alt="Loss and accuracy over the epochs">

{screen.on_curves}

## Confusions of the trained model

<img src="confusions.jpg" width="480" alt="Confusion matrix">

{screen.on_confusions}

## Mistakes of which the trained model was most sure

<img src="mistakes.jpg" width="576" alt="Photos with their labels and the model's answers">

{screen.on_mistakes}

## Every variant

On the {photos}. The interval is that of the points lost; milliseconds are for one photo on the
computer of the run.

{variants}

## The photos

{screen.about}. The photos are those of
[clothing-dataset-small](https://github.com/alexeygrigorev/clothing-dataset-small) by Alexey
Grigorev, the ten most frequent classes of his
[clothing dataset](https://github.com/alexeygrigorev/clothing-dataset). Tagias.com and 32 people
gave them. They are in the public domain
([CC0](https://creativecommons.org/publicdomain/zero/1.0/)): they "can be freely used for any
purpose, including commercial". The data set's own test split was left out.

This page is written by `make clothing DATA=FOLDER`.
"""
PASSAGE = """
![Twelve photos of clothes with the released file's answers](docs/clothing/answers.jpg)

*The released file's answers to twelve held-out photos of clothes.
Accuracy {accuracy[1]}: {accuracy[2]}. Size {size[1]}: {size[2]}.
{changed[0]}: {changed[1]}; {changed[2]}.
[Curves, confusions, mistakes and warnings](docs/clothing/README.md) of this run.*
"""


def main() -> None:
    """Write the page of the run that is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="the run's folder")
    screen = write_page(Run(parser.parse_args().run.resolve()), FOLDER)
    accuracy, size, changed, _ = screen.tiles
    print(PASSAGE.format(accuracy=accuracy, size=size, changed=changed))


def write_page(run: Run, folder: Path) -> report.Screen:
    """Write README.md and its pictures, and return what they show.

    Args:
        run: a finished one, whose classes are few enough for a confusion matrix.
        folder: where to write; it is made.
    """
    screen = report.examine(run)
    photos, labels, answers, probabilities = zip(*screen.mistakes, strict=True)
    titles = [
        f"is {label}\ntaken for\n{answer} {100 * probability:.0f} %"
        for label, answer, probability in zip(labels, answers, probabilities, strict=True)
    ]
    pictures = {
        "answers": answers_figure(run),
        "curves": screen.curves,
        "confusions": screen.confusions,
        "mistakes": plots.as_jpeg(plots.image_grid, photos, titles),
    }
    names, figures, notes = zip(*screen.tiles, strict=True)
    conversion = pd.read_csv(run.path("conversion.csv"))
    split = "test" if "test" in set(conversion["split"]) else "validation"
    rows = conversion.query("split == @split")
    page = PAGE.format(
        screen=screen,
        tiles=table(names, [[f"**{figure}**" for figure in figures], notes]),
        warnings="\n".join(f"- {text}" for text in (*screen.serious, *screen.warnings)),
        photos=f"{rows['images'].iloc[0]} {split} photos",
        variants=variants_table(rows),
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pictures.items():
        (folder / f"{name}.jpg").write_bytes(content)
    (folder / "README.md").write_text(page, encoding="utf-8")
    return screen


def answers_figure(run: Run) -> bytes:
    """Return the JPEG in the tagged cell of the executed notebook 05."""
    executed = nbformat.read(run.path(f"notebooks/{NOTEBOOKS[4]}.ipynb"), as_version=4)
    (cell,) = [c for c in executed.cells if "readme-figure" in c.metadata.get("tags", [])]
    (jpeg,) = [o["data"]["image/jpeg"] for o in cell.outputs if "image/jpeg" in o.get("data", {})]
    return base64.b64decode(jpeg)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def variants_table(rows: pd.DataFrame) -> str:
    """Return what every variant lost, as a table in Markdown.

    Args:
        rows: the rows of one split of `conversion.csv`.
    """
    head = ["variant", "KB", "accuracy", "points lost (95 % interval)", "changed answers"]
    head += ["ms, 2 threads", "passed the gate"]
    lines = [
        [
            row.variant,
            f"{row.bytes / 1000:,.0f}",
            f"{row.accuracy:.3f}",
            "{:.2f} ({:.2f} to {:.2f})".format(
                *(100 * lost for lost in (row.accuracy_drop, row.drop_low, row.drop_high))
            ),
            str(row.changed),
            f"{row.latency_ms:.1f}",
            "yes" if row.passed else "no",
        ]
        for row in rows.itertuples()
    ]
    return table(head, lines)


if __name__ == "__main__":
    main()

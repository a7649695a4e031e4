"""The report of a run: one screen with the answer, then a contents list and the notebooks."""

import base64
from collections.abc import Mapping, Sequence
import dataclasses
import html
import io
import itertools
import json
from pathlib import Path
import re
import string

from dermaface import plots, runs
from dermaface.evaluation import scores
from dermaface.photos import images, sample, splits
from dermaface.readings import analyze_curves as readings
from dermaface.readings.words import counted, measured_on
from dermaface.runs import NOTEBOOKS, Run
from nbconvert import HTMLExporter
import nbformat
import numpy as np
import pandas as pd
from PIL import Image

TEMPLATE = Path(__file__).with_name("report.html")
# What is warned of: fewer photos of a class than this, fewer of them in the reported split, a wider
# interval, and classes less even.
FEW_PHOTOS, FEW_MEASURED, WIDE_INTERVAL, UNEVEN = 30, 10, 0.2, 3
SHOWN_WARNINGS, SHOWN_MISTAKES, SHOWN_PAIRS = 7, 6, 10
# A larger confusion matrix, or one with longer names, could not be read: pairs are listed instead.
MOST_CLASSES, LONGEST_NAME = 12, 24
# Why photos are left out, by how the reason in images.csv reads.
LEFT_OUT = {
    "copy of a photo in a later split": "copy of .*, which is in the ",
    "copy in another class": "copy of .*, which is labelled ",
    "flagged": "flagged",
    "tied to photos in different splits": re.escape(splits.TORN),
}
# A heading of a notebook, as nbconvert writes it.
HEADING = re.compile(r'<h([12])[^>]*>(.*?)(?:<a class="anchor-link".*?)?</h\1>', re.DOTALL)


@dataclasses.dataclass
class Screen:
    """What the first screen says of a run; what the run has not found out is empty."""

    about: str  # which run, of what
    notebooks: Sequence[str]  # those that are up to date, and the one that stopped
    verdict: str = ""
    level: str = "stop"  # "ship", "wait" or "stop"
    reason: str = ""
    tiles: Sequence[tuple[str, str, str]] = ()  # a figure with its name and a note
    serious: Sequence[str] = ()  # warnings that speak against shipping
    warnings: Sequence[str] = ()  # the others
    curves: bytes = b""  # a JPEG file
    on_curves: str = ""
    confusions: bytes = b""  # a JPEG file, or empty where the matrix could not be read
    pairs: Sequence[tuple[str, str, int]] = ()  # instead of it: true class, answer, how often
    on_confusions: str = ""
    mistakes: Sequence[tuple[np.ndarray, str, str, float]] = ()  # photo, label, answer, probability
    on_mistakes: str = ""


def write_report(run: Run) -> None:
    """Write `report.html`, whether or not all notebooks have finished."""
    screen = examine(run)
    contents, notebooks = _notebooks_html(run, screen.notebooks)
    page = string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=html.escape(f"{run.name}: {screen.verdict}"),
        screen=_screen_html(screen),
        contents=contents,
        notebooks=notebooks,
    )
    runs.write_text(run.path("report.html"), page)


# --- What the run's files say ---------------------------------------------------------------------


def examine(run: Run) -> Screen:
    """Return what the first screen says, from the run's own files."""
    finished, stopped = _progress(run)
    screen = Screen(f"Run {run.name}", [*finished, *stopped])
    figures, conversion, variant = {}, None, ""
    if NOTEBOOKS[0] in finished:
        photos = images.read_table(run.path("images.csv"))
        screen.about = _about(run, photos)
        screen.serious, screen.warnings = warn_of_photos(photos, run.is_sample)
    if NOTEBOOKS[2] in finished:
        history = pd.read_csv(run.path("history.csv"))
        screen.curves = plots.as_jpeg(plots.curves, history)
        screen.on_curves = _joined(readings.curves(history))
    if NOTEBOOKS[3] in finished:
        figures = _json(run, "metrics.json")
        if not stopped:
            released = _json(run, "release/model.json")
            figures, variant = released["scores"], released["variant"]
            # What relatives and another seed are worth was measured once, before any file was made.
            for name, trained in _json(run, "metrics.json").items():
                for what in ("relatives", "trained_again"):
                    figures[name][what] = trained.get(what, {})
        elif _error_of(run, stopped[0])[0] == "GateError":
            variant = run.parameters(NOTEBOOKS[4])["variant_preference"][0]
        if variant:
            conversion = pd.read_csv(run.path("conversion.csv"), keep_default_na=False)
        serious, warnings = warn_of_figures(figures, photos)
        screen.serious, screen.warnings = [*screen.serious, *serious], [*warnings, *screen.warnings]
        _add_answers(screen, run, _reported(figures))
    screen.tiles = _tiles(run, figures, conversion, variant, released=not stopped)
    wanted = run.parameters(NOTEBOOKS[4])["variant_preference"] if variant else []
    if variant in wanted[1:]:
        refused = ", ".join(wanted[: wanted.index(variant)])
        screen.warnings = [f"Wanted more, but refused by the gate: {refused}.", *screen.warnings]
    if stopped:
        screen.verdict, screen.reason = _why_stopped(run, stopped[0])
    elif screen.serious:
        screen.verdict, screen.level = "Do not ship yet", "wait"
        screen.reason = (
            f"{' '.join(screen.serious[:2])} The file itself passed the gate: "
            f"{_passed(run, conversion, variant)}"
        )
    else:
        screen.verdict, screen.level = "Ship release/model.tflite", "ship"
        screen.reason = (
            f"The file passed the gate: {_passed(run, conversion, variant)} Whether "
            f"{screen.tiles[0][1]} right answers are enough for your app is yours to judge."
        )
    return screen


def _progress(run: Run) -> tuple[list[str], list[str]]:
    """Return the notebooks whose files are there and up to date, and the first one that is not.

    The second list is empty when all have finished.
    """
    known = run.read().get("notebooks", {})

    def is_current(notebook: str) -> bool:
        return notebook in known and run.is_finished(notebook, run.parameters(notebook))

    finished = list(itertools.takewhile(is_current, NOTEBOOKS))
    return finished, list(NOTEBOOKS[len(finished) : len(finished) + 1])


def _json(run: Run, name: str) -> dict:
    """Return what a JSON file of the run holds."""
    return json.loads(run.path(name).read_text(encoding="utf-8"))


def _reported(figures: Mapping) -> str:
    """Return the split whose figures count."""
    return "test" if "test" in figures else "validation"


def _joined(lines: str) -> str:
    """Return the sentences of a reading on one line."""
    return lines.replace("\n", " ")


def _some(names: Sequence[str]) -> str:
    """Return the first three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _about(run: Run, photos: pd.DataFrame) -> str:
    """Return which run this is: of how many photos, with what, and when."""
    noted, kept = run.read(), (photos["status"] == "kept").sum()
    build = noted["notebooks"].get(NOTEBOOKS[1], {}).get("parameters")
    ends = [part["finished"] for part in noted["notebooks"].values() if "finished" in part]
    parts = [
        f"Run {run.name}",
        f"{counted(kept, 'drawn picture' if run.is_sample else 'photo')} in "
        f"{counted(len(run.class_names), 'class')}",
        *([f"{build['backbone']} at {build['image_size']} px"] if build else []),
        max(ends)[:10],
        f"dermaface {noted['versions']['dermaface']}",
    ]
    return ", ".join(parts)


def _error_of(run: Run, notebook: str) -> tuple[str, str]:
    """Return the kind and the message of the error that stopped a notebook, as it shows them."""
    path = run.path(f"notebooks/{notebook}.ipynb")
    cells = nbformat.read(path, as_version=4).cells if path.is_file() else []
    for cell in cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                return output.ename, output.evalue
    return "", "It did not run to its end, and left no message."


def _why_stopped(run: Run, notebook: str) -> tuple[str, str]:
    """Return the verdict on a run that a notebook stopped, and what is missing and why."""
    kind, message = _error_of(run, notebook)
    if kind == "GateError":
        return "Do not ship: the gate refused every file", f"Missing: release/. {message}"
    later = NOTEBOOKS[NOTEBOOKS.index(notebook) :]
    missing = [name for step in later for name in runs.WRITES[step] if name not in runs.OPTIONAL]
    named = "" if kind in ("", "ValueError") else f"{kind}: "
    return (
        f"Do not ship: the run stopped in notebook {notebook}",
        f"Missing or out of date: {', '.join(missing)}. {named}{message}",
    )


def _passed(run: Run, conversion: pd.DataFrame, variant: str) -> str:
    """Return how well the released file kept to the limits."""
    row, limits = _row(conversion, variant, "validation"), run.parameters(NOTEBOOKS[4])
    lost = round(100 * row["accuracy_drop"], 1)
    points = f"{'loses' if lost > 0 else 'wins'} {abs(lost)} points of accuracy"
    return (
        f"on {counted(row['images'], 'validation photo')}, {variant} "
        f"{points if lost else 'loses no accuracy'} (it may lose "
        f"{100 * limits['max_accuracy_drop']:g}, or one photo) and gives "
        f"{100 * row['agreement']:.1f} % of the trained model's answers (it must give "
        f"{100 * limits['min_agreement']:g} %, or all but one)."
    )


def _row(conversion: pd.DataFrame, variant: str, split: str) -> Mapping:
    """Return a variant's figures on a split."""
    return conversion.query("variant == @variant and split == @split").iloc[0]


def _tiles(
    run: Run,
    figures: Mapping[str, Mapping],
    conversion: pd.DataFrame | None,
    variant: str,
    released: bool,
) -> list[tuple[str, str, str]]:
    """Return four figures, each with its name and a note.

    Args:
        run: its parameters are read.
        figures: for each split those of the released file or of the trained model, or nothing.
        conversion: `conversion.csv`, if it is of this model.
        variant: the one that was released or, if none was, wanted most.
        released: whether one was.
    """
    accuracy = size = changed = weakest = ("?", "not measured: the run stopped before")
    split = _reported(figures)
    if figures:
        here = figures[split]
        low, high = here["accuracy_interval"]
        on = measured_on(here, split)
        if here["pictures"] == here["images"]:  # There is hardly room for what goes without saying.
            on = on.replace(f", {counted(here['pictures'], 'picture')}", "")
        accuracy = (
            f"{100 * here['accuracy']:.1f} %",
            f"95 % interval {100 * low:.1f} to {100 * high:.1f} %; "
            f"{here['accuracy'] * here['images']:.0f} of "
            f"{on}"
            + ("" if split == "test" else " (also used to choose)")
            + _seeds(here.get("trained_again", {})),
        )
        name, entry = scores.weakest_first(here)[0]
        weakest = (
            f"{entry['recall'] * entry['images']:.0f} of {entry['images']}",
            f"{split} photos of {name} are recognised; the other classes do no worse",
        )
    if conversion is not None:
        row, whole = (_row(conversion, name, split) for name in (variant, "float32"))
        # A gain is written as +, and nothing as +0.0.
        change, low, high = (
            f"{round(-100 * row[name], 1) + 0.0:+}"
            for name in ("accuracy_drop", "drop_high", "drop_low")
        )
        changed = (
            f"{row['changed']} of {counted(row['images'], 'answer')}",
            f"accuracy {change} points ({low} to {high}); largest change of a probability "
            f"{row['max_abs_diff']:.2f}",
        )
        side = run.parameters(NOTEBOOKS[1])["image_size"]
        size = (
            f"{row['bytes'] / 1000:,.0f} KB",
            f"{variant}, for {side} x {side} pixels; {100 * row['bytes'] / whole['bytes']:.0f} % "
            f"of float32{'' if released else '; not released'}",
        )
    return [
        ("Accuracy of the " + ("released file" if released else "trained model"), *accuracy),
        ("Size of the file", *size),
        (f"What {variant or 'the file'} changed", *changed),
        ("Weakest class", *weakest),
    ]


def warn_of_photos(photos: pd.DataFrame, is_sample: bool) -> tuple[list[str], list[str]]:
    """Return what in the photos speaks against shipping, and what else to know of them.

    Args:
        photos: `images.csv`.
        is_sample: whether they are drawn.
    """
    kept = photos[photos["status"] == "kept"]
    serious = [sample.NOTICE] if is_sample else []
    warnings: list[str] = []
    for column, noun in splits.TIES.items():
        across = splits.across_splits(kept, column)
        if len(across):
            # A scene is only proposed.
            said, may = (warnings, "may flatter") if column == "scene" else (serious, "flatters")
            said.append(
                f"{counted(len(across), noun)} in more than one split (photos: "
                f"{splits.count_words(across.sum())}): the accuracy {may}."
            )
    pictures = kept[kept["copies"] != ""].groupby("copies")["label"]
    counts = kept["label"].value_counts()
    few, flagged = counts[counts < FEW_PHOTOS], kept["flags"][kept["flags"] != ""]
    again = pictures.size().loc[lambda size: size > 1]
    twice = [labels for _, labels in pictures.unique().items() if len(labels) > 1]
    if len(twice):
        warnings.append(
            f"{counted(len(twice), 'picture')} in more than one class "
            f"({'such as ' if len(twice) > 1 else ''}{_some(sorted(twice[0]))})."
        )
    if len(kept) < len(photos):
        warnings.append(
            f"{len(photos) - len(kept)} of {counted(len(photos), 'file')} left out: "
            f"{_left_out(photos['reason'][photos['status'] != 'kept'])}."
        )
    if len(few):
        warnings.append(
            f"Fewer than {FEW_PHOTOS} photos in {len(few)} of {counted(len(counts), 'class')}; "
            f"fewest: {few.index[-1]}, {few.iloc[-1]}."
        )
    if counts.iloc[0] > UNEVEN * counts.iloc[-1]:
        warnings.append(
            f"{counts.index[0]} has {counts.iloc[0] / counts.iloc[-1]:.0f} times as many photos as "
            f"{counts.index[-1]}."
        )
    if len(again):
        warnings.append(f"{again.sum()} photos show only {counted(len(again), 'picture')}: copies.")
    if len(flagged):
        kinds = flagged.str.split().explode().value_counts()
        warnings.append(
            f"{len(flagged)} of {counted(len(kept), 'photo')} flagged: {splits.count_words(kinds)}."
        )
    if not is_sample and (kept["group"] == "").all():
        warnings.append(
            "No groups given: if one person or place is in several splits, the accuracy flatters."
        )
    return serious, warnings


def _left_out(reasons: pd.Series) -> str:
    """Return in words how many photos were left out for what."""
    counts = {kind: int(reasons.str.match(pattern).sum()) for kind, pattern in LEFT_OUT.items()}
    counts["unusable file"] = len(reasons) - sum(counts.values())
    return ", ".join(f"{kind} {count}" for kind, count in counts.items() if count)


def _seeds(again: Mapping[str, float]) -> str:
    """Return what further trainings came to, as the end of a note, or ""."""
    if not again:
        return ""
    low, high = (100 * bound(again.values()) for bound in (min, max))
    return f"; trained again with {counted(len(again), 'other seed')}: {low:.1f} to {high:.1f} %"


def warn_of_figures(
    figures: Mapping[str, Mapping], photos: pd.DataFrame
) -> tuple[list[str], list[str]]:
    """Return what in the figures speaks against shipping, and what limits them.

    Args:
        figures: for each split those of the released file or of the trained model.
        photos: `images.csv`.
    """
    split = _reported(figures)
    here = figures[split]
    classes, (low, high) = here["classes"], here["accuracy_interval"]
    never = [name for name, entry in classes.items() if entry["images"] and not entry["recall"]]
    kept = photos[(photos["status"] == "kept") & (photos["split"] == "train")]
    answer = kept["label"].mode()[0]
    share = classes[answer]["images"] / here["images"]
    few = [name for name, entry in classes.items() if 0 < entry["images"] < FEW_MEASURED]
    serious, warnings = [], []
    if never:
        shown = [f"{name} (0 of {classes[name]['images']})" for name in never]
        serious.append(f"Never recognised: {_some(shown)}.")
    if low <= share:
        serious.append(
            f"Not shown to beat always answering {answer}, which is right for {100 * share:.0f} %."
        )
    if split == "validation":
        warnings.append(
            "No test split: these validation photos also chose the epoch and the file, which "
            "flatters a little."
        )
    if told := readings.relatives(here.get("relatives", {})):
        warnings.append(" ".join(told))
    warnings += readings.unmeasured({split: here})
    if high - low > WIDE_INTERVAL:
        serious.append(
            "Too few photos to tell how good it is: with "
            f"{counted(here['images'], f'{split} photo')}, the interval is "
            f"{100 * (high - low):.0f} points wide."
        )
    if few:
        warnings.append(
            f"Fewer than {FEW_MEASURED} {split} photos in {len(few)} of "
            f"{counted(len(classes), 'class')}: their own figures are rough."
        )
    return serious, warnings


def _add_answers(screen: Screen, run: Run, split: str) -> None:
    """Add what the trained model's answers to the photos of a split show."""
    class_names = run.class_names
    rows = scores.read_predictions(run).query("split == @split")
    matrix = pd.crosstab(rows["label"], rows["predicted"])
    matrix = matrix.reindex(index=class_names, columns=class_names, fill_value=0).to_numpy()
    screen.on_confusions = _joined(readings.confusions(matrix, class_names))
    if len(class_names) <= MOST_CLASSES and all(
        len(name) <= LONGEST_NAME and plots.can_write(name) for name in class_names
    ):
        screen.confusions = plots.as_jpeg(plots.confusion_matrix, matrix, class_names)
    else:
        wrong = rows[rows["label"] != rows["predicted"]]
        often = wrong.groupby(["label", "predicted"]).size().sort_values(ascending=False)
        screen.pairs = [(*pair, int(times)) for pair, times in often[:SHOWN_PAIRS].items()]
    surest = scores.confident_mistakes(rows, class_names, SHOWN_MISTAKES)
    columns = [surest[name] for name in ("label", "predicted", "probability")]
    thumbnails = images.load_thumbnails(run.data_root, surest["path"])
    screen.mistakes = list(zip(thumbnails, *columns, strict=True))
    limit = run.parameters(NOTEBOOKS[3])["sure_from"]
    sure = scores.probabilities_of(rows, class_names).max(axis=1) >= limit
    wrong = (rows["label"] != rows["predicted"]).to_numpy()
    counts = wrong.sum(), len(rows), (sure & wrong).sum(), sure.sum()
    screen.on_mistakes = _joined(readings.mistakes(*counts, limit))


# --- As a page ------------------------------------------------------------------------------------


def _screen_html(screen: Screen) -> str:
    """Return the first screen as HTML."""
    tiles = [
        '<div class="tile">'
        + _text_html("h2", name, "line")
        + _text_html("b", figure, "line")
        + _text_html("span", note, "clamp")
        + "</div>"
        for name, figure, note in screen.tiles
    ]
    parts = [
        '<p class="run">',
        _text_html("span", screen.about, "line"),
        '<a href="#contents">Contents</a></p>',
        f'<header class="verdict {screen.level}">',
        _text_html("h1", screen.verdict, "line"),
        _text_html("p", screen.reason, "clamp"),
        f'</header><div class="tiles">{"".join(tiles)}</div><div class="columns"><div>',
        _curves_html(screen) + _warnings_html(screen),
        f"</div>{_confusions_html(screen)}</div>{_mistakes_html(screen)}",
    ]
    return "\n".join(parts)


def _text_html(tag: str, text: str, kind: str) -> str:
    """Return a text that may be too long for its place; whoever points at it sees all of it."""
    text = html.escape(text)
    return f'<{tag} class="{kind}" title="{text}">{text}</{tag}>'


def _image_html(jpeg: bytes, what: str) -> str:
    """Return a picture that the page itself holds."""
    content = base64.b64encode(jpeg).decode()
    return f'<img src="data:image/jpeg;base64,{content}" alt="{html.escape(what)}">'


def _curves_html(screen: Screen) -> str:
    """Return the curves, if there are any."""
    if not screen.curves:
        return ""
    image = _image_html(screen.curves, "loss and accuracy over the epochs")
    caption = _text_html("figcaption", screen.on_curves, "clamp")
    return f'<figure class="curves"><h2>Curves</h2>{image}{caption}</figure>'


def _warnings_html(screen: Screen) -> str:
    """Return the warnings, the serious ones first; those for which there is no room are folded."""
    rows = [_text_html("li", text, "line serious") for text in screen.serious]
    rows += [_text_html("li", text, "line") for text in screen.warnings]
    shown, more = "".join(rows[:SHOWN_WARNINGS]), "".join(rows[SHOWN_WARNINGS:])
    if more:
        number = len(rows) - SHOWN_WARNINGS
        more = f"<details><summary>{number} more</summary><ul>{more}</ul></details>"
    listed = f'<section class="warnings"><h2>Warnings</h2><ul>{shown}</ul>{more}</section>'
    return listed if rows else ""


def _confusions_html(screen: Screen) -> str:
    """Return the confusion matrix or the pairs that are confused most, if there are answers."""
    if not screen.on_confusions:
        return ""
    shown = _image_html(screen.confusions, "confusion matrix") if screen.confusions else ""
    if screen.pairs:
        rows = [
            f"<tr>{_text_html('td', label, 'line')}{_text_html('td', answer, 'line')}"
            f"<td>{times}</td></tr>"
            for label, answer, times in screen.pairs
        ]
        head = "<tr><th>true class</th><th>answer</th><th>photos</th></tr>"
        shown = f"<table>{head}{''.join(rows)}</table>"
    caption = _text_html("figcaption", screen.on_confusions, "clamp")
    title = "<h2>Confusions of the trained model</h2>"
    return f'<figure class="confusions">{title}{shown}{caption}</figure>'


def _mistakes_html(screen: Screen) -> str:
    """Return the mistakes that were most sure of themselves, if there are answers."""
    if not screen.on_mistakes:
        return ""
    figures = []
    for pixels, label, answer, probability in screen.mistakes:
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, format="JPEG", quality=85)
        texts = (f"is {label}", f"taken for {answer}", f"{100 * probability:.1f} %")
        lines = "".join(_text_html("div", text, "clamp") for text in texts)
        image = _image_html(content.getvalue(), f"a photo of {label}")
        figures.append(f"<figure>{image}<figcaption>{lines}</figcaption></figure>")
    return (
        '<section class="mistakes"><h2>Mistakes of which the trained model was most sure</h2>'
        f"{_text_html('p', screen.on_mistakes, 'line')}<div>{''.join(figures)}</div></section>"
    )


def _notebooks_html(run: Run, notebooks: Sequence[str]) -> tuple[str, str]:
    """Return a contents list and the executed notebooks, without their code, as HTML.

    Args:
        run: whose notebooks.
        notebooks: those to show; what the run has not executed is passed over.
    """
    exporter = HTMLExporter(template_name="basic", exclude_input=True, exclude_output_prompt=True)
    contents, articles = [], []
    for notebook in notebooks:
        path = run.path(f"notebooks/{notebook}.ipynb")
        if not path.is_file():
            continue
        body, _ = exporter.from_filename(str(path))
        for other in notebooks:
            body = body.replace(f'href="{other}.ipynb"', f'href="#{other}-0"')
        # Headings such as "Setup" are in every notebook, so each gets a name of its own.
        links = []
        for number, heading in enumerate(HEADING.finditer(body)):
            level, title = heading.groups()
            name = f"{notebook}-{number}"
            body = body.replace(heading[0], f'<h{level} id="{name}">{title}</h{level}>', 1)
            links.append(f'<a href="#{name}">{title}</a>')
        listed = "".join(f"<li>{link}</li>" for link in links[1:])
        contents.append(f"<div>{links[0]}<ul>{listed}</ul></div>")
        articles.append(f"<article>{body}</article>")
    return "\n".join(contents), "\n".join(articles)

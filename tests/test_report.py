"""Tests of dermaface.report, on runs written by hand: their files, without a network."""

import json
import re
import shutil
import subprocess

from dermaface import pipeline, report, runs
from dermaface.evaluation import scores
from dermaface.photos import images, sample
from dermaface.runs import NOTEBOOKS, WRITES, Run
import nbformat
import numpy as np
import pandas as pd
from PIL import Image
import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
THREE = ["acne", "melasma", "wrinkles"]
ODD = ['<b>"q"&amp;\'', "皮肤 &", "a$title$screen\\1", "x" * 120]
TWO = {"train": 2, "validation": 2, "test": 2}
HISTORY = pd.DataFrame(
    {
        "stage": ["head", "head", "fine_tune"],
        "epoch": [1, 2, 1],
        "loss": [1.5, 0.9, 0.5],
        "accuracy": [0.4, 0.7, 0.9],
        "val_loss": [1.4, 1.1, 0.9],
        "val_accuracy": [0.4, 0.6, 0.7],
        "learning_rate": [1e-3, 1e-3, 1e-4],
    }
)


def photo_table(root, class_names, counts):
    """Return rows of images.csv: for each class so many photos in each split, painted alike."""
    rows = []
    for index, label in enumerate(class_names):
        for split, count in counts.items():
            for number in range(count):
                path = f"class {index}/{split} {number} <i>&.png"
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (30, 20), (3 * index, 90, 5 * number)).save(root / path)
                facts = {"path": path, "label": label, "split": split, "sha256": path}
                rows.append(facts | {"width": 30, "height": 20, "format": "PNG"})
    empty = dict.fromkeys(images.COLUMNS, "") | images.EMPTY | {"status": "kept"}
    return pd.DataFrame([empty | row for row in rows])[images.COLUMNS]


def answer(rows, class_names, wrong):
    """Return predictions in which so many photos of each class and split are taken for the next.

    Args:
        rows: of images.csv.
        class_names: the classes in index order.
        wrong: how many.
    """
    probabilities = np.full((len(rows), len(class_names)), 0.2 / (len(class_names) - 1))
    place = rows.groupby(["label", "split"]).cumcount()
    for position, (label, number) in enumerate(zip(rows["label"], place, strict=True)):
        index = class_names.index(label)
        probabilities[position, (index + (number < wrong)) % len(class_names)] = 0.8
    return scores.prediction_frame(rows, probabilities, class_names)


def write_notebook(run, notebook, error=None):
    """Write an executed notebook with two headings and, where it stopped, its error."""
    code = nbformat.v4.new_code_cell("1")
    if error:
        code.outputs = [nbformat.v4.new_output("error", ename=error[0], evalue=error[1])]
    title = f"# {notebook[1]}. {notebook}\n\nSee [2](02_build_model.ipynb)."
    cells = [nbformat.v4.new_markdown_cell(text) for text in (title, "## Setup <i>&")]
    path = run.path(f"notebooks/{notebook}.ipynb")
    path.parent.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[*cells, code]), path)


def write_run(
    folder,
    class_names=THREE,
    counts=None,
    wrong=1,
    stopped=None,
    error=None,
    change=lambda photos: photos,
    wanted=("int8", "float32"),
):
    """Write the files of a run as its notebooks do, up to the one that stopped.

    Args:
        folder: of the run.
        class_names: the classes in index order.
        counts: how many photos of each class are in each split.
        wrong: how many held-out photos of each class and split get a wrong answer.
        stopped: the notebook that stopped, if one did.
        error: the kind and message of its error.
        change: what to do to images.csv before it is written.
        wanted: the variants, of which int8 is released.
    """
    class_names = sorted(class_names)
    counts = counts or {"train": 30, "validation": 10, "test": 20}
    run = Run(folder)
    root = folder.parent / f"photos of {folder.name}"
    given = {"run_name": run.name, "output_dir": str(folder.parent), "data": str(root)}
    given |= {"image_size": 64, "variant_preference": list(wanted)}
    parameters = pipeline.assign_parameters(given)
    folder.mkdir(parents=True)
    photos = change(photo_table(root, class_names, counts))
    held_out = photos[(photos["status"] == "kept") & photos["split"].isin(["validation", "test"])]
    held_out = held_out.sort_values("split", ascending=False, kind="stable")
    predictions = answer(held_out, class_names, wrong)
    splits = predictions.groupby("split", sort=False)
    metrics = {split: scores.score(rows, class_names) for split, rows in splits}
    # The file gives one more wrong answer to each class than the model.
    changed = answer(held_out, class_names, wrong + 1)
    answers = {"float32": scores.probabilities_of(predictions, class_names)}
    answers["int8"] = scores.probabilities_of(changed, class_names)
    conversion = scores.compare(predictions, answers, class_names)
    conversion["bytes"] = conversion["variant"].map({"float32": 4_000_000, "int8": 1_234_567})
    conversion["passed"] = error is None
    released = changed.groupby("split", sort=False)
    described = {"variant": "int8"}
    described["scores"] = {split: scores.score(rows, class_names) for split, rows in released}
    for notebook in NOTEBOOKS:
        names = parameters[notebook]
        run.start(notebook, names | {"__annotations__": names})
        write_notebook(run, notebook, error if notebook == stopped else None)
        if notebook == NOTEBOOKS[4]:
            conversion.to_csv(run.path("conversion.csv"), index=False)
        if notebook == stopped:
            return run
        for name in WRITES[notebook]:
            if name == "images.csv":
                images.write_images(run, photos, root)
            elif name == "history.csv":
                HISTORY.to_csv(run.path(name), index=False)
            elif name == "predictions.csv":
                predictions.to_csv(run.path(name), index=False)
            elif name == "metrics.json":
                run.path(name).write_text(json.dumps(metrics))
            elif name == "release":
                run.path(name).mkdir()
                run.path("release/model.json").write_text(json.dumps(described))
            elif name.endswith(".keras"):
                run.path(name).write_text("weights")
        run.finish(notebook)
    return run


def page_of(run):
    """Write a run's report and return its text."""
    report.write_report(run)
    return run.path("report.html").read_text(encoding="utf-8")


def leak(photos):
    """Return the table with three pictures of training that are in the test, too, and a group."""
    train, test = (photos.index[photos["split"] == split] for split in ("train", "test"))
    photos.loc[[*train[:3], *test[:3]], "copies"] = ["a", "b", "c"] * 2
    photos.loc[[train[5], test[4], test[5]], "group"] = "one person"
    return photos


def spoil(photos):
    """Return the table with something of everything that is warned of."""
    train, late = (photos.index[photos["split"] == split] for split in ("train", "validation"))
    photos.loc[[*train[:3], *late[:3]], "copies"] = ["a", "b", "c"] * 2
    photos.loc[[train[5], late[5]], "group"] = "one person"
    photos.loc[[train[6], late[6]], "flags"] = "blur dark"
    photos.loc[train[20:40], ["status", "reason"]] = ["excluded", "It is empty."]
    return photos


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Return a run of which nothing is to be said, and what its first screen says."""
    run = write_run(
        tmp_path_factory.mktemp("runs") / "good", change=lambda t: t.assign(group=t.path)
    )
    return run, report.examine(run)


def test_a_good_run_may_ship_and_its_figures_are_those_of_its_files(good):
    _, screen = good
    assert (screen.verdict, screen.level) == ("Ship release/model.tflite", "ship")
    assert not screen.serious and not screen.warnings
    assert screen.about.startswith("Run good, 180 photos in 3 classes, tiny at 64 px, ")
    # Of 60 test photos the model answers 57 rightly, the file 54.
    low, high = (100 * bound for bound in scores.accuracy_interval(54, 60))
    least, most = (-100 * bound for bound in scores.drop_interval(3, 0, 60))
    assert screen.tiles == [
        (
            "Accuracy of the released file",
            "90.0 %",
            f"95 % interval {low:.1f} to {high:.1f} %; 54 of 60 test photos",
        ),
        ("Size of the file", "1,235 KB", "int8, for 64 x 64 pixels; 31 % of float32"),
        (
            "What int8 changed",
            "3 of 60 answers",
            f"accuracy -5.0 points ({most:+.1f} to {least:+.1f}); largest change of a probability "
            "0.70",
        ),
        (
            "Weakest class",
            "18 of 20",
            "test photos of acne are recognised; the other classes do no worse",
        ),
    ]
    for words in (
        "on 30 validation photos, int8 loses 10.0 points of accuracy (it may lose 2, or one",
        "gives 90.0 % of the trained model's answers (it must give 95 %",
        "Whether 90.0 % right answers are enough",
    ):
        assert words in screen.reason
    assert screen.on_confusions.startswith("3 of 60 answers are wrong. ")
    assert screen.on_mistakes.startswith("3 of 60 answers wrong; of the ")
    assert "lowest in epoch 3 of 3, at 0.900" in screen.on_curves
    said = [(label, answer, probability) for _, label, answer, probability in screen.mistakes]
    assert said == [(a, b, 0.8) for a, b in zip(THREE, [*THREE[1:], THREE[0]], strict=True)]
    assert screen.curves[:2] == screen.confusions[:2] == b"\xff\xd8"  # JPEG
    assert not screen.pairs


def test_the_page_needs_no_other_file_and_its_contents_list_leads_everywhere(good):
    page = page_of(good[0])
    assert "<title>good: Ship release/model.tflite</title>" in page
    assert page.index("Accuracy of the released file") < page.index('id="contents"')
    assert not re.search(r"<script|<link|src=\"(?!data:)|url\(|@import", page)
    names = re.findall(r'id="([^"]*)"', page)
    assert len(names) == len(set(names))
    links = re.findall(r'<a href="#(\d[^"]*)">', page.split("<main>")[0])
    assert links == [f"{notebook}-{number}" for notebook in NOTEBOOKS for number in (0, 1)]
    assert set(links) < set(names) and f'<a href="#{NOTEBOOKS[1]}-0">2</a>' in page
    assert len(page) < 300_000


@pytest.mark.parametrize("change", ["model.keras", "release/model.json"])
def test_what_no_longer_fits_the_run_is_not_told(good, tmp_path, change):
    run = Run(tmp_path / "good")
    shutil.copytree(good[0].folder, run.folder)
    run.path(change).write_text("another one")
    screen = report.examine(run)
    writer = next(notebook for notebook in NOTEBOOKS if change.split("/")[0] in WRITES[notebook])
    assert screen.verdict == f"Do not ship: the run stopped in notebook {writer}"
    assert (screen.tiles[0][1] == "?") == (writer == NOTEBOOKS[2])
    assert screen.tiles[1][1] == screen.tiles[2][1] == "?"


def test_a_run_that_the_gate_refused_says_so_and_what_the_model_reached(tmp_path):
    error = ("GateError", "Nothing is released: int8 loses 0.050. Loosen the limits.")
    run = write_run(tmp_path / "refused", stopped=NOTEBOOKS[4], error=error)
    screen = report.examine(run)
    assert (screen.verdict, screen.level) == ("Do not ship: the gate refused every file", "stop")
    assert screen.reason == f"Missing: release/. {error[1]}"
    accuracy, size, changed, _ = screen.tiles
    assert accuracy[:2] == ("Accuracy of the trained model", "95.0 %")
    assert size[1:] == ("1,235 KB", "int8, for 64 x 64 pixels; 31 % of float32; not released")
    assert changed[:2] == ("What int8 changed", "3 of 60 answers")
    page = page_of(run)
    assert f"{NOTEBOOKS[4]}-0" in page and "Loosen the limits." in page


def test_a_run_that_stopped_in_training_says_what_is_missing(tmp_path):
    error = ("ValueError", "batch_size is larger\nthan the number of <photos>")
    run = write_run(tmp_path / "stopped", stopped=NOTEBOOKS[2], error=error)
    screen = report.examine(run)
    assert screen.verdict == f"Do not ship: the run stopped in notebook {NOTEBOOKS[2]}"
    assert screen.reason == (
        "Missing or out of date: model.keras, history.csv, predictions.csv, metrics.json, "
        f"conversion.csv, release. {error[1]}"
    )
    assert [figure for _, figure, _ in screen.tiles] == ["?"] * 4
    assert screen.warnings and not screen.curves and not screen.mistakes
    page = page_of(run)
    assert "release. batch_size is larger\nthan the number of &lt;photos&gt;<" in page
    assert f"{NOTEBOOKS[2]}-0" in page and f"{NOTEBOOKS[3]}-0" not in page


def test_a_run_that_left_no_message_or_never_began_gets_a_report(tmp_path):
    killed = write_run(tmp_path / "killed", stopped=NOTEBOOKS[0])
    page = page_of(killed)
    assert "Missing or out of date: images.csv, " in page and "left no message.<" in page
    begun = Run(tmp_path / "begun")
    begun.folder.mkdir()
    begun.update(run_name="begun", notebooks={})
    assert f"Do not ship: the run stopped in notebook {NOTEBOOKS[0]}" in page_of(begun)


def test_an_error_without_a_message_is_named_by_its_kind(tmp_path):
    run = write_run(tmp_path / "full", stopped=NOTEBOOKS[1], error=("MemoryError", ""))
    assert report.examine(run).reason.endswith("release. MemoryError: ")


def test_the_variants_that_were_wanted_more_are_named(tmp_path, good):
    run = write_run(tmp_path / "second", wanted=("float16", "dynamic", "int8", "float32"))
    said = "Wanted more, but refused by the gate: float16, dynamic."
    assert said in report.examine(run).warnings and said not in good[1].warnings


def test_leaks_speak_against_shipping(tmp_path):
    screen = report.examine(write_run(tmp_path / "leaks", change=leak))
    assert (screen.verdict, screen.level) == ("Do not ship yet", "wait")
    assert screen.serious == [
        "1 group in more than one split (photos: train 1, test 2): the accuracy flatters.",
        "3 pictures in more than one split (photos: train 3, test 3): the accuracy flatters.",
    ]
    assert screen.reason.startswith(screen.serious[0]) and "passed the gate" in screen.reason
    assert "6 photos show only 3 pictures: copies." in screen.warnings


def test_what_groups_on_both_sides_are_worth_is_told(tmp_path):
    run = write_run(tmp_path / "related", change=lambda t: t.assign(group=t["path"].str[:7]))
    metrics = json.loads(run.path("metrics.json").read_text())
    assert metrics["test"]["images"] == 60 and metrics["test"]["groups"] == 3
    metrics["test"]["relatives"] = {
        "relatives": 60, "photos": 60, "groups": 3, "with": 0.9, "without": 0.85,
        "drop_interval": [0.01, 0.09],
    }  # fmt: skip
    figures = {"test": metrics["test"], "validation": metrics["validation"]}
    _, warnings = report.warn_of_figures(figures, images.read_table(run.path("images.csv")))
    (told,) = [text for text in warnings if text.startswith("60 photos have relatives")]
    assert "0.900 of 60 photos, without them for 0.850: +5.0 points" in told
    assert "60 test photos, 3 groups" in report.examine(run).tiles[0][2]


def test_further_trainings_stand_beside_the_accuracy(tmp_path):
    run = write_run(tmp_path / "seeds")
    assert "trained again" not in report.examine(run).tiles[0][2]
    metrics = json.loads(run.path("metrics.json").read_text())
    metrics["test"]["trained_again"] = {"1": 0.9, "2": 0.95}
    runs.write_json(run.path("metrics.json"), metrics)
    parts, found = run.read()["notebooks"], runs.hash_file(run.path("metrics.json"))
    parts[NOTEBOOKS[3]]["wrote"]["metrics.json"] = found
    parts[NOTEBOOKS[4]]["read"]["metrics.json"] = found
    run.update(notebooks=parts)
    assert (
        report.examine(run).tiles[0][2].endswith("trained again with 2 other seeds: 90.0 to 95.0 %")
    )


def test_scenes_are_only_proposed_so_they_are_a_warning(tmp_path):
    screen = report.examine(
        write_run(tmp_path / "scenes", change=lambda t: t.assign(scene=t["path"].str[:7]))
    )
    assert not any("scene" in told for told in screen.serious)
    told = "3 scenes in more than one split (photos: train 90, validation 30, test 60)"
    assert f"{told}: the accuracy may flatter." in screen.warnings


def test_photos_that_were_left_out_are_counted_by_reason(tmp_path):
    def change(photos):
        photos = leak(photos)
        photos.loc[photos["split"] == "test", "copies"] = ""
        photos.loc[4, ["copies", "flags"]] = ["a", "blur dark"]
        photos.loc[photos.index[photos["label"] == "melasma"][0], "copies"] = "a"
        reasons = [
            *("copy of x, which is in the test split", "copy of y, which is labelled acne"),
            *("flagged: dark", "belongs with photos in different splits: a, b", "It is empty."),
        ]
        photos.loc[[10, 11, 12, 13, 14], "reason"] = reasons
        photos.loc[[10, 11, 12, 13, 14], "status"] = "excluded"
        return photos

    screen = report.examine(write_run(tmp_path / "left", change=change))
    for said in (
        "5 of 180 files left out: copy of a photo in a later split 1, copy in another class 1, "
        "flagged 1, tied to photos in different splits 1, unusable file 1.",
        "1 picture in more than one class (acne, melasma).",
        "1 of 175 photos flagged: blur 1, dark 1.",
    ):
        assert said in screen.warnings


def test_three_classes_and_forty_photos(tmp_path):
    run = write_run(tmp_path / "few", counts={"train": 8, "validation": 5}, wrong=4)
    screen = report.examine(run)
    assert screen.serious == [
        "Never recognised: acne (0 of 5), melasma (0 of 5), wrinkles (0 of 5).",
        "Not shown to beat always answering acne, which is right for 33 %.",
        "Too few photos to tell how good it is: with 15 validation photos, the interval is 20 "
        "points wide.",
    ]
    assert screen.tiles[0][2].endswith("; 0 of 15 validation photos (also used to choose)")
    for said in (
        "No test split: these validation photos also chose the epoch and the file, which flatters "
        "a little.",
        "Fewer than 10 validation photos in 3 of 3 classes: their own figures are rough.",
        "Fewer than 30 photos in 3 of 3 classes; fewest: wrinkles, 13.",
        "No groups given: if one person or place is in several splits, the accuracy flatters.",
    ):
        assert said in screen.warnings


def test_uneven_classes_and_one_that_is_not_measured_are_named(tmp_path):
    def change(photos):
        wrinkles = photos["label"] == "wrinkles"
        photos = photos[~wrinkles | (photos["split"] == "train")]
        return photos.drop(index=[*range(1, 30), *range(45, 60)])  # of acne

    screen = report.examine(write_run(tmp_path / "uneven", change=change))
    assert "melasma has 4 times as many photos as acne." in screen.warnings
    assert "Not measured: no test photo shows wrinkles." in screen.warnings


def test_drawn_pictures_are_not_to_be_shipped(tmp_path):
    folder = tmp_path / "photos of drawn"
    folder.mkdir()
    (folder / sample.MARKER).write_text("drawn")
    screen = report.examine(write_run(tmp_path / "drawn"))
    assert screen.serious == [sample.NOTICE] and screen.verdict == "Do not ship yet"
    assert "180 drawn pictures in 3 classes" in screen.about


def test_odd_class_names_are_shown_as_they_are_and_do_nothing(tmp_path):
    run = write_run(tmp_path / "odd <b>&", class_names=ODD)
    screen = report.examine(run)
    assert not screen.confusions  # No font has such letters, no figure room for such a name.
    assert {pair[:2] for pair in screen.pairs} == set(
        zip(sorted(ODD), [*sorted(ODD)[1:], sorted(ODD)[0]], strict=True)
    )
    page = page_of(run)
    assert "<b>&" not in page and '<b>"q"' not in page
    assert "is &lt;b&gt;&quot;q&quot;&amp;amp;&#x27;" in page
    assert "is 皮肤 &amp;<" in page and "taken for a$title$screen\\1<" in page
    assert "<title>odd &lt;b&gt;&amp;: " in page


@pytest.mark.parametrize("number", [2, 80])
def test_two_classes_have_a_matrix_and_eighty_their_worst_pairs(tmp_path, number):
    names = [f"class number {n:02d}" for n in range(number)]
    screen = report.examine(write_run(tmp_path / str(number), names, counts=TWO))
    assert bool(screen.confusions) == (number == 2)
    assert len(screen.pairs) == (0 if number == 2 else report.SHOWN_PAIRS)
    assert len(screen.mistakes) == min(number, report.SHOWN_MISTAKES)


@pytest.mark.parametrize("name", ["good", "refused", "stopped", "leaks", "few", "odd", "many"])
def test_the_first_screen_fits(tmp_path, good, name):
    browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if not browser:
        pytest.skip("there is no Chromium to show a page with")
    if name == "good":
        run = good[0]
    elif name == "many":
        names = [f"{'n' * 90} {n}" for n in range(80)]
        counts = {"train": 2, "validation": 2}
        run = write_run(tmp_path / name, names, counts, change=spoil)
        screen = report.examine(run)
        assert len(screen.serious) + len(screen.warnings) > report.SHOWN_WARNINGS
    else:
        run = write_run(
            tmp_path / name,
            ODD if name == "odd" else THREE,
            counts={"train": 8, "validation": 5} if name == "few" else None,
            stopped={"refused": NOTEBOOKS[4], "stopped": NOTEBOOKS[2]}.get(name),
            error=("GateError" if name == "refused" else "ValueError", "a long message " * 60),
            change=leak if name == "leaks" else lambda photos: photos,
        )
    page = page_of(run)
    measure = (
        "<script>const box = document.querySelector('.screen').getBoundingClientRect();"
        "document.title = [Math.ceil(box.bottom), document.body.scrollWidth].join(' ');</script>"
    )
    file = tmp_path / "page.html"
    file.write_text(page.replace("</body>", f"{measure}</body>"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"]
    command = [browser, *options, "--dump-dom", file.as_uri()]
    dumped = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    height, width = map(int, re.search(r"<title>(\d+) (\d+)</title>", dumped).groups())
    assert height <= 900 and width <= 1280

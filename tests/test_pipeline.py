"""Tests of dermaface.pipeline: parameters, and runs on a small sample set."""

import contextlib
import io
import json
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time

import awkward
import clothing
from dermaface import cli, pipeline, runs
from dermaface.model import hub
from dermaface.photos import images, sample
from dermaface.photos.splits import SPLITS
from dermaface.runs import NOTEBOOKS, Run
import nbformat
import numpy as np
import pandas as pd
import papermill
from PIL import Image
import psutil
import pytest

QUICK = {
    "sample_images_per_class": 12,
    "validation_size": 0.2,
    "test_size": 0.2,
    "split_seed": 1,  # leaves no class of twelve pictures empty in a split
    "epochs": 2,
    "fine_tune_epochs": 1,
    "full_epochs": 1,
    "calibration_images": 20,
}


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Return parameters of a quick run, on a small TensorFlow Hub module in a local folder."""
    from dermaface.quiet_tensorflow import keras

    pixels = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(pixels)
    for filters in (8, 16):
        x = keras.layers.Conv2D(filters, 3, strides=2, activation="relu")(x)
    network = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(x))
    module = hub.save_module(network, str(tmp_path_factory.mktemp("hub") / "module"))
    return QUICK | {"backbone": module, "image_size": 32}


@pytest.fixture(scope="module")
def quick_run(quick, tmp_path_factory):
    """Run the command on a small sample set and return the finished run and its output.

    The folder has a space and an umlaut in its name, and the home folder cannot be written to.
    """
    folder = tmp_path_factory.mktemp("läufe with space")
    arguments = ["run", "--output-dir", str(folder), "--run-name", "quick"]
    for name, value in quick.items():
        arguments += ["-p", name, str(value)]
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setenv("HOME", "/proc/nowhere")
        status = cli.main(arguments)
    assert status == 0
    return Run(folder / "quick"), printed.getvalue()


def test_every_file_of_the_contract_is_written(quick_run):
    run, _ = quick_run
    variants = ["float32", "float16", "dynamic", "int8", "int8_weights"]
    for name in (
        *("run.json", "images.csv", "labels.txt", "model_untrained.keras", "model.keras"),
        *("history.csv", "predictions.csv", "metrics.json", "conversion.csv", "report.html"),
        *(f"tflite/{variant}.tflite" for variant in variants),
        *("release/model.tflite", "release/labels.txt", "release/model.json"),
        *("release/MODEL_CARD.md", "release/golden/expected.json"),
        *(f"notebooks/{notebook}.ipynb" for notebook in NOTEBOOKS),
    ):
        assert run.path(name).stat().st_size > 0, name
    leftovers = [p for p in run.folder.rglob(".*")]
    assert not leftovers


def test_tables_have_the_columns_of_the_contract(quick_run):
    run, _ = quick_run
    columns = {name: list(pd.read_csv(run.path(name))) for name in (
        "images.csv", "history.csv", "predictions.csv", "conversion.csv")}  # fmt: skip
    assert columns["images.csv"][:11] == (
        "path,label,split,group,width,height,format,orientation,sha256,status,reason".split(",")
    )
    assert columns["history.csv"] == (
        "stage,epoch,loss,accuracy,val_loss,val_accuracy,learning_rate".split(",")
    )
    assert list(pd.read_csv(run.path("history.csv"))["stage"]) == (
        ["head", "head", "fine_tune", "full"]
    )
    assert columns["predictions.csv"][:6] == (
        ["path", "split", "label", "predicted", "picture", "group"]
    )
    assert len(columns["predictions.csv"]) == 6 + 11
    assert set(
        "variant,split,bytes,accuracy,accuracy_drop,agreement,max_abs_diff,latency_ms,passed".split(
            ","
        )
    ) <= set(columns["conversion.csv"])


def test_images_csv_is_relative_and_covers_every_split(quick_run):
    run, _ = quick_run
    table = pd.read_csv(run.path("images.csv"))
    # Each class has one file with a defect besides; those that cannot be read are in no split.
    assert len(table) == 11 * 13 and set(table["split"].dropna()) == set(SPLITS)
    assert all((run.data_root / path).is_file() for path in table["path"])
    assert run.class_names == sorted(set(table["label"]))


def test_metrics_and_run_json(quick_run):
    run, _ = quick_run
    metrics = json.loads(run.path("metrics.json").read_text())
    assert set(metrics) == {"validation", "test"}
    assert {"accuracy", "accuracy_interval", "macro_f1", "log_loss", "classes"} <= set(
        metrics["test"]
    )
    noted = run.read()
    assert noted["data"]["sample"] and len(noted["data"]["fingerprint"]) == 64
    assert set(noted["notebooks"]) == set(NOTEBOOKS)
    assert noted["notebooks"]["03_train_model"]["parameters"]["epochs"] == 2
    assert all(part["seconds"] > 0 for part in noted["notebooks"].values())


def test_the_command_prints_progress_the_table_and_the_notice(quick_run):
    run, printed = quick_run
    for number, notebook in enumerate(NOTEBOOKS, start=1):
        assert f"[{number}/5] {notebook}" in printed
    for word in ("variant", "agreement", "int8", "<- released", str(run.path("release")), "drawn"):
        assert word in printed


def test_the_report_opens_with_the_figures_of_the_released_file(quick_run):
    run, _ = quick_run
    page = run.path("report.html").read_text(encoding="utf-8")
    released = json.loads(run.path("release/model.json").read_text(encoding="utf-8"))
    figures = released["scores"]["test"]
    right = round(figures["accuracy"] * figures["images"])
    first, notebooks = page.split('<nav id="contents">')
    assert "Do not ship yet" in first and sample.NOTICE in first
    assert f"{100 * figures['accuracy']:.1f} %</b>" in first
    assert f"; {right} of {figures['images']} test photos" in first
    assert f"{released['bytes'] / 1000:,.0f} KB" in first
    for notebook in NOTEBOOKS:
        assert f'<a href="#{notebook}-1">' in notebooks and f' id="{notebook}-1">' in notebooks
    assert len(page) < 3_000_000


def test_the_page_of_the_clothing_run_says_what_the_report_says(quick_run, tmp_path):
    run, _ = quick_run
    screen = clothing.write_page(run, tmp_path / "docs")
    page = (tmp_path / "docs" / "README.md").read_text(encoding="utf-8")
    for text in (screen.verdict, *screen.serious, screen.on_curves, *screen.tiles[0]):
        assert text in page
    pictures = {file.name for file in (tmp_path / "docs").glob("*.jpg")}
    assert pictures == {f"{n}.jpg" for n in ("answers", "curves", "confusions", "mistakes")}
    assert all(f'{name}"' in page or f"]({name})" in page for name in pictures)


def test_a_folder_full_of_awkward_files_goes_through(quick, tmp_path):
    awkward.write_folder(tmp_path / "data")
    drawn = sample.write_sample(tmp_path / "drawn", 14, defects=False)
    for theirs, ours in {"acne": "cats", "wrinkles": "dogs"}.items():
        for file in (drawn / theirs).iterdir():
            shutil.copy(file, tmp_path / "data" / ours)
    given = quick | {"data": str(tmp_path / "data"), "output_dir": str(tmp_path), "split_seed": 1}
    run = runs.open_run("awkward", tmp_path)
    parameters = pipeline.assign_parameters(given | {"run_name": "awkward"})[NOTEBOOKS[0]]
    with pipeline._start_kernel() as kernel:
        pipeline._run_notebook(run, NOTEBOOKS[0], parameters, kernel)
    table = pd.read_csv(run.path("images.csv"), keep_default_na=False)
    assert len(table) == 2 * (len(awkward.KEPT) + len(awkward.EXCLUDED) + 14)
    assert (table["status"] == "excluded").sum() == 2 * len(awkward.EXCLUDED)
    # All kept awkward files show one picture, so they are copies and lie in one split.
    copies = table[table["copies"] != ""]
    assert len(copies) > len(awkward.KEPT)
    assert copies.groupby("copies")["split"].nunique().max() == 1
    # The other notebooks read all that is kept in this way.
    from dermaface.training import datasets

    kept = images.read_images(run, *SPLITS)
    order = datasets.Order(8)
    batches = datasets.make_dataset(kept, run.data_root, run.class_names, 32, order)
    pixels = np.concatenate([batch for batch, _ in batches.as_numpy_iterator()])
    assert len(pixels) == 2 * (len(awkward.KEPT) + 14) and np.isfinite(pixels).all()


def test_a_home_folder_that_cannot_be_written_to_leaves_no_chatter(quick_run):
    run, _ = quick_run
    for notebook in NOTEBOOKS:
        executed = nbformat.read(run.path(f"notebooks/{notebook}.ipynb"), as_version=4)
        for cell in executed.cells:
            for output in cell.get("outputs", []):
                assert output.get("name") != "stderr", output["text"]


def write_notebook(path, code):
    """Write a notebook with a parameters cell and one more cell."""
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("run_name: str = ''", metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell(code),
        ],
        metadata={"kernelspec": {"name": "python3", "language": "python", "display_name": ""}},
    )
    nbformat.write(notebook, path)


def test_a_kernel_that_dies_is_reported_in_one_paragraph_with_its_last_words(
    tmp_path, monkeypatch, capfd
):
    write_notebook(
        tmp_path / "dies.ipynb",
        "import os, sys\nprint('from Python', file=sys.stderr)\n"
        "os.write(2, b'terminate called: no room for the tensor\\n')\nos.abort()",
    )
    monkeypatch.setattr(pipeline, "notebook_path", lambda name: tmp_path / "dies.ipynb")
    (tmp_path / "run").mkdir()
    run = Run(tmp_path / "run")
    with (
        pipeline._start_kernel() as kernel,
        pytest.raises(pipeline.PipelineError, match="its kernel died") as caught,
    ):
        pipeline._run_notebook(run, NOTEBOOKS[2], {"run_name": "run"}, kernel)
    for word in (NOTEBOOKS[2], "memory", "smaller batch_size", str(tmp_path / "run")):
        assert word in str(caught.value)
    last = ["Its last words:", "from Python", "terminate called: no room for the tensor"]
    assert str(caught.value).splitlines()[-3:] == last
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "run" / "notebooks" / f"{NOTEBOOKS[2]}.ipynb").is_file()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs POSIX signals")
def test_a_terminated_run_shuts_its_kernel_down(tmp_path):
    pid = tmp_path / "pid"
    write_notebook(
        tmp_path / "waits.ipynb",
        "import os, pathlib, time\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(os.getpid()) + '.')\ntime.sleep(100)",
    )
    code = (
        "import sys\nfrom pathlib import Path\nfrom dermaface import cli, pipeline, runs\n"
        f"pipeline.notebook_path = lambda name: Path({str(tmp_path)!r}) / 'waits.ipynb'\n"
        f"run = runs.open_run('run', {str(tmp_path)!r})\n"
        "def wait(*_, **__):\n    with pipeline._start_kernel() as kernel:\n"
        "        pipeline._run_notebook(run, 'waits', {}, kernel)\n"
        "pipeline.run = wait\n"
        "sys.exit(cli.main(['run']))"
    )
    process = psutil.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (pid.is_file() and pid.read_text().endswith(".")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert said == "dermaface: interrupted. To continue a run, repeat the command with --resume.\n"
    assert not psutil.pid_exists(int(pid.read_text()[:-1]))


def test_a_run_killed_in_training_is_resumed_and_ends_with_the_same_weights(
    quick, quick_run, tmp_path, monkeypatch
):
    from dermaface.model import build

    undisturbed, _ = quick_run
    arguments = ["run", "--output-dir", str(tmp_path), "--run-name", "killed"]
    for name, value in quick.items():
        arguments += ["-p", name, str(value)]
    process = psutil.Popen([sys.executable, "-m", "dermaface", *arguments])
    state = tmp_path / "killed" / "checkpoints" / "head.npz"
    deadline = time.monotonic() + 300
    while not state.is_file() and process.is_running() and time.monotonic() < deadline:
        time.sleep(0.01)
    for victim in (process, *process.children(recursive=True)):
        victim.kill()
    process.wait()
    assert state.is_file() and not (tmp_path / "killed" / "model.keras").exists()
    (tmp_path / "killed" / "scratch.csv").write_text("of an earlier run")
    (tmp_path / "killed" / f"{runs.TEMPORARY_PREFIX}left" / "half").mkdir(parents=True)

    run_notebook = pipeline._run_notebook

    def only_training(run, notebook, *rest):
        if notebook == NOTEBOOKS[0]:  # Another test runs it again.
            return 0.0
        if notebook == NOTEBOOKS[3]:
            raise KeyboardInterrupt
        return run_notebook(run, notebook, *rest)

    monkeypatch.setattr(pipeline, "_run_notebook", only_training)
    assert cli.main([*arguments, "--resume"]) == 130
    run = Run(tmp_path / "killed")
    assert run.path("history.csv").read_bytes() == undisturbed.path("history.csv").read_bytes()
    weights = [
        build.load_model(r.path("model.keras")).get_weights() for r in (run, undisturbed)
    ]  # fmt: skip
    for resumed, expected in zip(*weights, strict=True):
        np.testing.assert_array_equal(resumed, expected)
    assert not list(run.folder.rglob(".*")) and not run.path("checkpoints").exists()
    # A TensorFlow Hub module is never trained from random numbers.
    assert not run.path("scratch.csv").exists()


def test_what_progress_bars_say_reaches_the_terminal():
    said = []
    progress = pipeline.Progress(said.append, "[3/5] ")
    progress.write("\rcomputing features:  20 % of 100 pictures, 01:10 left")
    progress.write("a warning\n")
    progress.flush()
    assert said == ["[3/5] computing features:  20 % of 100 pictures, 01:10 left"]


def test_the_gate_fails_a_run_whose_file_does_not_answer_like_the_model(quick, quick_run, tmp_path):
    run, _ = quick_run
    copy = Run(tmp_path / "broken")
    shutil.copytree(run.folder, copy.folder)
    # Swapped labels: the file answers for other classes than the model did.
    columns = {"p_acne": "p_vitiligo", "p_vitiligo": "p_acne"}
    table = pd.read_csv(copy.path("predictions.csv")).rename(columns=columns)
    table["predicted"] = table["predicted"].map(lambda name: "acne" if name != "acne" else "milia")
    table.to_csv(copy.path("predictions.csv"), index=False)
    parameters = pipeline.assign_parameters(
        quick | {"run_name": "broken", "output_dir": str(tmp_path)}
    )
    with (
        pipeline._start_kernel() as kernel,
        pytest.raises(pipeline.PipelineError, match="Nothing is released") as caught,
    ):
        pipeline._run_notebook(copy, NOTEBOOKS[4], parameters[NOTEBOOKS[4]], kernel)
    assert not copy.path("release").exists()
    assert "int8 loses" in str(caught.value)


def test_resume_runs_only_what_changed_and_a_refused_run_has_a_report(quick, quick_run):
    run, _ = quick_run  # Without a release from here on.
    given = quick | {"run_name": run.name, "output_dir": str(run.folder.parent), "max_bytes": 1000}
    said, before = [], run.path("model.keras").read_bytes()
    with pytest.raises(pipeline.PipelineError, match="Nothing is released"):
        pipeline.run(given, resume=True, say=said.append)
    assert [line.endswith("not run again") for line in said] == [False, True, True, True]
    assert run.path("model.keras").read_bytes() == before
    first = run.path("report.html").read_text(encoding="utf-8").split('<nav id="contents">')[0]
    assert "Do not ship: the gate refused every file" in first and "Missing: release/" in first
    assert "Accuracy of the trained model" in first and "not released" in first


def test_papermill_by_hand_from_another_folder(quick_run, tmp_path, monkeypatch):
    run, _ = quick_run
    monkeypatch.chdir(tmp_path)
    papermill.execute_notebook(
        pipeline.notebook_path(NOTEBOOKS[3]),
        "out.ipynb",
        {"run_name": run.name, "output_dir": str(run.folder.parent), "num_mistakes": 2},
        progress_bar=False,
    )
    assert run.parameters(NOTEBOOKS[3])["num_mistakes"] == 2


def fail(capsys, *arguments):
    """Run the command, expect status 1 and one paragraph, and return the paragraph."""
    assert cli.main(list(arguments)) == 1
    message = capsys.readouterr().err
    assert message.startswith("dermaface: ") and "Traceback" not in message
    return message


def test_an_existing_run_of_photos_is_refused(tmp_path, capsys):
    run = runs.open_run("mine", tmp_path)
    run.update(data={"root": str(tmp_path), "sample": False})
    message = fail(capsys, "run", "--output-dir", str(tmp_path), "--run-name", "mine")
    assert "already exists" in message and "--resume" in message
    assert [p.name for p in run.folder.iterdir()] == ["run.json"]


@pytest.mark.slow
def test_a_run_of_the_sample_that_stopped_early_is_replaced(tmp_path, monkeypatch, capsys):
    out = ["run", "--output-dir", str(tmp_path), "--run-name", "demo"]
    message = fail(
        capsys, *out, "-p", "sample_images_per_class", "2", "-p", "validation_size", "0.9"
    )
    assert "leave something" in message
    assert (tmp_path / "demo" / "sample").is_dir() and (tmp_path / "demo/report.html").is_file()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "_run_notebook", stop)
    assert cli.main(out) == 130
    assert not (tmp_path / "demo" / "report.html").exists()


def test_a_folder_that_is_not_a_run_is_refused(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    assert "already exists" in fail(
        capsys, "run", "--output-dir", str(tmp_path), "--run-name", "mine"
    )
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("noted", [None, "{", "[]", '{"run_name": "of another program"}'])
def test_resume_touches_nothing_in_a_folder_that_is_not_a_run(tmp_path, monkeypatch, capsys, noted):
    monkeypatch.setattr(pipeline, "_run_notebook", None)
    mine = tmp_path / "mine"
    for name in (".git", ".ssh", "photos"):
        (mine / name).mkdir(parents=True)
        (mine / name / "config").write_text("years of work")
    if noted is not None:
        (mine / "run.json").write_text(noted)
    before = {path: path.stat().st_mtime_ns for path in [mine, *mine.rglob("*")]}
    message = fail(capsys, "run", "--output-dir", str(tmp_path), "--run-name", "mine", "--resume")
    assert "is not a run" in message and str(mine) in message
    assert {path: path.stat().st_mtime_ns for path in [mine, *mine.rglob("*")]} == before


def test_a_run_stopped_before_its_first_notebook_can_be_resumed(tmp_path, monkeypatch):
    def stop(run, *_):
        assert run.is_run
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "_run_notebook", stop)
    (tmp_path / "demo" / f"{runs.TEMPORARY_PREFIX}left").mkdir(parents=True)
    for more in ([], ["--resume"]):
        assert cli.main(["run", "--output-dir", str(tmp_path), *more]) == 130
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["run.json"]


def test_resume_needs_a_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pipeline, "_run_notebook", None)
    message = fail(capsys, "run", "--output-dir", str(tmp_path), "--run-name", "new", "--resume")
    assert "There is no run in" in message and not list(tmp_path.iterdir())


@pytest.mark.parametrize("stopped", [True, False])
def test_resume_with_other_photos_touches_nothing(tmp_path, monkeypatch, capsys, stopped):
    monkeypatch.setattr(pipeline, "_run_notebook", None)
    run, photos = runs.open_run("mine", tmp_path), str(tmp_path / "photos")
    part = {"parameters": {"data": photos}}
    noted = {"asked_for": photos} if stopped else {}
    parts = {} if stopped else {NOTEBOOKS[0]: part}
    run.update(run_name="mine", notebooks=parts, **noted)
    before = run.path("run.json").read_text()
    message = fail(capsys, "run", "--output-dir", str(tmp_path), "--run-name", "mine", "--resume")
    assert photos in message and "the sample set" in message and "--data" in message
    assert run.path("run.json").read_text() == before and len(list(run.folder.iterdir())) == 1


def test_a_sample_run_is_replaced_but_not_what_others_put_there(tmp_path, monkeypatch):
    run = runs.open_run("demo", tmp_path)
    run.update(run_name="demo", data={"sample": True}, notebooks={})
    mine = ("settings.yaml", "notebooks/mine.ipynb", "notes.txt")
    for name in (*mine, "model.keras", f"notebooks/{NOTEBOOKS[0]}.ipynb"):
        runs.write_text(run.path(name), "x")

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "_run_notebook", stop)
    assert cli.main(["run", "--output-dir", str(tmp_path)]) == 130
    left = {p.relative_to(run.folder).as_posix() for p in run.folder.rglob("*") if p.is_file()}
    assert left == {*mine, "run.json"}


@pytest.mark.parametrize(
    "noted",
    [
        {"run_name": "weird", "notebooks": {}, "data": None},
        {"run_name": "weird", "notebooks": {NOTEBOOKS[0]: {"parameters": {}}}},
        {"run_name": "weird", "notebooks": {NOTEBOOKS[0]: None}},
    ],
)
def test_a_run_json_of_something_else_is_refused(tmp_path, capsys, noted):
    (tmp_path / "weird").mkdir()
    (tmp_path / "weird" / "run.json").write_text(json.dumps(noted))
    message = fail(capsys, "run", "--output-dir", str(tmp_path), "--run-name", "weird")
    assert "already exists" in message


def test_an_earlier_report_does_not_outlive_the_start_of_a_run(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "_run_notebook", stop)
    run = runs.open_run("mine", tmp_path)
    run.update(run_name="mine", notebooks={}, asked_for="")
    run.path("report.html").write_text("Ship")
    assert cli.main(["run", "--output-dir", str(tmp_path), "--run-name", "mine", "--resume"]) == 130
    assert [path.name for path in run.folder.iterdir()] == ["run.json"]


def test_what_would_stop_a_notebook_stops_the_command(tmp_path, capsys):
    out = ["run", "--output-dir", str(tmp_path / "out")]
    assert "no weights file '/no" in fail(capsys, *out, "-p", "weights", "/nowhere.h5")
    (tmp_path / "photos" / "a").mkdir(parents=True)
    Image.new("RGB", (20, 20)).save(tmp_path / "photos" / "a" / "a.png")
    among = ["run", "--data", str(tmp_path / "photos"), "--output-dir", str(tmp_path / "photos")]
    assert "would lie among the photos" in fail(capsys, *among)
    given = [*out, "--data", str(tmp_path / "photos")]
    assert "no list of photos" in fail(capsys, *given, "-p", "previous", "nowhere")
    said = fail(capsys, *given, "-p", "groups", "nowhere.csv")
    assert "nowhere.csv cannot be read: No such file" in said
    assert "There is no folder" in fail(capsys, *out, "-p", "strangers", "nowhere")
    said = fail(capsys, *out, "-p", "compare_with", "earlier")
    assert "There is no finished run 'earlier'" in said and "images.csv is missing" in said
    assert "'training_seeds' must be a number from 0" in fail(
        capsys, *out, "-p", "training_seeds", "[1, -2]"
    )
    for empty in ("", "~"):
        (tmp_path / "p.yaml").write_text(f"data: {empty}\n")
        assert "data is empty in" in fail(capsys, *out, "-f", str(tmp_path / "p.yaml"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.yaml", "photos"]


def test_known_words_are_those_of_the_package():
    from dermaface.tflite import convert
    from dermaface.training import stages

    known = dict(pipeline.CHOICES)
    assert known.pop("optimizer") == stages.OPTIMIZERS
    assert known.pop("variant_preference") == convert.VARIANTS
    assert set(known.values()) == {stages.SCHEDULES} and len(known) == 3


@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_a_second_run_in_the_same_folder_is_refused(tmp_path, monkeypatch, capsys, resume):
    run = runs.open_run("demo", tmp_path)
    run.update(run_name="demo", data={"sample": True}, notebooks={})
    run.path("images.csv").write_text("of the first run")
    monkeypatch.setattr(pipeline, "_run_notebook", None)
    with run.lock():
        message = fail(capsys, "run", "--output-dir", str(tmp_path), *resume)
    assert "Another dermaface run is using this folder" in message
    assert run.path("images.csv").read_text() == "of the first run"


@pytest.mark.slow
def test_bad_photos_stop_the_run_with_one_paragraph_and_leave_the_traceback(tmp_path, capsys):
    (tmp_path / "photos" / "only").mkdir(parents=True)
    Image.new("RGB", (20, 20)).save(tmp_path / "photos" / "only" / "a.png")
    message = fail(
        capsys, "run", "--data", str(tmp_path / "photos"), "--output-dir", str(tmp_path / "out")
    )
    assert "01_explore_data stopped" in message and "at least two classes" in message
    executed = nbformat.read(tmp_path / "out/photos/notebooks/01_explore_data.ipynb", as_version=4)
    errors = [o for c in executed.cells for o in c.get("outputs", []) if o.output_type == "error"]
    assert errors and "at least two classes" in errors[0]["evalue"]
    page = (tmp_path / "out/photos/report.html").read_text(encoding="utf-8")
    assert "the run stopped in notebook 01_explore_data" in page


@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_a_missing_or_empty_folder_makes_no_run_folder(tmp_path, capsys, kind):
    if kind == "empty":
        (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    message = fail(capsys, "run", "--data", str(tmp_path / kind), "--output-dir", str(out))
    assert str(tmp_path / kind) in message
    assert not out.exists()


def test_an_unknown_backbone_stops_before_the_first_notebook(tmp_path, capsys):
    message = fail(capsys, "run", "--output-dir", str(tmp_path), "-p", "backbone", "mobilnet_v2")
    assert "Did you mean 'mobilenet_v2'" in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epoch": "3"}, "no parameter 'epoch'. Did you mean 'epochs'"),
        ({"epochs": "many"}, "'epochs' must be of type int; got 'many'"),
        ({"epochs": "2.5"}, "must be of type int"),
        ({"use_class_weights": "3"}, "must be of type bool"),
        ({"epochs": "1:30"}, "'epochs' must be of type int; got '1:30'"),
        ({"image_size": "[1"}, "'image_size' must be of type int; got '\\[1'"),
        ({"dense_units": "[1"}, "'dense_units' must be of type list; got '\\[1'"),
        ({"dense_units": "[64, wide]"}, "'dense_units' must be of type int; got 'wide'"),
        ({"data": ["a", "b"]}, "'data' must be of type str"),
        ({"optimizer": "adam"}, "'optimizer' takes adamw, sgd; got 'adam'"),
        ({"variant_preference": "[int8, flaot32]"}, "'variant_preference' takes .*'flaot32'"),
        ({"learning_rate": ".nan"}, "'learning_rate' must be of type float"),
        ({"epochs": "-1"}, "'epochs' must be a number of at least 0; got -1"),
        ({"image_size": "0"}, "'image_size' must be a number of at least 1; got 0"),
        ({"dense_units": "[64, 0]"}, "'dense_units' must be a number of at least 1; got 0"),
        ({"min_confidence": "2"}, "'min_confidence' must be a number from 0 to 1; got 2"),
        ({"seed": "4294967296"}, "'seed' must be a number from 0 to 4294967295"),
    ],
)
def test_wrong_parameters_are_named(given, message):
    with pytest.raises(pipeline.PipelineError, match=message):
        pipeline.assign_parameters(given)


def test_values_take_their_parameters_type():
    assigned = pipeline.assign_parameters(
        {
            "learning_rate": "1e-3",
            "fine_tune_learning_rate": 1,
            "dense_units": "[64, 32]",
            "use_class_weights": "true",
            "run_name": 7,
            "variant_preference": "[float16]",
        }
    )
    training = assigned["03_train_model"]
    assert training["learning_rate"] == 0.001
    assert training["fine_tune_learning_rate"] == 1.0
    assert training["use_class_weights"] is True
    assert assigned["02_build_model"]["dense_units"] == [64, 32]
    assert assigned["05_convert_and_test_tflite"]["variant_preference"] == ["float16"]
    assert {parameters["run_name"] for parameters in assigned.values()} == {"7"}


def numeric_parameters():
    """Return the names of the parameters that are numbers."""
    return sorted(
        name
        for parameters in pipeline.known_parameters().values()
        for name, (type_name, _) in parameters.items()
        if type_name in ("int", "float") or name in pipeline.LISTS_OF_NUMBERS
    )


def test_every_number_has_one_range():
    ranged = [name for _, _, names in pipeline.RANGES for name in names]
    assert len(ranged) == len(set(ranged)) and set(ranged) == set(numeric_parameters())


@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_no_number_may_be_infinite_negative_or_none(value):
    for name in numeric_parameters():
        with pytest.raises(pipeline.PipelineError, match=f"Parameter '{name}' must be"):
            pipeline.assign_parameters({name: value})


def test_a_number_is_read_as_people_write_it(tmp_path):
    (tmp_path / "p.yaml").write_text("epochs: 010\nlearning_rate: 1e-3\nrun_name: 010\n")
    values = pipeline.read_parameters(tmp_path / "p.yaml")
    assert values == {"epochs": 10, "learning_rate": 0.001, "run_name": "010"}
    assert pipeline.assign_parameters({"epochs": "010"})["03_train_model"]["epochs"] == 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("epochs: 1:30\n", "'epochs' must be of type int; got '1:30'"),
        ("epochs: 3\nseed: 1\nepochs: 4\n", "gives 'epochs' 2 times"),
        ("learning_rate: .nan\n", "'learning_rate' must be of type float"),
        ("3: 4\n", "no parameter '3'"),
    ],
)
def test_a_parameter_file_with_a_mistake(tmp_path, content, message):
    (tmp_path / "p.yaml").write_text(content)
    with pytest.raises(pipeline.PipelineError, match=message):
        pipeline.read_parameters(tmp_path / "p.yaml")


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [", "a: \udcff", None])
def test_a_parameter_file_that_cannot_be_read(tmp_path, content, capsys):
    file = tmp_path / "p.yaml"
    if content is not None:
        file.write_text(content, encoding="utf-8", errors="surrogateescape")
    assert str(file) in fail(capsys, "run", "-f", str(file), "--output-dir", str(tmp_path / "out"))


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Return a function of command-line options to the parameters that reach the pipeline."""

    def fake_run(given, resume, say):
        seen.append(given)
        raise pipeline.PipelineError("enough")

    def ask(*options):
        assert cli.main(["run", *options]) == 1
        return seen.pop()

    seen = []
    monkeypatch.setattr(pipeline, "run", fake_run)
    monkeypatch.chdir(tmp_path)
    return ask


def test_p_wins_over_f_and_f_over_photos_yaml(tmp_path, ask):
    (tmp_path / "p.yaml").write_text("epochs: 7\nimage_size: 160\n")
    seen = ask("--data", str(tmp_path), "-f", "p.yaml", "-p", "epochs", "9")
    assert seen["backbone"] == "mobilenet_v2"  # from photos.yaml
    assert seen["image_size"] == 160 and seen["epochs"] == "9"
    assert seen["run_name"] == tmp_path.name


def test_data_means_the_same_wherever_it_is_given(tmp_path, ask):
    (tmp_path / "photos.2024").mkdir()
    (tmp_path / "p.yaml").write_text("data: photos.2024\n")
    seen = ask("--data", "photos.2024")
    assert seen["data"] == str(tmp_path / "photos.2024") and seen["run_name"] == "photos.2024"
    assert seen["backbone"] == "mobilenet_v2"
    assert ask("-p", "data", "photos.2024") == seen == ask("-f", "p.yaml")
    assert ask("-p", "data", "") == {"data": ""}  # the sample set


def test_a_run_of_a_csv_file_has_the_files_name_without_its_ending(tmp_path, ask):
    (tmp_path / "labels.2024.csv").write_text("path,label\n")
    assert ask("--data", "labels.2024.csv")["run_name"] == "labels.2024"


def test_known_names_win_over_files_of_that_name(tmp_path, ask):
    for name in ("mobilenet_v2", "hub_mobilenet_v2", "mine", "pretrained", "random", "w.h5"):
        Path(name).mkdir()
    for name in ("mobilenet_v2", "hub_mobilenet_v2"):
        assert ask("-p", "backbone", name)["backbone"] == name
    for name in ("pretrained", "random"):
        assert ask("-p", "weights", name)["weights"] == name
    seen = ask("-p", "backbone", "mine", "-p", "weights", "w.h5")
    assert seen == {"backbone": str(tmp_path / "mine"), "weights": str(tmp_path / "w.h5")}


def test_an_empty_data_option_is_not_the_sample_set(ask, capsys):
    assert "--data is empty" in fail(capsys, "run", "--data", "")

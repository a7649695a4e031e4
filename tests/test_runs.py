"""Tests of dermaface.runs."""

from concurrent.futures import ThreadPoolExecutor
import json
import os
import subprocess
import sys

from dermaface import runs
from dermaface.runs import NOTEBOOKS
import pytest

NAMESPACE = {"__annotations__": {"seed": int, "data": str}, "seed": 3, "data": "", "other": 1}


def test_importing_the_package_is_light_and_silent():
    code = "import sys, dermaface; sys.exit(bool({'tensorflow', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_atomic_path_keeps_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "a.txt"
    runs.write_text(path, "old")
    with pytest.raises(KeyboardInterrupt), runs.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_path_replaces_a_folder(tmp_path):
    for content in ("one", "two"):
        with runs.atomic_path(tmp_path / "release") as folder:
            folder.mkdir()
            (folder / content).write_text(content)
    assert [p.name for p in (tmp_path / "release").iterdir()] == ["two"]


def write_release(folder, content):
    with runs.atomic_path(folder / "release") as temporary:
        temporary.mkdir()
        (temporary / "model.tflite").write_text(content)


def test_a_folder_that_cannot_be_replaced_keeps_its_place(tmp_path, monkeypatch):
    write_release(tmp_path, "old")

    def refuse(source, target):
        raise PermissionError("the new folder may not get its name")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(PermissionError):
            write_release(tmp_path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["release"]
    assert (tmp_path / "release" / "model.tflite").read_text() == "old"


def test_a_folder_whose_replacement_was_killed_half_way_gets_its_place_back(tmp_path):
    code = (
        "import os\nfrom pathlib import Path\nfrom dermaface import runs\n"
        "os.replace = lambda *paths: os._exit(9)\n"
        f"with runs.atomic_path(Path({str(tmp_path / 'release')!r})) as folder: folder.mkdir()"
    )
    write_release(tmp_path, "old")
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    assert not (tmp_path / "release").exists()
    runs.clear_leftovers(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["release"]
    assert (tmp_path / "release" / "model.tflite").read_text() == "old"


def test_only_leftovers_of_our_own_are_cleared(tmp_path):
    for name in (".git", ".ssh", f"{runs.TEMPORARY_PREFIX}a1b2"):
        (tmp_path / name / "inside").mkdir(parents=True)
    runs.clear_leftovers(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".git", ".ssh"]


def test_updates_at_the_same_time_lose_nothing(tmp_path):
    run = runs.open_run("a", tmp_path)
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda n: run.update(**{f"fact_{n}": n}), range(30)))
    assert run.read() == {f"fact_{n}": n for n in range(30)}
    assert [p.name for p in run.folder.iterdir()] == ["run.json"]


def test_a_locked_run_is_refused_until_it_is_free(tmp_path):
    run = runs.open_run("a", tmp_path)
    with run.lock():
        run.update(written="while the run is locked")
        told = r"Another dermaface run is using this folder: .*a"
        with pytest.raises(ValueError, match=told), run.lock():
            pass
    with run.lock():
        pass
    assert [p.name for p in run.folder.iterdir()] == ["run.json"]


def test_the_lock_of_a_killed_process_does_not_last(tmp_path):
    run = runs.open_run("a", tmp_path)
    code = (
        "import os\nfrom dermaface import runs\n"
        f"with runs.open_run('a', {str(tmp_path)!r}).lock(): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    assert run.is_empty
    with run.lock():
        pass
    assert not list(run.folder.iterdir())


def test_output_dir_is_resolved_from_the_project_root(monkeypatch, tmp_path):
    monkeypatch.delenv("DERMAFACE_OUTPUT_ROOT")
    monkeypatch.chdir(tmp_path)
    assert runs.run_folder("a", "outputs") == runs.project_root() / "outputs" / "a"
    assert runs.run_folder("a", tmp_path) == tmp_path / "a"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\\b"])
def test_run_name_must_be_a_plain_folder_name(name):
    with pytest.raises(ValueError, match="plain folder name"):
        runs.run_folder(name)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot be written.*output_dir"):
        runs.open_run("a", tmp_path / "file")


def test_a_full_disk_is_noticed_at_the_start(tmp_path):
    # A limit on the size of files stands in for a full disk.
    if not sys.platform.startswith("linux"):
        pytest.skip("needs Linux's file size limit")
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        f"from dermaface import runs; runs.open_run('a', r'{tmp_path}')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ValueError" in done.stderr and "cannot be written" in done.stderr


def test_a_notebook_run_too_early_says_which_comes_first(tmp_path):
    run = runs.open_run("a", tmp_path)
    with pytest.raises(ValueError, match="Run notebook 01_explore_data first"):
        run.start("02_build_model", NAMESPACE)


def test_start_and_finish_note_parameters_files_and_seconds(tmp_path):
    run = runs.open_run("a", tmp_path)
    run.start("01_explore_data", NAMESPACE)
    assert not run.is_finished("01_explore_data", {"seed": 3, "data": ""})
    run.path("images.csv").write_text("x")
    run.path("labels.txt").write_text("acne\nherpes\n")
    run.finish("01_explore_data")

    noted = json.loads(run.path("run.json").read_text())
    assert noted["run_name"] == "a" and noted["seed"] == 3
    assert {"python", "tensorflow", "dermaface"} <= set(noted["versions"])
    assert noted["notebooks"]["01_explore_data"]["seconds"] >= 0
    assert run.parameters("01_explore_data") == {"seed": 3, "data": ""}
    assert run.class_names == ["acne", "herpes"]
    assert run.is_finished("01_explore_data", {"seed": 3, "data": ""})
    assert not run.is_finished("01_explore_data", {"seed": 4, "data": ""})


def test_a_notebook_is_stale_when_what_it_read_or_wrote_changes(tmp_path):
    run = runs.open_run("a", tmp_path)
    run.path("images.csv").write_text("x")
    run.path("labels.txt").write_text("y")
    run.start("02_build_model", NAMESPACE)
    run.path("model_untrained.keras").write_text("z")
    run.finish("02_build_model")
    parameters = {"seed": 3, "data": ""}
    assert run.is_finished("02_build_model", parameters)
    run.path("labels.txt").write_text("changed")
    assert not run.is_finished("02_build_model", parameters)
    run.path("labels.txt").write_text("y")
    assert run.is_finished("02_build_model", parameters)
    run.path("model_untrained.keras").unlink()
    assert not run.is_finished("02_build_model", parameters)


def test_an_optional_file_may_be_absent_but_its_coming_and_going_is_noticed(tmp_path):
    run = runs.open_run("a", tmp_path)
    needed = ("images.csv", "labels.txt", "model.keras", "model_untrained.keras", "history.csv")
    for name in needed:
        run.path(name).write_text("x")
    analyze, parameters = NOTEBOOKS[3], {"seed": 3, "data": ""}
    run.start(analyze, NAMESPACE)
    for name in runs.WRITES[analyze]:
        run.path(name).write_text("y")
    run.finish(analyze)
    key = run.key(analyze)
    assert run.is_finished(analyze, parameters)
    run.path("scratch.csv").write_text("z")
    assert not run.is_finished(analyze, parameters) and run.key(analyze) != key
    run.start(analyze, NAMESPACE)
    run.finish(analyze)
    assert run.is_finished(analyze, parameters)
    run.path("scratch.csv").unlink()
    assert not run.is_finished(analyze, parameters)


def test_a_notebook_is_stale_when_a_parameter_that_it_takes_from_another_one_changes(tmp_path):
    run = runs.open_run("a", tmp_path)

    def note(notebook, **parameters):
        """Let a notebook run with these parameters while its files are always the same."""
        namespace = {"seed": 3} | parameters
        run.start(notebook, namespace | {"__annotations__": dict.fromkeys(namespace)})
        run.finish(notebook)
        return namespace

    for names in (*runs.READS.values(), *runs.WRITES.values()):
        for name in names:
            run.path(name).write_text("the same")
    build = {"backbone": "tiny", "image_size": 96, "rotation": 0.1, "dense_units": [64]}
    build |= {"horizontal_flip": True, "translation": 0.1, "zoom": 0.1, "contrast": 0.2}
    for changed, stale in {
        "blur_threshold": {NOTEBOOKS[4]}, "rotation": {NOTEBOOKS[2]}, "drop_flagged": set(),
        "backbone": {NOTEBOOKS[2], NOTEBOOKS[4]}, "dense_units": set(),
    }.items():  # fmt: skip
        explore = {"blur_threshold": 4.0, "drop_flagged": False}
        note(NOTEBOOKS[0], **explore)
        note(NOTEBOOKS[1], **build)
        later = {name: note(name, own=1) for name in NOTEBOOKS[2:]}
        key = run.key(NOTEBOOKS[2])
        assert all(run.is_finished(name, given) for name, given in later.items())
        owner, given = (NOTEBOOKS[0], explore) if changed in explore else (NOTEBOOKS[1], build)
        note(owner, **given | {changed: "changed"})
        assert {name for name, own in later.items() if not run.is_finished(name, own)} == stale
        assert (run.key(NOTEBOOKS[2]) != key) == (NOTEBOOKS[2] in stale)

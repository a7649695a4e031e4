"""Plant one fault at a time in a copy of the project and see which test catches it.

    python benchmarks/mutations.py [--only NAME ...] [--list]

A fault that no test notices could slip into the project unseen. The files that git tracks, as they
are now, are copied to a temporary folder, so nothing happens to this checkout. There the tests that
are likely to notice the fault run first; only if they pass, the other unit tests and, last, the
notebooks follow. Prints a Markdown table and ends with status 1 if a fault survives. Stops at once
if the text of a fault is not in its file exactly once, or if the likely tests fail without a fault.
`--list` prints the names that `--only` takes. Takes about half an hour on two processor cores, most
of it for the faults in notebooks, and a few minutes more for each that the likely tests miss.
"""

import argparse
import json
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = Path(__file__).resolve().parents[1]

# The fault in words and its file; the text, and what replaces it; the tests in tests/ that are
# likely to notice, separated by spaces. A fault in a notebook shows when the notebooks run.
NOTEBOOKS = "notebooks test_sample_run.py"
FAULTS = (
    ("split key without label", "dermaface/photos/splits.py",
     'kept["label"] + "/" + kept["sha256"]', 'kept["sha256"]',
     "photos/test_images.py::test_the_split_of_a_photo_is_fixed"),
    ("labels in the order of the photos", "dermaface/photos/images.py",
     'sorted(set(kept["label"]))', 'kept["label"].unique()[::-1]',
     "photos/test_images.py::test_images_csv_round_trip_and_another_folder_is_refused"),
    ("EXIF orientation ignored", "dermaface/photos/pixels.py",
     "_to_rgb(ImageOps.exif_transpose(image))", "_to_rgb(image)",
     "tflite/test_runtime.py::test_photos_are_turned_upright"),
    ("resize without half-pixel centres", "dermaface/photos/pixels.py",
     "(np.arange(new_size, dtype=np.float32) + 0.5) * np.float32(old_size / new_size) - 0.5",
     "np.arange(new_size, dtype=np.float32) * np.float32(old_size / new_size)",
     "tflite/test_runtime.py::test_resize_has_half_pixel_centres_and_no_antialiasing"),
    ("same order in every epoch", "dermaface/training/datasets.py",
     "np.random.default_rng((self.seed, epoch))", "np.random.default_rng(self.seed)",
     "training/test_datasets.py::test_shuffling_changes_the_order_each_epoch_and_repeats_with_the_seed"),
    ("every batch augmented alike", "dermaface/training/datasets.py",
     "1_000_000 * tf.cast(epoch, tf.int64) + number", "1_000_000 * tf.cast(epoch, tf.int64)",
     "training/test_datasets.py::test_every_batch_is_augmented_in_its_own_way"),
    ("scaling by 1/127", "dermaface/model/backbones.py",
     '"-1..1": (1 / 127.5, -1.0)', '"-1..1": (1 / 127, -1.0)',
     "model/test_backbones.py::test_scaling_is_inside_and_the_graph_is_flat"),
    ("BatchNormalization of the backbone learns", "dermaface/model/build.py",
     'in_backbone = position < names.index("pooling")', "in_backbone = False",
     "model/test_build.py::test_only_what_is_set_free_learns_and_batch_normalization_never_moves"),
    ("cache key without augmentation", "dermaface/training/features.py",
     '        "augmentation": augment.keywords if augment else None,\n', "",
     "training/test_features.py::test_whatever_changes_the_features_makes_new_ones"),
    ("views off by one", "dermaface/training/features.py",
     "view = (numbers + epoch) % views", "view = (numbers + epoch + 1) % views",
     "training/test_features.py::test_each_pass_takes_another_view_and_the_first_is_not_augmented"),
    ("best weights not restored", "dermaface/training/stages.py",
     "restore_best_weights=True", "restore_best_weights=False",
     "training/test_stages.py::test_early_stopping_ends_a_stage_and_the_best_weights_are_kept"),
    ("interval of 90 %", "dermaface/evaluation/scores.py",
     "proportion_ci(0.95,", "proportion_ci(0.9,",
     "evaluation/test_evaluation.py::test_accuracy_interval"),
    # The input keeps its range, or the file would be refused for not taking raw bytes.
    ("activation ranges cut to 40 %", "dermaface/tflite/convert.py",
     "return np.stack([low, high], axis=1).astype(np.float32)",
     'cut = np.where(np.arange(len(tensors)) == 0, 1.0, 0.4)\n'
     "    return np.stack([low * cut, high * cut], axis=1).astype(np.float32)",
     "tflite/test_convert.py::test_variants_answer_like_keras"),
    ("calibration on zeros", "dermaface/tflite/convert.py",
     "ranges = measure_ranges(rounded, tensors, calibration)",
     "ranges = measure_ranges(rounded, tensors, np.zeros_like(calibration))",
     "tflite/test_convert.py::test_variants_answer_like_keras"),
    ("gate always open", "dermaface/release/gate.py",
     "return passed", "return passed | True",
     "release/test_release.py::test_the_gate"),
    ("chosen by the test photos", "dermaface/release/gate.py",
     """validation = conversion[conversion["split"] == "validation"].set_index("variant")
    for""", """validation = conversion[conversion["split"] == "test"].set_index("variant")
    for""",
     "release/test_release.py"
     "::test_the_first_preferred_variant_that_passed_on_validation_is_chosen"),
    ("training photos with a held-out copy stay", "dermaface/photos/splits.py",
     "if splits[number] != splits[late]:", "if False:",
     "photos/test_images.py"),
    ("schedule is flat", "dermaface/training/stages.py",
     "lambda epoch: float(cosine(epoch))", "lambda epoch: float(cosine(0))",
     "training/test_stages.py::test_schedules"),
    ("everything but the head stays frozen", "dermaface/model/build.py",
     "position >= names.index(first) and not", 'position >= names.index("pooling") and not',
     "model/test_build.py::test_only_what_is_set_free_learns_and_batch_normalization_never_moves"),
    ("report tells validation figures", "dermaface/report.py",
     'return "test" if "test" in figures else "validation"', 'return "validation"',
     "test_report.py::test_a_good_run_may_ship_and_its_figures_are_those_of_its_files"),
    ("log loss doubled", "dermaface/evaluation/scores.py",
     '"log_loss": float(-np.log(', '"log_loss": float(-2 * np.log(',
     "evaluation/test_evaluation.py::test_score"),
    ("02 scales to 0..1", "notebooks/02_build_model.ipynb",
     "Rescaling(1 / 127.5, offset=-1.0,", "Rescaling(1 / 255, offset=0.0,", NOTEBOOKS),
    ("03 frees only the head in fine-tuning", "notebooks/03_train_model.ipynb",
     'free = position >= names.index(starts["2. fine-tuning"])',
     'free = position >= len(backbone_layers)', NOTEBOOKS),
    ("03 lets BatchNormalization learn", "notebooks/03_train_model.ipynb",
     "layer.trainable = free and layer not in normalizations", "layer.trainable = free",
     NOTEBOOKS),
    ("03 fine-tunes at a constant rate", "notebooks/03_train_model.ipynb",
     "    fine_tune_schedule, fine_tune_learning_rate, fine_tune_epochs,",
     '    "constant", fine_tune_learning_rate, fine_tune_epochs,', NOTEBOOKS),
    ("03 fine-tunes without views", "notebooks/03_train_model.ipynb",
     "devices.check_memory(top, batch_size)",
     "fine_tune_views = devices.check_memory(top, batch_size) or 1", NOTEBOOKS),
    ("04 scores the validation photos as test", "notebooks/04_analyze_curves.ipynb",
     "metrics = {split: scores.score(rows, class_names) for split, rows in by_split}",
     "metrics = {split: scores.score(by_split.get_group('validation'), class_names) "
     "for split, rows in by_split}", NOTEBOOKS),
    ("04 turns the temperature round", "notebooks/04_analyze_curves.ipynb",
     "** (1 / temperature)", "** temperature", NOTEBOOKS),
    ("05 picks a recipe by the test photos", "notebooks/05_convert_and_test_tflite.ipynb",
     "validation, keras_answers = \"split == 'validation'\",",
     "validation, keras_answers = \"split == 'test'\",", NOTEBOOKS),
    ("05 calibrates on zeros", "notebooks/05_convert_and_test_tflite.ipynb",
     "careful = convert.quantize(rounded, calibration[:calibration_images])",
     "careful = convert.quantize(rounded, 0 * calibration[:calibration_images])", NOTEBOOKS),
    ("05 opens the gate", "notebooks/05_convert_and_test_tflite.ipynb",
     "files, keras_answers, held_out_ds, class_names, limits=limits",
     "files, keras_answers, held_out_ds, class_names, "
     'limits={"max_accuracy_drop": 1, "min_agreement": 0}',
     "test_pipeline.py::test_the_gate_fails_a_run_whose_file_does_not_answer_like_the_model"),
    ("06 writes the winner, whatever the intervals say", "notebooks/06_compare_settings.ipynb",
     "chosen = scores.choose_setting(differences)", 'chosen = "winner"', NOTEBOOKS),
)  # fmt: skip


def main() -> None:
    """Print what catches each fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [name for name, *_ in FAULTS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--list", action="store_true", help="print the names and exit")
    options = parser.parse_args()
    if options.list:
        print("\n".join(names))
        return
    try:
        for fault in FAULTS:
            mutate(ROOT, fault)  # all of them, before minutes are spent on any
    except ValueError as error:
        sys.exit(str(error))
    faults = [fault for fault in FAULTS if fault[0] in options.only]
    likely = list(dict.fromkeys(test for fault in faults for test in likely_tests(fault)))
    with tempfile.TemporaryDirectory() as folder:
        failed = run_tests(copy_project(Path(folder)), likely)
    if failed:
        sys.exit(f"Without any fault, {failed} fails. Fix that first.")
    found = {}
    for fault in faults:
        started = time.monotonic()
        found[fault[0]] = find_test(fault)
        caught = found[fault[0]] or "NOTHING"
        print(f"{fault[0]}: {caught} in {time.monotonic() - started:.0f} s", flush=True)
    print("\n| fault | file | caught by |\n|---|---|---|")
    for name, file, *_ in faults:
        print(f"| {name} | `{file}` | {f'`{found[name]}`' if found[name] else '**nothing**'} |")
    caught = sum(map(bool, found.values()))
    print(f"\n{caught} of {len(faults)} caught")
    sys.exit(caught < len(faults))


def mutate(root: Path, fault: tuple) -> str:
    """Return the content of a fault's file with the fault in it.

    Raises:
        ValueError: the text to be replaced is not there exactly once.
    """
    name, file, old, new, _ = fault
    if file.endswith(".ipynb"):  # a line of code, as JSON has it
        old, new = (json.dumps(text, ensure_ascii=False)[1:-1] for text in (old, new))
    content = (root / file).read_text(encoding="utf-8")
    if content.count(old) != 1:
        raise ValueError(
            f"The fault {name!r} replaces {old!r}, which is in {file} {content.count(old)} times "
            "and must be there once. Rewrite the fault."
        )
    return content.replace(old, new)


def likely_tests(fault: tuple) -> list[str]:
    """Return the tests that are likely to notice a fault, as pytest wants them named."""
    return [test if test == "notebooks" else f"tests/{test}" for test in fault[4].split()]


def find_test(fault: tuple) -> str | None:
    """Return the first test that fails with a fault, or None."""
    file, likely = fault[1], likely_tests(fault)
    # The first reads the list of faults, the second what the notebooks have written.
    apart = ("tests/benchmarks/test_mutations.py", "tests/test_sample_run.py")
    others = [f"--ignore={test}" for test in apart] + [f"--deselect={test}" for test in likely]
    with tempfile.TemporaryDirectory() as folder:
        project = copy_project(Path(folder))
        (project / file).write_text(mutate(project, fault), encoding="utf-8")
        return (
            run_tests(project, likely)
            or run_tests(project, ["tests", *others])
            or run_tests(project, ["notebooks", "tests/test_sample_run.py"])
        )


def copy_project(folder: Path) -> Path:
    """Copy the files that git tracks, as they are now, and return their new root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for file in os.fsdecode(listed.stdout).split("\0")[:-1]:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / file)
    return folder


def run_tests(project: Path, arguments: list[str]) -> str | None:
    """Run pytest on a copy until a test fails, and return that test, or None if all pass.

    Raises:
        RuntimeError: pytest could not run the tests.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-rfE", *arguments]
    # The notebooks' kernels inherit the path, so they import the copy, too.
    path = os.pathsep.join([str(project), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        command, cwd=project, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    if done.returncode == 1 and failed:
        return failed[1]
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with status {done.returncode}:\n"
                           f"{done.stdout[-3000:]}{done.stderr[-3000:]}")  # fmt: skip
    return None


if __name__ == "__main__":
    main()

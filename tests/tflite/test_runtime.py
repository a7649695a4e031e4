"""Tests of photos.pixels and tflite.runtime: the pixel rule and the classifier."""

import subprocess
import sys
import threading
import warnings

from conftest import CLASS_NAMES
from dermaface.photos import pixels, sample
from dermaface.photos.pixels import decode_image, find_image_files, load_image, reduction, resize
from dermaface.tflite import file as tflite_file
from dermaface.tflite import runtime
import numpy as np
from PIL import Image
import pytest


def random_image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_resize_has_half_pixel_centres_and_no_antialiasing():
    ramp = np.repeat(np.array([0, 10, 200, 250], np.uint8)[None, :, None], 4, axis=0)
    ramp = np.repeat(ramp, 3, axis=2)
    # The centres of two new pixels lie midway between old pixels 0 and 1, and 2 and 3.
    assert resize(ramp, 2)[0, :, 0].tolist() == [5, 225]
    # With four times as many pixels, the outer ones repeat the edge.
    assert resize(ramp[:, :2], 8)[0, :, 0].tolist() == [0, 0, 1, 4, 6, 9, 10, 10]
    # Without antialiasing a thin line between the sampled places leaves no trace.
    line = np.zeros((9, 9, 3), np.uint8)
    line[:, 0] = 255
    assert resize(line, 3).max() == 0


@pytest.mark.parametrize("shape", [(160, 150), (50, 300), (97, 96), (224, 224), (1, 1)])
def test_resize_equals_tensorflow(shape):
    from dermaface.quiet_tensorflow import tf

    image = random_image(*shape)
    assert resize(image, 96).flags.c_contiguous
    expected = tf.round(tf.image.resize(image, (96, 96))).numpy()
    assert np.abs(resize(image, 96) - expected).max() <= 1


def test_photos_are_turned_upright(tmp_path):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    upright = decode_image(tmp_path / "a.png")
    assert upright.shape == (60, 40, 3)
    assert upright[:30].min() == 255 and upright[30:].max() == 0


@pytest.mark.parametrize(
    ("size", "divisor"), [(200, 1), (383, 1), (384, 2), (767, 2), (768, 4), (1536, 8), (9999, 8)]
)
def test_large_photos_are_decoded_at_reduced_size(size, divisor):
    assert reduction(size, 2 * size, at_least=2 * 96) == divisor


def test_a_reduced_jpeg_is_what_is_decoded(tmp_path):
    Image.fromarray(random_image(800, 1000)).save(tmp_path / "a.jpg")
    assert decode_image(tmp_path / "a.jpg", at_least=192).shape == (200, 250, 3)
    assert decode_image(tmp_path / "a.jpg").shape == (800, 1000, 3)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "1"])
def test_any_mode_becomes_rgb(mode, tmp_path):
    suffix = "tif" if mode == "CMYK" else "png"
    Image.fromarray(random_image(20, 30)).convert(mode).save(tmp_path / f"a.{suffix}")
    assert load_image(tmp_path / f"a.{suffix}", 16).shape == (16, 16, 3)


def test_what_is_not_an_image_is_named(tmp_path):
    Image.fromarray(random_image(90, 90)).save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.jpg").write_text("")
    for name in ("cut.jpg", "text.jpg", "empty.jpg", "missing.jpg", "."):
        with pytest.raises(ValueError, match=name.replace(".", r"\.")):
            load_image(tmp_path / name, 32)


def test_decoding_in_threads_leaves_the_processes_warnings_as_they_were(tmp_path, monkeypatch):
    Image.fromarray(random_image(20, 30)).save(tmp_path / "a.png")
    inside, go_on = ([threading.Event(), threading.Event()] for _ in range(2))

    def wait(image):
        number = int(threading.current_thread().name)
        inside[number].set()
        assert go_on[number].wait(60)
        return np.asarray(image)

    monkeypatch.setattr(pixels, "_to_rgb", wait)
    threads = [
        threading.Thread(target=decode_image, args=(tmp_path / "a.png",), name=str(number))
        for number in range(2)
    ]
    before = list(warnings.filters)
    for thread, event in zip(threads, inside, strict=True):  # the second starts within the first
        thread.start()
        assert event.wait(60)
    for thread, event in zip(threads, go_on, strict=True):  # and ends after it
        event.set()
        thread.join()
    assert warnings.filters == before


def test_large_photos_are_decoded_without_a_warning(tmp_path):
    Image.fromarray(random_image(20, 30)).save(tmp_path / "a.png")
    code = (
        "import warnings\nfrom dermaface.tflite import file\nfrom PIL import Image\n"
        "before = list(warnings.filters)\nfrom dermaface.photos import pixels\n"
        "Image.MAX_IMAGE_PIXELS = 500\n"
        f"assert pixels.decode_image({str(tmp_path / 'a.png')!r}).shape == (20, 30, 3)\n"
        "added = [f for f in warnings.filters if f not in before]\n"
        "assert [f[2] for f in added] == [Image.DecompressionBombWarning], added"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_image_files_are_found_sorted_and_hidden_ones_passed_over(tmp_path):
    for name in ("b.JPG", "a.png", "notes.txt", ".c.jpg", "sub/d.webp", ".hidden/e.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = [p.relative_to(tmp_path).as_posix() for p in find_image_files(tmp_path)]
    assert found == ["a.png", "b.JPG", "sub/d.webp"]


def test_classifier_reads_its_labels_from_the_file(labelled_file, sample_folder):
    classifier = runtime.Classifier(labelled_file)
    assert classifier.labels == CLASS_NAMES
    assert classifier.image_size == 96
    assert classifier.notice == sample.NOTICE
    file = sample_folder / "acne" / "acne_0000.jpg"
    answer = classifier.predict(file, top=2)
    probabilities = classifier.predict_pixels(load_image(file, 96))
    assert len(answer) == 2 and answer[0][1] >= answer[1][1]
    assert answer[0] == (CLASS_NAMES[probabilities.argmax()], float(probabilities.max()))
    assert classifier.predict(decode_image(file), top=2) == answer


def test_classifier_refuses_an_array_that_is_not_pixels(labelled_file):
    classifier = runtime.Classifier(labelled_file)
    for array in (np.zeros((96, 96, 3)), np.zeros((96, 96), np.uint8)):
        with pytest.raises(ValueError, match="uint8 of shape"):
            classifier.predict(array)


def test_classifier_refuses_a_file_without_labels_or_with_too_few(tmp_path, tflite_files):
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_files["float32"])
    with pytest.raises(ValueError, match=r"carries no labels.*labels="):
        runtime.Classifier(path)
    assert runtime.Classifier(path, labels=CLASS_NAMES).labels == CLASS_NAMES
    path.write_bytes(tflite_file.embed(tflite_files["float32"], CLASS_NAMES[:3], {}))
    with pytest.raises(ValueError, match="4 probabilities, but there are 3 labels"):
        runtime.Classifier(path)


def test_classifier_refuses_what_is_not_a_model(tmp_path):
    with pytest.raises(ValueError, match="no model file"):
        runtime.Classifier(tmp_path / "missing.tflite")
    (tmp_path / "text.tflite").write_text("not a model at all")
    with pytest.raises(ValueError, match="not a TFLite model"):
        runtime.Classifier(tmp_path / "text.tflite")


def test_a_damaged_file_gives_no_answer(labelled_file, tmp_path):
    content = labelled_file.read_bytes()
    path = tmp_path / "model.tflite"
    flipped = bytearray(content)
    flipped[len(content) // 3] ^= 4
    for damaged in (bytes(flipped), content[: len(content) // 2], content[:-40], content[:3]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"model.tflite' gives no answers. It is"):
            runtime.Classifier(path)
        with pytest.raises(ValueError, match="gives no answers"):
            runtime.Classifier(path, labels=CLASS_NAMES)


def test_the_file_says_how_pixels_go_in(tflite_files, tmp_path, calibration, monkeypatch):
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_file.embed(tflite_files["float32"], CLASS_NAMES, {}))
    plain = runtime.Classifier(path).predict_pixels(calibration[0] // 2)
    # A maker whose file wants the pixels halved says so with a deviation of 2.
    block = tflite_file._metadata_block
    numbers = np.array([1], np.float32).tobytes()
    halved = np.array([2], np.float32).tobytes()
    monkeypatch.setattr(
        tflite_file, "_metadata_block", lambda *a: block(*a).replace(numbers, halved)
    )
    path.write_bytes(tflite_file.embed(tflite_files["float32"], CLASS_NAMES, {}))
    classifier = runtime.Classifier(path)
    even = calibration[0] - calibration[0] % 2
    np.testing.assert_allclose(classifier.predict_pixels(even), plain, atol=1e-6)


def test_numbers_are_quantized_as_the_input_wants_them():
    details = {"dtype": np.int8, "quantization": (0.5, -10)}
    values = np.float32([0, 1, 200, -200])
    assert runtime.to_input(values, details).tolist() == [-10, -8, 127, -128]
    raw = {"dtype": np.uint8, "quantization": (1.0, 0)}
    assert runtime.to_input(np.float32([0, 7, 255]), raw).tolist() == [0, 7, 255]


def test_classifying_imports_no_tensorflow(labelled_file, sample_folder):
    file = sample_folder / "acne" / "acne_0000.jpg"
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'pandas', 'scipy', 'sklearn', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "from dermaface.cli import main\n"
        f"sys.exit(main(['predict', r'{labelled_file}', r'{file}']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == f"dermaface: {sample.NOTICE}"
    assert str(file) in done.stdout

"""Ask other runtimes for their answers: MediaPipe Tasks, and LiteRT.js in headless Chromium.

    make demo test-clients

Every `.tflite` file of a run classifies drawn pictures through `runtime.Classifier`, MediaPipe and
the browser. All get the same square pixels, so that what differs is how each reads the file. Needs
its own environment (mediapipe, @litertjs/core) and a Chromium; all is served from loopback.
"""

import argparse
import base64
import functools
import http.server
import json
from pathlib import Path
import queue
import shutil
import subprocess
import sys
import tempfile
import threading

from dermaface.photos import sample
from dermaface.photos.pixels import resize
from dermaface.tflite import runtime
import numpy as np

# MediaPipe and the browser bring kernels of their own: floats differ in the last digits, 8-bit
# numbers by one step now and then.
TOLERANCE = {"float32": 0.002, "float16": 0.02, "int8_weights": 0.02}
INTEGER_TOLERANCE = 0.06
PICTURES = 12
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


def main() -> int:
    """Compare every file of a run and return 0 if all clients agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a run folder, such as outputs/demo")
    parser.add_argument("litertjs", type=Path, help="node_modules with @litertjs/core in it")
    options = parser.parse_args()
    files = sorted((options.run / "tflite").glob("*.tflite"))
    if not files:
        raise SystemExit(
            f"There are no .tflite files in {options.run / 'tflite'}: run make demo first."
        )
    image_size = runtime.Classifier(files[0]).image_size
    pictures = draw_pictures(image_size)
    in_browser = ask_litertjs(files, pictures, options.litertjs)
    failed = False
    print(f"{'file':<14} {'client':<10} {'same answer':>12} {'largest difference':>20}")
    for file in files:
        classifier = runtime.Classifier(file)
        expected = np.stack([classifier.predict_pixels(picture) for picture in pictures])
        allowed = TOLERANCE.get(file.stem, INTEGER_TOLERANCE)
        for client, given in {
            "MediaPipe": ask_mediapipe(file, pictures, classifier.labels),
            "LiteRT.js": in_browser[file.stem],
        }.items():
            same = int((given.argmax(axis=1) == expected.argmax(axis=1)).sum())
            off = float(np.abs(given - expected).max())
            # The first guess may change if two classes are level within the tolerance.
            wrong = not off <= allowed
            failed |= wrong
            note = f"  more than {allowed}" if wrong else ""
            print(f"{file.stem:<14} {client:<10} {same:>9}/{PICTURES} {off:>20.5f}{note}")
    return int(failed)


def draw_pictures(image_size: int) -> list[np.ndarray]:
    """Return drawn pictures by the pixel rule, uint8 (image_size, image_size, 3)."""
    names = [sample.CLASS_NAMES[number % len(sample.CLASS_NAMES)] for number in range(PICTURES)]
    drawn = [sample.draw(name, np.random.default_rng([9, n])) for n, name in enumerate(names)]
    return [resize(np.asarray(picture), image_size) for picture in drawn]


def ask_mediapipe(file: Path, pictures: list[np.ndarray], labels: list[str]) -> np.ndarray:
    """Return MediaPipe's probabilities (n, num_classes), in the order of the labels."""
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageClassifierOptions(
        base_options=BaseOptions(model_asset_path=str(file)), max_results=-1
    )
    rows = []
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for picture in pictures:
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture)
            (answer,) = classifier.classify(image).classifications
            scores = {entry.category_name: entry.score for entry in answer.categories}
            rows.append([scores[label] for label in labels])
    return np.array(rows)


def ask_litertjs(
    files: list[Path], pictures: list[np.ndarray], litertjs: Path
) -> dict[str, np.ndarray]:
    """Return LiteRT.js's probabilities (n, num_classes) for each file, from a headless Chromium."""
    browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if browser is None:
        raise SystemExit(f"No Chromium was found; one of {', '.join(CHROMIUM)} must be installed.")
    cases = {
        "files": [file.stem for file in files],
        "pictures": [base64.b64encode(picture.tobytes()).decode() for picture in pictures],
    }
    answers = queue.Queue()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "litertjs").symlink_to(litertjs.resolve())
        shutil.copy(Path(__file__).with_name("litertjs.html"), root / "index.html")
        (root / "cases.json").write_text(json.dumps(cases))
        for file in files:
            shutil.copy(file, root / file.name)
        handler = functools.partial(Handler, answers, directory=folder)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_port}/index.html"
            profile = ["--user-data-dir=" + tempfile.mkdtemp(dir=folder), address]
            process = subprocess.Popen(
                [browser, *FLAGS, *profile], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            try:
                answer = answers.get(timeout=180)
            except queue.Empty:
                raise SystemExit("LiteRT.js gave no answer within three minutes.") from None
            finally:
                process.terminate()
                process.wait()
                server.shutdown()
    if "error" in answer:
        raise SystemExit(f"LiteRT.js: {answer['error']}")
    return {name: np.array(rows) for name, rows in answer["answers"].items()}


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the page and its files, and takes its answers."""

    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def __init__(self, answers: queue.Queue, *arguments, **named):
        self.answers = answers
        super().__init__(*arguments, **named)

    def do_POST(self):
        """Take the answers as JSON."""
        length = int(self.headers["Content-Length"])
        self.answers.put(json.loads(self.rfile.read(length)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments):
        """Say nothing."""


if __name__ == "__main__":
    sys.exit(main())

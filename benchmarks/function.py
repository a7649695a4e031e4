"""The function of `dermaface function` under load: no 5xx, equal answers, steady memory.

    make test-function RUN=outputs/clothing ARGS="--photos clothing/validation"

10,000 malformed requests and 2,000 good ones, mixed, 16 at a time, on loopback, to the function in
an environment made from its own requirements. With --photos, the answers of 100 photos are first
compared with those of `Classifier`. The exit status is 1 if anything is not as it should be.
"""

import argparse
import base64
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
import contextlib
import functools
import http.client
import io
import json
from pathlib import Path
import subprocess
import sys
import tempfile
import threading
import time

from dermaface.photos import sample
from dermaface.release import function
from dermaface.tflite import runtime
import numpy as np
from PIL import Image
import psutil

MALFORMED, GOOD, AT_A_TIME, WARM = 10_000, 2_000, 16, 200
PHOTOS = 100
PORT = 8765
Request = tuple[str, str, bytes, dict[str, str]]


@contextlib.contextmanager
def serve(folder: Path, python: Path) -> Iterator[tuple[psutil.Process, float]]:
    """Run the function, and yield its process and the seconds until its first answer."""
    start = time.perf_counter()
    process, _ = function.start(folder, PORT, python)
    try:
        status, _ = send(post(picture(0)))
        seconds = time.perf_counter() - start
        if status != 200:
            raise SystemExit(f"The function answers a picture with {status}.")
        yield psutil.Process(process.pid), seconds
    finally:
        process.terminate()
        process.wait()


def send(request: Request, port: int = PORT) -> tuple[int, bytes]:
    """Return the status and the body of the answer to a request."""
    method, path, body, headers = request
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def post(body: bytes, kind: str = "application/octet-stream", **headers: str) -> Request:
    """Return a request that posts a body."""
    return "POST", "/", body, {"Content-Type": kind, **headers}


@functools.cache
def picture(number: int) -> bytes:
    """Return a drawn picture as a JPEG file."""
    name = sample.CLASS_NAMES[number % len(sample.CLASS_NAMES)]
    file = io.BytesIO()
    sample.draw(name, np.random.default_rng([40, number])).save(file, "JPEG", quality=90)
    return file.getvalue()


@functools.cache
def bomb() -> bytes:
    """Return a small PNG file with 81 million pixels."""
    file = io.BytesIO()
    Image.new("1", (9000, 9000)).save(file, "PNG")
    return file.getvalue()


def form(*files: bytes, boundary: str = "frontier") -> bytes:
    """Return a form with files."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="photo"; filename="{n}.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n".encode()
        + file
        + b"\r\n"
        for n, file in enumerate(files)
    ]
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


FORM = "multipart/form-data; boundary=frontier"


def good(number: int) -> Request:
    """Return a request with a picture, in one of the three ways."""
    photo = picture(number % 12)
    encoded = json.dumps({"image": base64.b64encode(photo).decode()}).encode()
    return (post(photo), post(form(photo), FORM), post(encoded, "application/json"))[number % 3]


def malformed(number: int) -> Request:
    """Return a request that gets no answer, of one of many kinds, different each time."""
    rng = np.random.default_rng([41, number])
    photo, noise = picture(number % 12), rng.bytes(int(rng.integers(1, 3000)))
    cut = photo[: int(rng.integers(1, len(photo) // 2))]
    encoded = base64.b64encode(photo).decode()
    kinds = (
        post(noise),
        post(cut),
        post(b""),
        post(photo, "text/plain"),
        post(photo, "application/x-www-form-urlencoded"),
        post(noise, FORM),
        post(form(photo)[: -int(rng.integers(3, 400))], FORM),
        post(form(photo, photo), FORM),
        post(form(), FORM),
        post(form(photo), "multipart/form-data"),
        post(form(noise), FORM),
        post(noise, "application/json"),
        post(b"[" * 100_000, "application/json"),
        post(json.dumps({"image": encoded[:-3] + "!"}).encode(), "application/json"),
        post(json.dumps({"picture": encoded}).encode(), "application/json"),
        post(json.dumps([encoded]).encode(), "application/json"),
        post(json.dumps({"image": base64.b64encode(cut).decode()}).encode(), "application/json"),
        post(bomb()),
        post(b"\0\0\0\x18ftypheic" + noise),
        post(photo, **{"Content-Type": "\xff" * int(rng.integers(1, 50))}),
        ("GET", "/", b"", {}),
        ("PUT", "/", photo, {"Content-Type": "image/jpeg"}),
        ("DELETE", "/health", b"", {}),
        ("POST", "/" + "x" * int(rng.integers(1, 2000)), photo, {"Content-Type": "image/jpeg"}),
        ("POST", "/%00/../etc/passwd", photo, {"Content-Type": "image/jpeg"}),
    )
    if number % 500 == 0:
        return post(bytes(10_000_001))
    return kinds[number % len(kinds)]


def memory(process: psutil.Process) -> int:
    """Return the resident bytes of a process and of those that it has started."""
    return sum(each.memory_info().rss for each in [process, *process.children(recursive=True)])


def compare(photos: list[Path], classifier: runtime.Classifier) -> bool:
    """Print how many photos get the same first guess as from the classifier."""
    same, off = 0, 0.0
    for path in photos:
        status, body = send(post(path.read_bytes(), "image/jpeg"))
        (first, *_) = json.loads(body)["predictions"]
        label, probability = classifier.predict(path, top=1)[0]
        same += status == 200 and first["label"] == label
        off = max(off, abs(first["probability"] - probability))
    print(f"photos: the same first guess for {same} of {len(photos)}, at most {off:.6f} off")
    return same == len(photos)


def load(process: psutil.Process) -> bool:
    """Send all requests and print what came of them."""
    wrong = []
    kinds = ["good"] * GOOD + ["malformed"] * MALFORMED
    order = np.random.default_rng(42).permutation(len(kinds))
    expected = [json.loads(send(good(number))[1]) for number in range(12)]
    makers = {"good": good, "malformed": malformed}
    # Made beforehand, so that the time is the function's.
    requests = [(kinds[n], int(n), makers[kinds[n]](int(n))) for n in order]
    statuses, seconds, first, done = Counter(), [], 0, 0
    counting = threading.Lock()

    def ask(entry: tuple[str, int, Request]) -> None:
        nonlocal first, done
        kind, number, request = entry
        start = time.perf_counter()
        status, body = send(request)
        took = time.perf_counter() - start
        with counting:
            done += 1
            statuses[kind, status] += 1
            if kind == "good":
                seconds.append(took)
                if status != 200 or json.loads(body) != expected[number % 12]:
                    wrong.append((number, status, body[:200]))
            elif not 400 <= status < 500:
                wrong.append((number, status, body[:200]))
            if done == WARM:
                first = memory(process)

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(ask, requests))
    last = memory(process)
    for (kind, status), count in sorted(statuses.items()):
        print(f"{kind:<9} {status}: {count:>6,}")
    median, late = np.percentile(seconds, [50, 95]) * 1000
    print(f"good answers, {AT_A_TIME} at a time: median {median:.0f} ms, 95 % in {late:.0f} ms")
    change = last / first - 1
    print(
        f"resident memory: {first / 1e6:.0f} MB after {WARM} requests, {last / 1e6:.0f} MB after "
        f"{done:,} ({change:+.1%})"
    )
    for number, status, body in wrong[:10]:
        print(f"wrong: request {number} got {status}: {body!r}")
    return not wrong and change <= 0.05


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("release", type=Path, help="a release folder")
    parser.add_argument("python", type=Path, help="of an environment with the requirements")
    parser.add_argument("--photos", type=Path, help="folder of class folders, to compare first")
    options = parser.parse_args()
    passed = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "function"
        function.write_function(options.release, folder)
        python = options.python.absolute()  # not resolved: it is a link out of its environment
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        wheel = next(folder.glob("*.whl"))
        subprocess.run([*pip, "--no-deps", "--force-reinstall", wheel], check=True)
        with serve(folder, python):
            pass  # the files are read from the disk once
        with serve(folder, python) as (process, seconds):
            print(f"first answer {seconds:.2f} s after the start of the process")
            if options.photos:
                photos = sorted(options.photos.rglob("*.jpg"))
                step = max(1, len(photos) // PHOTOS)
                classifier = runtime.Classifier(options.release / "model.tflite")
                passed &= compare(photos[::step][:PHOTOS], classifier)
            passed &= load(process) and seconds < 2
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())

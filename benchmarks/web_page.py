"""How far the page of `dermaface web` answers as the notebook does, in headless Chromium.

    make test-clients RUN=outputs/clothing     # installs Playwright into .venv-clients
    .venv-clients/bin/python benchmarks/web_page.py outputs/clothing clothing/validation

The first clothing photos of every class, 100 in all, and ten mosaics of them with 12 megapixels, as
JPEG files, go through the page and through `Classifier`, for the float32 and the int8 file. The
first visit is timed in an empty profile.
"""

import argparse
import base64
from collections.abc import Iterator, Sequence
import contextlib
import hashlib
import io
import itertools
import json
from pathlib import Path
import shutil
import sys
import tempfile
import threading
import time

from dermaface.photos.pixels import load_image
from dermaface.release import contract, web
from dermaface.tflite import file as tflite_file
from dermaface.tflite import runtime
import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

PHOTOS, MOSAICS = 100, 10
LARGE = (4032, 3024)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-quic "
    "--use-fake-ui-for-media-stream --use-fake-device-for-media-stream"
).split()
# Reads a chosen file by the page's own modules and returns the square's bytes in base64.
PIXELS_OF = """async ([bytes, size]) => {
  const {openPhoto, readPixels, resize} = await import("./pixels.js");
  const data = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
  const photo = await openPhoto(new Blob([data]));
  const start = performance.now();
  const pixels = resize(readPixels(photo, 2 * size), size);
  let text = "";
  for (const byte of pixels) text += String.fromCharCode(byte);
  return [btoa(text), performance.now() - start];
}"""


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """Yield a headless Chromium with a camera that shows a test picture.

    Raises:
        SystemExit: none is installed.
    """
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise SystemExit(f"No Chromium was found; one of {', '.join(BROWSERS)} must be installed.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def serve(site: Path) -> Iterator[str]:
    """Serve a site as `dermaface web --serve` does, and yield its address."""
    with web.open_server(site, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def visit(page: Page, address: str) -> str:
    """Open the page, wait until it has judged itself, and return its verdict."""
    page.goto(address)
    page.wait_for_selector("html[data-ready]", state="attached", timeout=30_000)
    return page.inner_text("#verdict")


def ask(page: Page, photos: Sequence[Path]) -> list[str]:
    """Return what the page answers to files, one text a file, in their order."""
    before = page.locator(".card").count()
    page.set_input_files("#files", photos)
    page.wait_for_selector(f".card:nth-child({before + len(photos)})", timeout=300_000)
    return page.locator(".card").all_inner_texts()[: len(photos)]


def release_of(run: Path, variant: str, folder: Path) -> Path:
    """Return a release of one of a run's other files, with golden answers of its own."""
    shutil.copytree(run / "release", folder)
    content = (run / "tflite" / f"{variant}.tflite").read_bytes()
    (folder / "model.tflite").write_bytes(content)
    classifier = runtime.Classifier(folder / "model.tflite")
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    description |= classifier.facts
    description |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    kind, scale, zero_point = tflite_file.audit(content).input
    description["input"] |= {"type": kind.lower(), "scale": scale, "zero_point": zero_point}
    (folder / "model.json").write_text(json.dumps(description), encoding="utf-8")
    path = folder / "golden" / "expected.json"
    expected = json.loads(path.read_text(encoding="utf-8"))
    expected["tolerance"] = contract.tolerance_of(variant)
    for entry in expected["pictures"]:
        pixels = load_image(folder / "golden" / entry["input"], classifier.image_size)
        answer = classifier.predict_pixels(pixels)
        entry["probabilities"] = [round(float(value), 6) for value in answer]
        entry["predicted"] = classifier.labels[int(answer.argmax())]
    path.write_text(json.dumps(expected), encoding="utf-8")
    return folder


def first_photos(folder: Path, number: int = PHOTOS) -> list[Path]:
    """Return the first photos of every class in turn, `number` in all."""
    classes = [sorted(path.glob("*.jpg")) for path in sorted(folder.iterdir()) if path.is_dir()]
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*classes))
    return [path for path in in_turn if path][:number]


def mosaic(photos: Sequence[Path], seed: int) -> bytes:
    """Return a JPEG file of 12 megapixels, put together from photos at their own size."""
    order = np.random.default_rng(seed).permutation(len(photos))
    large = Image.new("RGB", LARGE)
    left, top, row, at = 0, 0, 0, 0
    while top < LARGE[1]:
        with Image.open(photos[order[at % len(order)]]) as tile:
            large.paste(tile.convert("RGB"), (left, top))
            left, row, at = left + tile.width, max(row, tile.height), at + 1
        if left >= LARGE[0]:
            left, top, row = 0, top + row, 0
    file = io.BytesIO()
    large.save(file, "JPEG", quality=90, exif=Image.Exif())
    return file.getvalue()


def first_guess(card: str) -> str:
    """Return the class on a card's first line."""
    return card.splitlines()[0]


def pixel_differences(
    page: Page, files: Sequence[Path], size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return how far the page's pixels are from the notebook's, 0..255, and its milliseconds.

    Args:
        page: an open page.
        files: photos.
        size: side of the square in pixels.

    Returns:
        (n, size * size * 3) and (n,).
    """
    off, milliseconds = [], []
    for file in files:
        encoded = base64.b64encode(file.read_bytes()).decode()
        text, time_taken = page.evaluate(PIXELS_OF, [encoded, size])
        here = np.frombuffer(base64.b64decode(text), np.uint8).astype(int)
        off.append(np.abs(here - load_image(file, size).ravel()))
        milliseconds.append(time_taken)
    return np.array(off), np.array(milliseconds)


def compare_pixels(page: Page, files: Sequence[Path], size: int) -> str:
    """Return in words how far the page's pixels are from the notebook's, 0..255."""
    off, milliseconds = pixel_differences(page, files, size)
    return (
        f"{off.mean():.2f} grey levels apart on average, {np.percentile(off, 99):.0f} or less for "
        f"99 % of values, {off.max()} at most; read in {np.median(milliseconds):.0f} ms (median)"
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a run on the photos, such as outputs/clothing")
    parser.add_argument("photos", type=Path, help="folder of class folders")
    options = parser.parse_args()
    photos = first_photos(options.photos)
    with tempfile.TemporaryDirectory() as name, open_browser() as browser:
        folder = Path(name)
        print(f"Chromium {browser.version}")
        mosaics = [folder / f"mosaic_{number}.jpg" for number in range(MOSAICS)]
        for number, path in enumerate(mosaics):
            path.write_bytes(mosaic(photos, number))
        for variant in ("float32", "int8"):
            release = release_of(options.run, variant, folder / variant)
            classifier = runtime.Classifier(release / "model.tflite")
            size = classifier.image_size
            web.write_site(release, folder / f"site_{variant}")
            squares = []
            for number, path in enumerate(photos):
                squares.append(folder / f"square_{number:03d}.png")
                Image.fromarray(load_image(path, size)).save(squares[-1])
            with serve(folder / f"site_{variant}") as address:
                page = browser.new_page()
                start = time.perf_counter()
                page.goto(address)
                page.wait_for_selector("#files:enabled", state="attached")
                ready = time.perf_counter() - start
                ask(page, photos[:1])
                answered = time.perf_counter() - start
                print(f"\n{variant}: {page.inner_text('#verdict')}")
                print(f"  first visit: proven after {ready:.1f} s, first answer {answered:.1f} s")
                for what, files, shown in (
                    ("photos", photos, photos),
                    ("the same pixels", photos, squares),
                    ("mosaics of 12 megapixels", mosaics, mosaics),
                ):
                    here = [first_guess(card) for card in ask(page, shown)]
                    there = [classifier.predict(path, top=1)[0][0] for path in files]
                    same = sum(a == b for a, b in zip(here, there, strict=True))
                    print(f"  {what}: the same first guess for {same} of {len(files)}")
                if variant == "int8":
                    print(f"\npixels of the photos: {compare_pixels(page, photos, size)}")
                    print(f"pixels of the mosaics: {compare_pixels(page, mosaics, size)}")
                page.close()


if __name__ == "__main__":
    sys.exit(main())

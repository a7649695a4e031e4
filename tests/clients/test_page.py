"""The page of `dermaface web` in a real browser: `make test-clients` (needs npm and Chromium).

`RUN` names the run whose release is shown, `NODE_MODULES` where axe-core lies. Pictures of the page
lie in `build/screenshots/` afterwards: look at them.
"""

import csv
import functools
import http.server
import io
import json
import os
from pathlib import Path
import re
import shutil
import threading

from dermaface.photos import sample
from dermaface.photos.pixels import BLUR_SIZE, blur_score, load_image
from dermaface.release import device, guide, web
from dermaface.runs import hash_file
from dermaface.tflite import runtime
import numpy as np
from PIL import Image, ImageFilter
import pytest

pytest.importorskip("playwright", reason="the page in a browser: make test-clients")
import web_page

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
RUN = ROOT / os.environ.get("RUN", "outputs/demo")
NODE_MODULES = ROOT / os.environ.get("NODE_MODULES", ".venv-clients/node_modules")
AXE = NODE_MODULES / "axe-core" / "axe.min.js"


@pytest.fixture(scope="session")
def browser():
    with web_page.open_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def release():
    if not (RUN / "release" / "model.json").is_file():
        pytest.fail(f"{RUN} has no release: run make demo first")
    return RUN / "release"


@pytest.fixture(scope="session")
def built(release, tmp_path_factory):
    """Return a site for all tests to read."""
    site = tmp_path_factory.mktemp("built") / "site"
    web.write_site(release, site)
    return site


@pytest.fixture
def site(built, tmp_path):
    """Return a site for one test to harm."""
    return shutil.copytree(built, tmp_path / "site")


@pytest.fixture
def page(browser):
    """Return a page in a profile of its own, whose mistakes are errors."""
    context = browser.new_context(accept_downloads=True)
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors


@pytest.fixture
def opened(page, built):
    with web_page.serve(built) as address:
        web_page.visit(page, address)
        yield page


@pytest.fixture(scope="session")
def classifier(release):
    return runtime.Classifier(release / "model.tflite")


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Return drawn pictures in the ways that browsers and Pillow may read differently."""
    folder = tmp_path_factory.mktemp("photos")
    drawn = [
        sample.draw(name, np.random.default_rng([3, n]))
        for n, name in enumerate(sample.CLASS_NAMES)
    ]
    turned, exif = drawn[0].rotate(90, expand=True), Image.Exif()
    exif[0x0112] = 6
    turned.save(folder / "turned.jpg", quality=95, exif=exif)
    drawn[1].save(folder / "plain.png")
    drawn[2].save(folder / "photo.webp", lossless=True)
    clear = drawn[3].convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    clear.save(folder / "transparent.png")
    drawn[4].quantize(64).save(folder / "palette.png")
    drawn[5].convert("L").save(folder / "grey.jpg", quality=95)
    large = drawn[6].resize((drawn[6].width * 9, drawn[6].height * 9), Image.Resampling.BICUBIC)
    large.save(folder / "large.jpg", quality=95)
    drawn[7].filter(ImageFilter.GaussianBlur(9)).save(folder / "blurred.png")
    return sorted(folder.iterdir())


def answers_as_csv(page):
    """Return the rows of the table that the page offers, and of each photo only the likeliest."""
    with page.expect_download() as download:
        page.click("#save-answers")
    text = Path(download.value.path()).read_text(encoding="utf-8")
    return [row for row in csv.DictReader(io.StringIO(text)) if row["rank"] == "1"]


def test_it_proves_the_file_and_the_report_passes_elsewhere(opened, release, tmp_path):
    verdict = opened.inner_text("#verdict")
    assert verdict.startswith(
        "10 of 10 golden pictures answered as expected on this device, largest"
    )
    assert opened.get_attribute("#proof", "data-state") == "good"
    opened.click("#report-details summary")
    with opened.expect_download() as download:
        opened.click("#save-report")
    download.value.save_as(tmp_path / "report.json")
    saved = json.loads((tmp_path / "report.json").read_text())
    assert saved == json.loads(opened.input_value("#report"))
    lines = device.check_report(release, tmp_path / "report.json")
    assert "10 golden pictures answered as expected" in "".join(lines)
    assert "Chrome" in saved["device"]["user_agent"]


def test_it_answers_as_the_classifier_does(opened, classifier, photos):
    web_page.ask(opened, photos)
    rows = answers_as_csv(opened)
    assert [row["image"] for row in rows] == [path.name for path in photos]
    limit, threshold = (classifier.facts[name] for name in ("min_confidence", "blur_threshold"))
    for path, row in zip(photos, rows, strict=True):
        label, probability = classifier.predict(path, top=1)[0]
        # A large JPEG is decoded at full size and averaged; libjpeg averages before the colours.
        allowed = 0.1 if path.name == "large.jpg" else 0.02
        assert float(row["probability"]) == pytest.approx(probability, abs=allowed), path.name
        assert row["label"] == label, path.name
        assert row["sure"] == str(float(row["probability"]) >= limit).lower()
        score = blur_score(load_image(path, BLUR_SIZE))
        assert row["blurred"] == str(score < threshold).lower(), (path.name, score)
    assert any(row["blurred"] == "true" for row in rows)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_is_reduced_as_it_is_stored(opened, tmp_path, orientation):
    """Blocks of pixels begin at the stored photo's corner, wherever that is when it is upright."""
    large = sample.draw("melasma", np.random.default_rng(5)).resize((501, 467))
    exif = Image.Exif()
    exif[0x0112] = orientation
    large.save(tmp_path / "large.jpg", quality=95, exif=exif)
    for size in (24, 56):  # at 1/8 and at 1/4 of its size
        (off,) = web_page.pixel_differences(opened, [tmp_path / "large.jpg"], size)[0]
        assert off.mean() < 1 and off.max() <= 24


@pytest.mark.parametrize("size", [(9000, 20), (20, 9000)])
def test_an_image_larger_than_a_canvas_is_read(opened, tmp_path, size):
    ramp = Image.linear_gradient("L").resize(size).convert("RGB")
    ramp.save(tmp_path / "long.png")
    (off,) = web_page.pixel_differences(opened, [tmp_path / "long.png"], 96)[0]
    assert off.max() == 0


def test_what_it_says_of_a_photo(opened, classifier, photos):
    (card,) = web_page.ask(opened, photos[:1])
    best = classifier.predict(photos[0], top=3)
    assert card.splitlines()[0] == best[0][0]
    assert all(label in card for label, _ in best)
    assert ("not sure" in card) == (best[0][1] < classifier.facts["min_confidence"])
    assert card.strip().endswith(" ms")
    assert best[0][0] in opened.inner_text("#progress")


def test_a_tampered_model_is_refused_before_it_answers(page, site):
    path = site / "release" / "model.tflite"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with web_page.serve(site) as address:
        assert web_page.visit(page, address) == "No photo is answered here."
        assert "not the file that was released" in page.inner_text("#proof-detail")
        assert page.is_disabled("#files") and page.is_disabled("#open-camera")


def test_another_model_is_refused_even_if_it_is_listed(page, site):
    """The list of files may be made anew by whoever swaps the model; the release is not."""
    shutil.copy(RUN / "tflite" / "float32.tflite", site / "release" / "model.tflite")
    index = json.loads((site / "files.json").read_text())
    index["files"]["release/model.tflite"] = hash_file(site / "release" / "model.tflite")
    (site / "files.json").write_text(json.dumps(index))
    with web_page.serve(site) as address:
        assert web_page.visit(page, address) == "No photo is answered here."
        assert "not the file that model.json describes" in page.inner_text("#proof-detail")


def test_a_file_that_answers_otherwise_gets_no_photos(page, site):
    path = site / "release" / "golden" / "expected.json"
    golden = json.loads(path.read_text())
    for entry in golden["pictures"][:3]:
        entry["probabilities"] = entry["probabilities"][1:] + entry["probabilities"][:1]
    path.write_text(json.dumps(golden))
    index = json.loads((site / "files.json").read_text())
    index["files"]["release/golden/expected.json"] = hash_file(path)
    (site / "files.json").write_text(json.dumps(index))
    with web_page.serve(site) as address:
        assert web_page.visit(page, address).startswith("7 of 10 golden pictures")
        assert page.get_attribute("#proof", "data-state") == "bad"
        assert page.is_disabled("#files")


def test_a_missing_file_is_named(page, site):
    (site / "release" / "golden" / "expected.json").unlink()
    with web_page.serve(site) as address:
        web_page.visit(page, address)
        assert "expected.json cannot be loaded" in page.inner_text("#proof-detail")


def test_what_is_no_photo_is_named_and_the_rest_goes_on(opened, photos, tmp_path):
    heic = tmp_path / "IMG_0001.HEIC"
    heic.write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    text, empty, cut = (tmp_path / name for name in ("notes.jpg", "empty.png", "cut.png"))
    text.write_text("dear diary")
    empty.write_bytes(b"")
    cut.write_bytes(next(path for path in photos if path.name == "plain.png").read_bytes()[:50])
    cards = web_page.ask(opened, [heic, text, empty, cut, photos[0]])
    assert "HEIC" in cards[0] and "Most Compatible" in cards[0]
    assert all("damaged, not an image" in card for card in cards[1:4])
    assert "Not answered" not in cards[4]
    assert "5 of 5 photos read" in opened.inner_text("#progress")
    assert "4 not answered" in opened.inner_text("#progress")


def test_it_works_without_a_network_after_the_first_visit(page, built, photos):
    with web_page.serve(built) as address:
        web_page.visit(page, address)
        page.wait_for_selector("html[data-offline]", state="attached")
    # The server is gone.
    assert web_page.visit(page, address).startswith("10 of 10 golden pictures")
    (card,) = web_page.ask(page, photos[:1])
    assert "ms" in card
    page.goto(address + "card.html")
    assert "Model card" in page.inner_text("h1")


def test_a_newer_site_is_offered_and_then_used(page, site):
    with web_page.serve(site) as address:
        web_page.visit(page, address)
        page.wait_for_selector("html[data-offline]", state="attached")
        style = site / "style.css"
        style.write_text(style.read_text() + "/* newer */")
        index = json.loads((site / "files.json").read_text())
        index["files"]["style.css"] = hash_file(style)
        (site / "files.json").write_text(json.dumps(index))
        web_page.visit(page, address)
        page.wait_for_selector("#newer:visible")
        # It has taken over already, with all that it needs.
        page.context.set_offline(True)
        assert web_page.visit(page, address).startswith("10 of 10 golden pictures")
        assert "newer" in page.evaluate("fetch('style.css').then((answer) => answer.text())")
        page.context.set_offline(False)
        web_page.visit(page, address + "?utm=1")
        page.wait_for_selector("html[data-offline]", state="attached")
        assert page.evaluate("caches.keys().then((names) => names.length)") == 1


def test_an_older_site_in_its_place_is_used_too(page, site, tmp_path):
    """Files with older times than those that the browser has seen."""
    with web_page.serve(site) as address:
        web_page.visit(page, address)
        page.wait_for_selector("html[data-offline]", state="attached")
        other = site / "release" / "MODEL_CARD.md"
        other.write_text("# Another card\n")
        index = json.loads((site / "files.json").read_text())
        index["files"]["release/MODEL_CARD.md"] = hash_file(other)
        (site / "files.json").write_text(json.dumps(index))
        for path in site.rglob("*"):
            os.utime(path, (10**9, 10**9))
        web_page.visit(page, address)
        page.click("#reload")
        page.wait_for_selector("html[data-offline]", state="attached")
        assert page.is_hidden("#newer")
        card = page.evaluate("fetch('release/MODEL_CARD.md').then((answer) => answer.text())")
        assert "Another card" in card


def test_a_refused_page_heals_once_it_is_mended(page, site):
    with web_page.serve(site) as address:
        web_page.visit(page, address)
        page.wait_for_selector("html[data-offline]", state="attached")
        page.evaluate(
            """async () => {
              const cache = await caches.open((await caches.keys())[0]);
              await cache.put("release/model.tflite", new Response("damaged"));
            }"""
        )
        assert web_page.visit(page, address) == "No photo is answered here."
        page.wait_for_timeout(500)
        assert web_page.visit(page, address).startswith("10 of 10 golden pictures")


def test_it_asks_no_one_else(page, built, photos):
    asked = []
    page.context.on("request", lambda request: asked.append(request.url))
    with web_page.serve(built) as address:
        web_page.visit(page, address)
        web_page.ask(page, photos)
        page.wait_for_selector("html[data-offline]", state="attached")
        assert len(asked) > 20
        assert not [url for url in asked if not url.startswith((address, f"blob:{address}"))]
        stopped = page.evaluate(
            """() => new Promise((resolve) => {
              const told = (event) => resolve(event.violatedDirective);
              document.addEventListener("securitypolicyviolation", told);
              fetch("http://127.0.0.2:9/").catch(() => null);
            })"""
        )
        assert stopped == "connect-src"


def test_the_camera(opened):
    opened.click("#open-camera")
    opened.wait_for_selector("#viewfinder:visible")
    opened.wait_for_timeout(500)
    assert opened.evaluate("document.getElementById('viewfinder').videoWidth") > 0
    opened.click("#shoot")
    opened.wait_for_selector(".card")
    assert "camera" in opened.inner_text(".card") and "Not answered" not in opened.inner_text(
        ".card"
    )
    assert opened.is_hidden("#camera") and opened.is_visible("#zone")
    assert opened.evaluate("document.getElementById('viewfinder').srcObject") is None


def test_the_camera_opens_and_takes_once_however_often_one_presses(opened):
    opened.evaluate(
        """() => {
          const devices = navigator.mediaDevices, original = devices.getUserMedia.bind(devices);
          window.tracks = [];
          devices.getUserMedia = async (wanted) => {
            const stream = await original(wanted);
            window.tracks.push(...stream.getTracks());
            return stream;
          };
          for (const _ of [1, 2]) document.getElementById("open-camera").click();
        }"""
    )
    opened.wait_for_selector("#viewfinder:visible")
    opened.wait_for_timeout(500)
    assert opened.inner_text("#message") == ""
    opened.evaluate("for (const _ of [1, 2]) document.getElementById('shoot').click()")
    opened.wait_for_selector(".card")
    opened.wait_for_timeout(500)
    assert opened.locator(".card").count() == 1
    assert opened.evaluate("window.tracks.map((track) => track.readyState)") == ["ended"]


def test_pasted_and_dropped_photos_are_answered(opened, photos):
    send = """([kind, name, bytes]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], name));
      const event = kind === "paste"
        ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true})
        : new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
      document.body.dispatchEvent(event);
    }"""
    for number, kind in enumerate(("paste", "drop"), start=1):
        opened.evaluate(send, [kind, f"{kind}.png", list(photos[3].read_bytes())])
        opened.wait_for_selector(f".card:nth-child({number})")
        assert f"{kind}.png" in opened.inner_text(".card >> nth=0")


def test_newer_batches_stand_above_older_ones(opened, photos):
    send = """(names) => {
      for (const batch of names) {
        const data = new DataTransfer();
        for (const name of batch) data.items.add(new File(["x"], name));
        const event = new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
        document.body.dispatchEvent(event);
      }
    }"""
    opened.evaluate(send, [["a", "b"], ["c", "d"], ["e"]])
    opened.wait_for_selector(".card:nth-child(5)")
    assert opened.locator(".card .file").all_inner_texts() == ["e", "c", "d", "a", "b"]
    assert opened.is_hidden("#save-answers")  # none was answered


def test_it_can_be_used_with_the_keyboard_alone(opened, photos):
    reached, focused = [], "document.activeElement.id || document.activeElement.textContent"
    # Playwright only catches the chooser once it has told the browser so, which takes a moment.
    choosers = []
    opened.on("filechooser", lambda chooser: choosers.append(chooser))
    opened.wait_for_timeout(500)
    for _ in range(12):
        opened.keyboard.press("Tab")
        reached.append(opened.evaluate(focused))
        if reached[-1] == "files":
            opened.keyboard.press("Enter")
            opened.wait_for_timeout(1000)
            break
    (chooser,) = choosers
    chooser.set_files(photos[0])
    assert reached[:2] == ["Model card", "Limits"] and reached[-1] == "files"
    opened.wait_for_selector(".card")


VIEWS = [(width, scheme) for width in (360, 1280) for scheme in ("light", "dark")]


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_its_looks(browser, built, photos, tmp_path, width, scheme):
    """No violation of axe-core's rules, nothing wider than the window; with a picture of each."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    view = {"width": width, "height": 800}
    with (
        web_page.serve(built) as address,
        browser.new_context(viewport=view, color_scheme=scheme) as context,
    ):
        page = context.new_page()

        def look(name):
            page.screenshot(path=SCREENSHOTS / f"page_{name}_{width}_{scheme}.png", full_page=True)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.evaluate(AXE.read_text(encoding="utf-8"))
            found = page.evaluate("axe.run()")["violations"]
            assert not [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]

        web_page.visit(page, address)
        look("opened")
        bad = tmp_path / "notes.jpg"
        bad.write_text("dear diary")
        web_page.ask(page, [*photos, bad])
        for summary in page.locator("summary").all():
            summary.click()
        look("answered")
        page.click("#open-camera")
        page.wait_for_selector("#viewfinder:visible")
        look("camera")
        page.goto(address + "card.html")
        look("card")


@pytest.mark.parametrize("variant", ["int8", "float32"])
def test_clothing_photos(browser, tmp_path, variant):
    """As the notebook answers them; benchmarks/web_page.py prints more."""
    data = os.environ.get("DERMAFACE_TEST_DATA")
    if data is None:
        pytest.skip("clothing photos: DERMAFACE_TEST_DATA names none")
    release = web_page.release_of(RUN, variant, tmp_path / "release")
    web.write_site(release, tmp_path / "site")
    classifier = runtime.Classifier(release / "model.tflite")
    if "t-shirt" not in classifier.labels:
        # Far from what a file was made for, it is sure of nothing, and a grey level decides.
        pytest.skip("clothing photos: RUN is of others")
    photos = web_page.first_photos(Path(data) / "clothing" / "validation")
    assert len(photos) == 100
    expected = [classifier.predict(path, top=1)[0][0] for path in photos]
    squares = [tmp_path / f"{number:03d}.png" for number in range(len(photos))]
    for path, square in zip(photos, squares, strict=True):
        Image.fromarray(load_image(path, classifier.image_size)).save(square)
    with web_page.serve(tmp_path / "site") as address, browser.new_context() as context:
        page = context.new_page()
        web_page.visit(page, address)
        for files, least in ((photos, 97), (squares, 100)):
            given = [web_page.first_guess(card) for card in web_page.ask(page, files)]
            assert sum(a == b for a, b in zip(given, expected, strict=True)) >= least


def test_the_javascript_of_the_releases_readme_runs_as_it_stands(page, release, tmp_path):
    text = guide.guide(json.loads((release / "model.json").read_text()), 0.05)
    (code,) = re.findall(r"```js\n(.*?)```", text, re.DOTALL)
    site = shutil.copytree(release, tmp_path / "app")
    (site / "node_modules").symlink_to(NODE_MODULES)
    (site / "app.js").write_text(code)
    imports = {
        f"@litertjs/{name}": f"./node_modules/@litertjs/{name}/dist/index.js"
        for name in ("core", "wasm-utils")
    }
    (site / "index.html").write_text(
        "<!doctype html><body><script type=importmap>" + json.dumps({"imports": imports})
        + "</script>"
    )  # fmt: skip
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        off, allowed = page.evaluate("import('./app.js').then((app) => app.replay())")
        assert off <= allowed
        label = page.evaluate(
            """async () => {
              const {classify, labels} = await import("./app.js");
              const answer = await classify(await (await fetch("golden/picture_08.jpg")).blob());
              return labels[answer.indexOf(Math.max(...answer))];
            }"""
        )
        server.shutdown()
    classifier = runtime.Classifier(release / "model.tflite")
    assert label == classifier.predict(release / "golden" / "picture_08.jpg", top=1)[0][0]


class Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | web.TYPES

    def log_message(self, *arguments):
        pass

"""Open the notebooks in JupyterLab in a real browser, run all their cells, and take pictures.

    make test-browser

Each notebook must open without being marked as changed, and saving it must change no byte of it;
*Run All Cells* must end without an error or a warning; no code, paragraph, list, table or figure
may be too large for a window of 1280 x 800. All happens on copies in a temporary folder, with
JupyterLab's own settings, on loopback. Needs its own environment (Playwright for Python) and a
Chromium.
"""

import argparse
from collections.abc import Iterator
import contextlib
import difflib
import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

from playwright.sync_api import Browser, Error, Page, sync_playwright

PICTURES = Path("build/screenshots")
WINDOW = {"width": 1280, "height": 800}
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Seconds at most: to start JupyterLab or open a notebook, to run all cells, to end JupyterLab.
OPEN, RUN, END = 120, 600, 30
# JupyterLab would ask on its first start whether it may look for news.
SETTINGS = {"fetchNews": "false", "checkForUpdates": False}

OPENED = """async path => {
  await jupyterapp.restored;
  await jupyterapp.serviceManager.sessions.shutdownAll();
  jupyterapp.shell.collapseLeft();
  window.panel = await jupyterapp.commands.execute("docmanager:open", {path});
  await panel.context.ready;
  await panel.revealed;
  [...jupyterapp.shell.widgets("main")].forEach(tab => tab === panel || tab.dispose());
  return panel.context.model.dirty;
}"""
# Once the kernel has said what it is, JupyterLab writes that into the notebook.
CONNECTED = """async () => {
  await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
  await new Promise(resolve => setTimeout(resolve, 2000));
  return panel.context.model.dirty;
}"""
# The status line speaks of it for a while.
SAVED = """async () => {
  await panel.context.save();
  await new Promise(resolve => setTimeout(resolve, 3000));
}"""
# What the menu calls; it ends when the last cell has ended.
RAN = "() => jupyterapp.commands.execute('notebook:run-all-cells')"
CELLS = "async () => panel.content.model.toJSON().cells"
# Cells get their true heights while the page scrolls past them, so it scrolls twice. Of a cell that
# is higher than the window the end is shown, where the output is.
SHOWN = """async index => {
  const cell = panel.content.widgets[index].node;
  const height = panel.content.node.clientHeight;
  for (let time = 0; time < 2; time++) {
    cell.scrollIntoView({block: cell.offsetHeight < height ? "center" : "end"});
    await new Promise(resolve => setTimeout(resolve, 200));
  }
  const always = ".cm-scroller, .jp-OutputArea-output, ";
  const parts = kinds => [...cell.querySelectorAll(always + kinds)];
  const wide = parts(".jp-MarkdownOutput").some(part => part.scrollWidth > part.clientWidth + 1);
  const high = parts(".jp-MarkdownOutput > *").some(part => part.scrollHeight > height);
  return [
    [wide, "is too wide for the window"],
    [high, "is too high for the window"],
  ].filter(([wrong]) => wrong).map(([_, words]) => words);
}"""


def main() -> int:
    """Visit the notebooks in turn and return 0 where nothing is wrong with any of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jupyter", type=Path, help="the command `jupyter` of the project")
    parser.add_argument("notebooks", type=Path, nargs="+", help="in the order of their numbers")
    options = parser.parse_args()
    for file in (options.jupyter, *options.notebooks):
        if not file.is_file():
            parser.error(f"{file} is not there")
    # Ended from outside, it still ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir(parents=True)
    failed = False
    with (
        tempfile.TemporaryDirectory() as folder,
        start_browser() as browser,
        start_jupyterlab(options.jupyter.absolute(), Path(folder)) as address,
    ):
        for notebook in options.notebooks:
            start = time.monotonic()
            with browser.new_page(viewport=WINDOW) as page:
                faults = visit(page, address, notebook, Path(folder))
            failed |= bool(faults)
            seconds = time.monotonic() - start
            print(f"{notebook.stem:<28} {'FAILED' if faults else 'ok':<6} {seconds:>4.0f} s")
            for line in "\n".join(faults).splitlines():
                print(f"  {line}")
            sys.stdout.flush()
    print(f"{len(list(PICTURES.iterdir()))} pictures in {PICTURES.resolve()}")
    return int(failed)


@contextlib.contextmanager
def start_browser() -> Iterator[Browser]:
    """Yield the system's Chromium, or Playwright's own where there is none."""
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        found = next(filter(None, map(shutil.which, CHROMIUM)), own)
        if not Path(found).exists():
            raise SystemExit(
                f"No Chromium was found. Install your system's ({', '.join(CHROMIUM)}), or "
                f"Playwright's own: {Path(sys.executable).parent / 'playwright'} install chromium"
            )
        browser = playwright.chromium.launch(executable_path=found)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def start_jupyterlab(jupyter: Path, folder: Path) -> Iterator[str]:
    """Yield the address of a JupyterLab that knows nothing but `folder`, and end it afterwards."""
    places = {
        "JUPYTER_CONFIG_DIR": folder / "config",
        "JUPYTER_DATA_DIR": folder / "data",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": folder / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces",
        "IPYTHONDIR": folder / "ipython",
        "DERMAFACE_OUTPUT_ROOT": folder,
    }
    settings = folder / "settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps(SETTINGS), encoding="utf-8")
    (folder / "notebooks").mkdir()
    log = folder / "jupyterlab.log"
    options = "--no-browser --allow-root --expose-app-in-browser --ip=127.0.0.1 --port=0".split()
    with log.open("w", encoding="utf-8") as lines:
        process = subprocess.Popen(
            [jupyter, "lab", *options, "--IdentityProvider.token=", f"--notebook-dir={folder}"],
            env=os.environ | {name: str(place) for name, place in places.items()},
            cwd=folder, stdin=subprocess.DEVNULL, stdout=lines, stderr=lines,
        )  # fmt: skip
    try:
        # It writes down its address once it listens.
        deadline = time.monotonic() + OPEN
        while not (found := list((folder / "runtime").glob("jpserver-*.json"))):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"JupyterLab did not start:\n{log.read_text(encoding='utf-8')}")
            time.sleep(0.5)
        yield json.loads(found[0].read_text(encoding="utf-8"))["url"]
    finally:
        # It ends its kernels itself.
        process.terminate()
        try:
            process.wait(END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def visit(page: Page, address: str, notebook: Path, folder: Path) -> list[str]:
    """Open a copy of a notebook, run it, take pictures, and return what is wrong with it."""
    copy = folder / "notebooks" / notebook.name
    shutil.copy(notebook, copy)
    number = notebook.stem[:2]
    faults = []
    try:
        page.goto(f"{address}lab?reset", timeout=OPEN * 1000)
        page.wait_for_function("window.jupyterapp !== undefined", timeout=OPEN * 1000)
        marked = ask(page, OPENED, OPEN, f"notebooks/{notebook.name}")
        marked |= ask(page, CONNECTED, OPEN)
        ask(page, SAVED, OPEN)
        faults += changes(notebook, copy, marked)
        ask(page, RAN, RUN)
        ask(page, SAVED, OPEN)
        cells = ask(page, CELLS, OPEN)
        faults += wrong_outputs(cells)
        for index, cell in enumerate(cells):
            faults += [f"{name(index, cell)} {words}." for words in ask(page, SHOWN, OPEN, index)]
            if index in (0, len(cells) - 1) or displays(cell):
                page.screenshot(path=PICTURES / f"{number}-{index:02}.png")
    except Error as error:
        page.screenshot(path=PICTURES / f"{number}-failed.png")
        faults.append(f"JupyterLab: {error.message.splitlines()[0]}")
    return faults


def ask(page: Page, script: str, seconds: int, argument: Any = None) -> Any:
    """Return what the promise of a script brings; `evaluate` alone would await it for ever."""
    late = f"reject(new Error('no answer within {seconds} s'))"
    return page.evaluate(
        f"argument => Promise.race([({script})(argument), "
        f"new Promise((_, reject) => setTimeout(() => {late}, {seconds * 1000}))])",
        argument,
    )


def changes(notebook: Path, copy: Path, marked: bool) -> list[str]:
    """Return what JupyterLab changed when it opened a notebook and saved it.

    It notes the version of Python. Under another one than that of the outputs this is allowed.
    """
    before, after = (path.read_text(encoding="utf-8") for path in (notebook, copy))
    made_by, opened_by = (
        json.loads(text)["metadata"].get("language_info", {}).get("version")
        for text in (before, after)
    )
    if made_by and made_by != opened_by:
        print(f"{notebook.stem}: Python {made_by} made it, so {opened_by} marks it as changed.")
        after = after.replace(f'"version": "{opened_by}"', f'"version": "{made_by}"')
        marked = False
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), n=0)
    changed = [line.rstrip()[:100] for line in list(lines)[2:] if not line.startswith("@@")]
    faults = ["Opening it marks it as changed."] if marked else []
    return faults + (["Saving it changes it:", *changed[:20]] if changed else [])


def wrong_outputs(cells: list[dict[str, Any]]) -> list[str]:
    """Return the errors and warnings that cells show, and whether any did not run."""
    code = {index: cell for index, cell in enumerate(cells) if cell["cell_type"] == "code"}
    counts = [cell["execution_count"] for cell in code.values()]
    faults = [] if counts == list(range(1, len(counts) + 1)) else ["Not all cells ran."]
    for index, cell in code.items():
        for output in cell["outputs"]:
            if output["output_type"] == "error":
                faults.append(f"{name(index, cell)}: {output['ename']}: {output['evalue']}")
            elif output.get("name") == "stderr":
                faults.append(f"{name(index, cell)}: {''.join(output['text'])}")
    return faults


def displays(cell: dict[str, Any]) -> bool:
    """Return whether a cell shows a figure or a table."""
    kinds = {kind for output in cell.get("outputs", []) for kind in output.get("data", {})}
    return bool(kinds & {"image/jpeg", "image/png", "image/svg+xml", "text/html"})


def name(index: int, cell: dict[str, Any]) -> str:
    """Return what to call a cell: its number, from 0, and its first line."""
    first, *_ = "".join(cell["source"]).split("\n")
    return f"Cell {index} ({first[:60]})"


if __name__ == "__main__":
    raise SystemExit(main())

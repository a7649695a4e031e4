"""Tests of the notebooks as files: executed, small, literal parameters, the agreed shape.

nbval passes a notebook without outputs, whatever it does; these tests do not.
"""

import ast
import re

import cells
from dermaface import pipeline, runs
import nbformat
from nbval.plugin import IPyNbFile
import pytest
import refresh
import walkthroughs
import yaml

ROOT = runs.project_root()
RARELY = "# rarely changed"
NUMBERED = [ROOT / "notebooks" / f"{n}.ipynb" for n in runs.NOTEBOOKS + runs.FURTHER_NOTEBOOKS]
# Walkthroughs whose cells may be longer: lines of a cell, at the median, and of all code.
LONGER = {walkthroughs.IN_PYTORCH: (11, 220), "who_is_it": (8, 200), "08_try_it": (8, 200)}
PARAMETER = re.compile(r"[a-z_0-9]+: (int|float|str|bool|list) = .+  # \S.*")


@pytest.fixture(scope="module", params=NUMBERED + walkthroughs.FILES, ids=lambda path: path.stem)
def notebook(request):
    return request.param, nbformat.read(request.param, as_version=4)


def is_numbered(path):
    return path.parent.name == "notebooks"


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_executed_from_top_to_bottom_without_errors_or_chatter(notebook):
    _, content = notebook
    nbformat.validate(content)
    counts = [cell.execution_count for cell in code_cells(content)]
    assert counts == list(range(1, len(counts) + 1))
    for cell in code_cells(content):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.get("text")


def test_shows_results(notebook):
    _, content = notebook
    assert sum(bool(cell.outputs) for cell in code_cells(content)) >= 5


def test_small_and_without_absolute_paths(notebook):
    path, content = notebook
    assert path.stat().st_size < 300_000
    for cell in code_cells(content):
        text = str([{k: v for k, v in o.get("data", o).items() if k != "image/jpeg"}
                    for o in cell.outputs])  # fmt: skip
        assert not re.search(r"(/home|/root|/tmp|/work|/Users|[A-Z]:\\\\)", text)


def test_one_literal_parameters_cell_that_papermill_and_the_reader_understand(notebook):
    path, content = notebook
    tagged = [c for c in code_cells(content) if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    lines = tagged[0].source.splitlines()
    if RARELY in lines:
        assert lines.index(RARELY) <= 10
        lines.remove(RARELY)
    assert len(lines) <= 10 or RARELY in tagged[0].source
    first = {line.split(":")[0] for line in lines[:3]}
    if is_numbered(path):
        assert first == {"run_name", "output_dir", "seed"}
    else:  # A walkthrough belongs to no run.
        assert {"output_dir", "seed"} < first and "run_name" not in tagged[0].source
    for line in lines:
        assert PARAMETER.fullmatch(line), line
        assert line.count("=") == 1, f"papermill drops the help of {line}"
        ast.literal_eval(line.split(" = ")[1].split("  # ")[0])


def test_the_agreed_shape(notebook):
    path, content = notebook
    headings = [c.source.splitlines()[0] for c in content.cells if c.source.startswith("#")]
    if is_numbered(path):
        assert headings[0].startswith(f"# {int(path.stem[:2])}. ")
    else:
        assert re.match(r"# [A-Z]", headings[0])
    opening = content.cells[0].source
    for word in ("**You will**", "**Reads**", "**Writes**", "**Takes**"):
        assert word in opening
    assert "## Setup" in headings
    assert "## Summary" in headings
    summary = next(n for n, c in enumerate(content.cells) if c.source.startswith("## Summary"))
    assert content.cells[summary + 1].cell_type == "code", "the summary quotes this run's figures"
    closing = content.cells[-1].source
    for word in ("## Exercises", "<details>", "## Further reading", "## Next"):
        assert word in closing
    reading = closing.split("## Further reading")[1].split("## Next")[0]
    assert len(re.findall(r"\]\(https?://", reading)) >= 3
    assert 20 <= len(content.cells) <= 45


def test_the_readme_and_the_guide_tell_of_every_walkthrough():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in walkthroughs.FILES:
        assert f"]({path.relative_to(ROOT).as_posix()})" in readme


def test_a_walkthrough_writes_into_no_run_and_reads_none():
    for path in walkthroughs.FILES:
        source = "".join(c.source for c in code_cells(nbformat.read(path, as_version=4)))
        assert "open_run" not in source and ".start(" not in source and ".finish(" not in source


def test_only_those_who_name_the_walkthroughs_run_them(request):
    ran = {item.path for item in request.session.items if item.path in walkthroughs.FILES}
    named = any(walkthroughs.FOLDER.name in argument for argument in request.config.args)
    assert named or not ran


def test_cells_are_short_and_prose_goes_with_them(notebook):
    path, content = notebook
    # Where PyTorch is the subject, a network and a training loop are typed out; where persons are
    # enrolled, named and refused, the judgement is; where a file is used, an app's part is.
    middle, most = LONGER.get(path.stem, (6, 200))
    code = code_cells(content)
    told = [cell.source for cell in content.cells if cell.cell_type == "markdown"]
    lengths = sorted(
        len(c.source.splitlines()) for c in code if "parameters" not in c.metadata.get("tags", [])
    )
    assert lengths[-1] <= 16
    assert lengths[len(lengths) // 2] <= middle
    assert sum(length <= 12 for length in lengths) >= 0.9 * len(lengths)
    assert len(told) >= len(code)
    lines = sum(len(cell.source.splitlines()) for cell in code)
    assert lines <= most
    assert 8 <= sum(len(text.split()) for text in told) / lines <= 20


def test_printed_sentences_fit_a_page_of_800_pixels(notebook):
    _, content = notebook
    for cell in code_cells(content):
        for line in "".join(o.get("text", "") for o in cell.outputs).splitlines():
            assert len(line) <= 92 or "step - accuracy" in line, "it would break within a word"


def test_calls_are_short_enough_to_read(notebook):
    _, content = notebook
    for cell in code_cells(content):
        for call in ast.walk(ast.parse(cell.source)):
            if isinstance(call, ast.Call):
                assert len(call.args) + len(call.keywords) <= 6, ast.unparse(call)
                assert sum(word.arg is None for word in call.keywords) <= 1, ast.unparse(call)


def test_jupyterlab_opens_it_unchanged(notebook):
    # Saving it in JupyterLab changes no byte; `make test-browser` tries that.
    path, _ = notebook
    text = path.read_text(encoding="utf-8")
    content = nbformat.reads(text, as_version=4)
    made_by = content.metadata["language_info"]["version"]
    assert re.fullmatch(r"3\.1[1-3]\.\d+", made_by)
    refresh.normalize(content)
    content.metadata["language_info"]["version"] = made_by
    assert (content.nbformat, content.nbformat_minor) == (4, 5)
    assert nbformat.writes(content) + "\n" == text


def test_no_two_cells_share_an_id_and_every_tag_is_read_by_something(notebook):
    _, content = notebook
    assert len({cell.id for cell in content.cells}) == len(content.cells)
    for cell in content.cells:
        tags = cell.metadata.get("tags", ["parameters"])
        assert tags and set(tags) <= {
            "parameters", cells.IGNORED_TAG, cells.NUMBERS_VARY_TAG, refresh.FIGURE_TAG,
        }  # fmt: skip


def test_nbval_sees_nearly_every_output(notebook):
    _, content = notebook
    code = code_cells(content)
    tags = [tag for cell in code for tag in cell.metadata.get("tags", [])]
    assert tags.count(cells.IGNORED_TAG) <= len(code) / 10
    assert tags.count(cells.NUMBERS_VARY_TAG) <= len(code) / 2
    assert not any("NBVAL" in cell.source for cell in code), "tags say what is not compared"


SENTENCE = "int8 changed 3 of 1,068 answers, its\nlargest change is 2.6e-05 (-0.1 to +0.1).\n"
TABLE = "     loss\n---------\na   0.851\n"


@pytest.mark.parametrize(
    ("old", "new", "alike"),
    [
        (SENTENCE, SENTENCE.replace("3 of 1,068", "12 of 68").replace("2.6e-05", "-0.25"), True),
        (SENTENCE, SENTENCE.replace("its\n", "\nits "), True),
        (SENTENCE, SENTENCE.replace("changed", "kept"), False),
        (SENTENCE, SENTENCE.replace("int8", "int4"), False),
        (SENTENCE, SENTENCE.replace("2.6e-05", "nan"), False),
        (SENTENCE, "", False),
        (TABLE, TABLE.replace(" loss", "  loss").replace("---", "----"), True),
        (TABLE, TABLE.replace("0.851", "12"), True),
        (TABLE, TABLE + "b   0.851\n", False),
    ],
)
def test_where_numbers_vary_a_turned_sentence_fails_all_the_same(
    request, tmp_path, old, new, alike
):
    compare = nbval_comparison(request, tmp_path, old, [cells.NUMBERS_VARY_TAG])
    assert compare(new) is alike


def test_everywhere_else_a_changed_number_fails(request, tmp_path):
    compare = nbval_comparison(request, tmp_path, SENTENCE, [])
    assert compare(SENTENCE) and not compare(SENTENCE.replace("3", "4"))


def nbval_comparison(request, folder, committed, tags):
    """Return what nbval does with a new text of a cell, collected as all notebooks are."""

    def outputs_of(text):
        return [nbformat.v4.new_output("stream", text=text)] if text else []

    cell = nbformat.v4.new_code_cell(metadata={"tags": tags}, outputs=outputs_of(committed))
    path = folder / "a.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    (item,) = IPyNbFile.from_parent(request.session, path=path, nodeid=path.name).collect()
    request.config.hook.pytest_collection_modifyitems(
        session=request.session, config=request.config, items=[item]
    )
    return lambda text: item.compare_outputs(outputs_of(text), item.cell.outputs)


def test_all_were_made_by_one_python():
    made_by = {
        nbformat.read(path, as_version=4).metadata["language_info"]["version"]
        for path in (ROOT / "notebooks").rglob("*.ipynb")
    }
    assert len(made_by) == 1


def test_each_parameter_belongs_to_one_notebook_except_the_shared_ones():
    known = pipeline.known_parameters()
    for name in runs.SHARED_PARAMETERS:
        assert len({str(parameters[name]) for parameters in known.values()}) == 1
    own = [
        n for parameters in known.values() for n in parameters if n not in runs.SHARED_PARAMETERS
    ]
    assert len(own) == len(set(own))


@pytest.mark.parametrize(
    "file", sorted((ROOT / "notebooks/params").glob("*.yaml")), ids=lambda p: p.name
)
def test_parameter_files_fit_the_notebooks(file):
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    assigned = pipeline.assign_parameters(values)
    for name, value in values.items():
        assert any(parameters.get(name) == value for parameters in assigned.values())

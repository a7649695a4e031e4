"""Tests of dermaface.tflite.file: what a file is, and what it carries."""

import copy
import hashlib
import io
import random
import tracemalloc
import zipfile

from dermaface.tflite import convert, runtime
from dermaface.tflite import file as tflite_file
import numpy as np
import pytest

NAMES = ["acne", "Grübchen", "a, b", "x y"]
FACTS = {"name": "ü", "version": "1", "notice": "n", "min_confidence": 0.5}


@pytest.mark.parametrize("variant", convert.VARIANTS)
def test_metadata_changes_no_answer(tflite_files, variant, calibration, tmp_path):
    bare, full = tmp_path / "bare.tflite", tmp_path / "full.tflite"
    bare.write_bytes(tflite_files[variant])
    full.write_bytes(tflite_file.embed(tflite_files[variant], NAMES, FACTS))
    before, after = runtime.Classifier(bare, labels=NAMES), runtime.Classifier(full)
    for image in calibration:
        assert (before.predict_pixels(image) == after.predict_pixels(image)).all()
    assert 0 < full.stat().st_size - bare.stat().st_size < 10_000
    contents = tflite_file.read(full.read_bytes())
    assert contents.labels == NAMES and (contents.mean, contents.std) == (0, 1)
    assert tflite_file.audit(contents.model) == tflite_file.audit(tflite_files[variant])


def test_the_archive_is_stored_and_equal_models_are_equal_files(tflite_files):
    content = tflite_file.embed(tflite_files["int8"], NAMES, FACTS)
    assert tflite_file.embed(tflite_files["int8"], NAMES, FACTS) == content
    assert tflite_file.embed(content, NAMES, FACTS) == content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.testzip() is None
    facts = tflite_file.read(content).facts
    assert facts | FACTS == facts
    assert facts["sha256"] == hashlib.sha256(tflite_file.read(content).model).hexdigest()


def test_blocks_of_numbers_are_aligned(tflite_files):
    content = tflite_file.embed(tflite_files["int8_weights"], NAMES, FACTS)
    model = tflite_file.schema.Model.GetRootAs(content)
    places = [
        model.Buffers(i)._tab.Vector(model.Buffers(i)._tab.Offset(4))
        for i in range(model.BuffersLength())
        if not model.Buffers(i).DataIsNone()
    ]
    assert len(places) > 50 and all(place % 16 == 0 for place in places)


def test_every_changed_bit_is_noticed(tflite_files):
    content = tflite_file.embed(tflite_files["int8"], NAMES, FACTS)
    body = len(tflite_file.read(content).model)
    rng = random.Random(0)  # noqa: S311 (nothing secret)
    bits = [rng.randrange(8 * body) for _ in range(40)]
    bits += range(8 * body, 8 * len(content), 5)
    for bit in bits:
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(tflite_file.DamagedFileError):
            tflite_file.read(bytes(changed))


def test_every_missing_end_is_noticed(tflite_files):
    content = tflite_file.embed(tflite_files["int8"], NAMES, FACTS)
    body = len(tflite_file.read(content).model)
    for length in [0, 4, 100, body // 2, body - 1, *range(body, len(content), 61)]:
        with pytest.raises(tflite_file.DamagedFileError):
            tflite_file.read(content[:length])


def peak_megabytes(function, *arguments):
    """Return what a function raises, or None, and how much memory it took at most."""
    tracemalloc.start()
    try:
        function(*arguments)
        raised = None
    except Exception as error:
        raised = error
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return raised, peak / 1e6


@pytest.mark.parametrize("entry", ["labels.txt", "model.bin"])
def test_an_archive_bomb_is_not_unpacked(tflite_files, entry):
    # The metadata names labels.txt; nothing names model.bin.
    whole = tflite_file.embed(tflite_files["int8"], NAMES, {})
    buffer = io.BytesIO(tflite_file.read(whole).model)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(entry, bytes(60_000_000))
        if entry != "labels.txt":
            archive.writestr(zipfile.ZipInfo("labels.txt"), "\n".join(NAMES))
    raised, peak = peak_megabytes(tflite_file.read, buffer.getvalue())
    assert peak < 20
    if entry == "labels.txt":
        assert isinstance(raised, tflite_file.DamagedFileError) and "labels.txt" in str(raised)
    else:
        assert raised is None and tflite_file.read(buffer.getvalue()).labels == NAMES


def test_a_forged_number_breaks_nothing_and_takes_no_memory():
    schema = tflite_file.schema
    tensors = [
        schema.TensorT(shape=np.int32([1, 2]), type=0, buffer=buffer, name=b"t")
        for buffer in (0, 1)
    ]
    operator = schema.OperatorT(opcodeIndex=0, inputs=np.int32([0, 1]), outputs=np.int32([0]))
    graph = schema.SubGraphT(
        tensors=tensors, inputs=np.int32([0]), outputs=np.int32([0]), operators=[operator]
    )
    buffers = [schema.BufferT(), schema.BufferT(data=np.arange(8, dtype=np.uint8))]
    content = tflite_file.pack(
        schema.ModelT(
            version=3, operatorCodes=[schema.OperatorCodeT()], subgraphs=[graph], buffers=buffers
        )
    )
    assert tflite_file.audit(content).operators == {"ADD": 1}
    for place in range(0, len(content) - 3, 4):
        for number in (2**31 - 1, 2**20, 255):
            forged = content[:place] + number.to_bytes(4, "little") + content[place + 4 :]
            raised, peak = peak_megabytes(tflite_file.audit, forged)
            assert raised is None or isinstance(raised, tflite_file.DamagedFileError), raised
            assert peak < 1


def test_a_file_without_metadata_has_no_labels(tflite_files):
    contents = tflite_file.read(tflite_files["float32"])
    assert contents.labels == [] and contents.facts == {} and contents.mean is None
    assert contents.model == tflite_files["float32"]


def with_additions_in_floats(content, *numbers):
    """Return an int8 file in which some additions calculate in floats.

    Args:
        content: the int8 file.
        numbers: which of its additions, in the order of execution.
    """
    model = tflite_file.unpack(content)
    graph, names = model.subgraphs[0], tflite_file.operator_names(model)
    codes = {name: o.opcodeIndex for name, o in zip(names, graph.operators, strict=True)}

    def in_floats(index):
        tensor = copy.copy(graph.tensors[index])
        tensor.type, tensor.quantization = tflite_file.schema.TensorType.FLOAT32, None
        graph.tensors.append(tensor)
        return len(graph.tensors) - 1

    def between(name, source, target):
        return tflite_file.schema.OperatorT(
            opcodeIndex=codes[name], inputs=np.int32([source]), outputs=np.int32([target])
        )

    additions = [o for name, o in zip(names, graph.operators, strict=True) if name == "ADD"]
    for addition in [additions[number] for number in numbers]:
        inputs, (output,) = addition.inputs, addition.outputs
        addition.inputs = np.int32([in_floats(index) for index in inputs])
        addition.outputs = np.int32([in_floats(output)])
        place = graph.operators.index(addition)
        graph.operators[place : place + 1] = [
            *map(between, ["DEQUANTIZE"] * 2, inputs, addition.inputs),
            addition,
            between("QUANTIZE", addition.outputs[0], output),
        ]
    return tflite_file.pack(model)


def test_the_auditor_catches_a_float_island_that_claims_int8(tflite_files, calibration, tmp_path):
    mixed = with_additions_in_floats(tflite_files["int8"], 2)
    found = tflite_file.audit(mixed)
    assert found.kind == "int8_mixed" and found.float_islands == 1 and found.takes_raw_bytes
    assert sum(found.operators.values()) > 50
    with pytest.raises(
        ValueError, match="but is int8_mixed: it calculates in floats in 2 DEQUANTIZE, 1 ADD, 1 QUA"
    ):
        tflite_file.check_claim(mixed, "int8")
    with pytest.raises(ValueError, match="claims to be int8 but is dynamic"):
        tflite_file.check_claim(tflite_files["dynamic"], "int8")
    # It is a file like those of other makers: it answers, and only its operators give it away.
    answers = []
    for name, content in (("int8", tflite_files["int8"]), ("mixed", mixed)):
        (tmp_path / name).write_bytes(content)
        classifier = runtime.Classifier(tmp_path / name, labels=NAMES)
        answers.append([classifier.predict_pixels(image) for image in calibration])
    np.testing.assert_allclose(*answers, atol=0.1)


def test_the_auditor_counts_float_islands(tflite_files):
    # The first addition scales the picture; the others join two branches.
    found = tflite_file.audit(with_additions_in_floats(tflite_files["int8"], 2, -1))
    assert (found.kind, found.float_islands) == ("int8_mixed", 2)
    assert sorted(found.float_operators) == ["ADD"] * 2 + ["DEQUANTIZE"] * 4 + ["QUANTIZE"] * 2


def test_the_auditor_catches_a_wrong_scale(tflite_files):
    tflite_file.check_claim(tflite_files["int8"], "int8")
    model = tflite_file.unpack(tflite_files["int8"])
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].quantization.scale = np.float32([0.5])
    with pytest.raises(ValueError, match=r"scale 0.5 and zero point 0; .* wrong answers"):
        tflite_file.check_claim(tflite_file.pack(model), "int8")


def test_inputs_outputs_and_operators_of_each_variant(tflite_files):
    for variant, content in tflite_files.items():
        found = tflite_file.audit(content)
        assert found.input == (("UINT8", 1.0, 0) if variant == "int8" else ("FLOAT32", 0.0, 0))
        assert found.output[0] == "FLOAT32" and found.float_islands == 0
        assert found.operators["CONV_2D"] == 35 and found.operators["SOFTMAX"] == 1
        assert bool(found.float_operators) == (variant != "int8")


def test_the_lowest_runtime_knows_every_operator(tflite_files):
    # What the operators' versions need by tflite/tools/versioning/runtime_version.cc of
    # google-ai-edge/LiteRT: MEAN 1.6.0, DEQUANTIZE of half floats 1.15.0, FULLY_CONNECTED of floats
    # and bytes 2.17.0, CONV_2D of bytes 1.14.0, DEQUANTIZE with a scale for each channel 2.7.0.
    found = {name: tflite_file.audit(content).min_runtime for name, content in tflite_files.items()}
    assert found == {
        "float32": "1.6.0",
        "float16": "1.15.0",
        "dynamic": "2.17.0",
        "int8": "1.14.0",
        "int8_weights": "2.7.0",
    }


@pytest.mark.parametrize(
    ("noted", "then"),
    [(b"1.6.0", "2.7.0"), (b"2.13.0\0\0", "2.13.0"), (b"", "unknown"), (None, "unknown")],
)
def test_the_note_of_the_lowest_runtime_is_never_lowered(tflite_files, noted, then):
    model = tflite_file.unpack(tflite_files["float32"])
    (place,) = [e.buffer for e in model.metadata if e.name == b"min_runtime_version"]
    model.buffers[place].data = noted
    tflite_file.raise_min_runtime(model, "2.7.0")
    assert tflite_file.audit(model).min_runtime == then
    model.metadata = None
    tflite_file.raise_min_runtime(model, "2.7.0")
    assert tflite_file.audit(model).min_runtime == "unknown"


def test_what_is_no_model_is_refused():
    for content in (b"", b"not a model at all", b"\x1c\0\0\0TFL3" + bytes(40)):
        with pytest.raises(tflite_file.DamagedFileError):
            tflite_file.audit(content)

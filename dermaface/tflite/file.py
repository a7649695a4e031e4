"""What is inside a `.tflite` file: its operators, and the labels and rules that it carries.

Works on the file's bytes with flatbuffers and the schema that comes with LiteRT; no TensorFlow.
The metadata follows TensorFlow Lite's schema, which MediaPipe and Android's task libraries read.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import hashlib
import io
import json
from typing import Any
import zipfile

from dermaface.quiet import quiet
import flatbuffers
from flatbuffers import number_types
import numpy as np

with quiet():
    from ai_edge_litert import schema_py_generated as schema

LABELS_FILE, FACTS_FILE = "labels.txt", "dermaface.json"
METADATA_NAME, METADATA_IDENTIFIER = "TFLITE_METADATA", b"M001"
MIN_RUNTIME_NAME = "min_runtime_version"
# The archive's comment: this, and the SHA-256 of every byte before the digits.
COMMENT = b"sha256 of all before: "
# Room for the names of 100,000 classes.
MAX_ENTRY_BYTES = 2**22

OPERATOR_NAMES = {
    number: name for name, number in vars(schema.BuiltinOperator).items() if name.isupper()
}
TYPE_NAMES = {number: name for name, number in vars(schema.TensorType).items() if name.isupper()}
FLOATS = ("FLOAT32", "FLOAT16")


class DamagedFileError(ValueError):
    """A file is not what its writer wrote; nothing that it answers can be trusted."""


# --- The model's own bytes ------------------------------------------------------------------------


def unpack(model: bytes) -> schema.ModelT:
    """Return a model as objects, with every weight inside its own buffer.

    Files from litert-quantizer keep weights after the flatbuffer, where packing the objects again
    would silently lose them.

    Raises:
        DamagedFileError: it is not a whole TFLite model.
    """
    if model[4:8] != b"TFL3":
        raise DamagedFileError("It is not a TFLite model.")
    try:
        unpacked = schema.ModelT.InitFromPackedBuf(model)
        if not unpacked.subgraphs or not unpacked.operatorCodes or not unpacked.buffers:
            raise ValueError("it has no operators")
    except Exception as error:  # bytes that are no flatbuffer may raise anything
        raise DamagedFileError(
            f"It is damaged: it cannot be read as a TFLite model ({error})."
        ) from error
    for buffer in unpacked.buffers:
        if buffer.offset > 1:
            if buffer.offset + buffer.size > len(model):
                raise DamagedFileError("It is cut short: weights are missing at its end.")
            buffer.data = np.frombuffer(model, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0
    return unpacked


class _AlignedBuilder(flatbuffers.Builder):
    """A builder that puts every block of numbers at a multiple of 16 bytes, as kernels want it."""

    def CreateNumpyVector(self, x: np.ndarray) -> int:
        self.Prep(16, x.nbytes)
        return super().CreateNumpyVector(x)


def pack(model: schema.ModelT) -> bytes:
    """Return the bytes of a `.tflite` file from its objects."""
    for buffer in model.buffers:
        if isinstance(buffer.data, (bytes, bytearray)):
            buffer.data = np.frombuffer(buffer.data, np.uint8)
    builder = _AlignedBuilder(sum(b.data.nbytes for b in model.buffers if b.data is not None))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def operator_names(model: schema.ModelT) -> list[str]:
    """Return the name of each operator in the order of execution, "?" for an unknown one."""
    names = [operator_name(code) for code in model.operatorCodes]
    return [names[operator.opcodeIndex] for operator in model.subgraphs[0].operators]


def operator_name(code: schema.OperatorCodeT) -> str:
    """Return the name of a kind of operator, "?" for an unknown one."""
    return OPERATOR_NAMES.get(max(code.builtinCode, code.deprecatedBuiltinCode), "?")


def raise_min_runtime(model: schema.ModelT, release: str) -> None:
    """Note the release of TensorFlow Lite that a model needs, if an earlier one is noted."""
    note, noted = _find_note(model, MIN_RUNTIME_NAME), _min_runtime(model)
    if note is not None and noted != "unknown":
        later = max(noted, release, key=lambda text: [int(n) for n in text.split(".")])
        note.data = np.frombuffer(later.encode().ljust(16, b"\0"), np.uint8)


def _min_runtime(model: schema.ModelT) -> str:
    """Return the release of TensorFlow Lite that is noted in a model, or "unknown"."""
    note = _find_note(model, MIN_RUNTIME_NAME)
    noted = b"" if note is None or note.data is None else bytes(note.data)
    return noted.rstrip(b"\0").decode() or "unknown"


def _find_note(model: schema.ModelT, name: str) -> schema.BufferT | None:
    """Return the buffer of what stands under a name in a model's metadata, or None."""
    entries = [entry for entry in model.metadata or [] if _text(entry.name) == name]
    return model.buffers[entries[0].buffer] if entries else None


# --- What kind of file it is ----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Audit:
    """What a `.tflite` file is, whatever its name says.

    Attributes:
        kind: "float32"; "float16"; "dynamic" (8-bit weights, floats between layers); "int8_weights"
            (the same, weights turned into floats before they are used); "int8" (every operator
            calculates in 8 bits); "int8_mixed" (some do).
        operators: operator names and how often each occurs.
        float_operators: names of the operators with floats in or out, except those that turn the
            input into integers or the last integers into the output.
        float_islands: groups of adjoining float operators in a file that calculates in integers
            elsewhere; 0 for a file that is all of one kind.
        input: type, scale and zero point of the input; scale 0 means that it is not quantized.
        output: the same for the output.
        min_runtime: the lowest release of TensorFlow Lite that knows all operators, as noted in
            the file when it was converted, or "unknown".
        weight_bytes: how many bytes the weights and biases take.
    """

    kind: str
    operators: dict[str, int]
    float_operators: tuple[str, ...]
    float_islands: int
    input: tuple[str, float, int]
    output: tuple[str, float, int]
    min_runtime: str
    weight_bytes: int

    @property
    def summary(self) -> dict[str, str | int]:
        """What tells this file from its siblings, as a row of a table."""
        kind, scale, zero_point = self.input
        return {
            "it is": self.kind,
            "input": f"{kind}, scale {scale:g}, zero {zero_point}" if scale else kind,
            "output": self.output[0],
            "operators in floats": len(self.float_operators),
            "float islands": self.float_islands,
            "DEQUANTIZE": self.operators.get("DEQUANTIZE", 0),
            "TF Lite from": self.min_runtime,
            "weights (KB)": round(self.weight_bytes / 1000),
        }

    @property
    def takes_raw_bytes(self) -> bool:
        """Whether the input is a byte that means its own grey level: scale 1, zero point 0."""
        kind, scale, zero_point = self.input
        return kind == "UINT8" and abs(scale - 1) < 1e-6 and zero_point == 0


def audit(model: bytes | schema.ModelT) -> Audit:
    """Look into a `.tflite` file, or its objects from `unpack`.

    Raises:
        DamagedFileError: it is not a whole TFLite model.
    """
    if isinstance(model, bytes):
        model = unpack(model)
    try:
        return _audit(model)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(
            f"It is damaged: its operators and tensors do not fit together ({error!r})."
        ) from error


def _audit(model: schema.ModelT) -> Audit:
    """Return what a model is; an index that points nowhere raises one of several errors."""
    graph, names = model.subgraphs[0], operator_names(model)
    types = [TYPE_NAMES[t.type] for t in graph.tensors]
    constant = [model.buffers[t.buffer].data is not None for t in graph.tensors]

    def flowing(indices: Sequence[int]) -> list[int]:
        return [i for i in indices if i >= 0 and not constant[i]]

    # Turning weights into floats does not count as a calculation, and what comes out is constant.
    unpacks_weights = [
        name == "DEQUANTIZE" and constant[operator.inputs[0]]
        for name, operator in zip(names, graph.operators, strict=True)
    ]
    for operator, unpacks in zip(graph.operators, unpacks_weights, strict=True):
        if unpacks:
            constant[operator.outputs[0]] = True
    floats, calculates_in_integers = [], False
    for number, (name, operator) in enumerate(zip(names, graph.operators, strict=True)):
        inputs, outputs = flowing(operator.inputs), flowing(operator.outputs)
        is_border = (name == "QUANTIZE" and set(inputs) <= set(graph.inputs)) or (
            name == "DEQUANTIZE" and set(outputs) <= set(graph.outputs)
        )
        if unpacks_weights[number] or is_border:
            continue
        if any(types[i] in FLOATS for i in inputs + outputs):
            floats.append(number)
        elif any(types[i] in ("INT8", "UINT8") for i in inputs + outputs):
            calculates_in_integers = True
    weights: Counter[str] = Counter()
    for tensor, kind in zip(graph.tensors, types, strict=True):
        data = model.buffers[tensor.buffer].data
        weights[kind] += 0 if data is None else data.nbytes
    if calculates_in_integers:
        kind = "int8_mixed" if floats else "int8"
    elif weights["INT8"] > weights["FLOAT32"] + weights["FLOAT16"]:
        kind = "int8_weights" if any(unpacks_weights) else "dynamic"
    else:
        kind = "float16" if weights["FLOAT16"] > weights["FLOAT32"] else "float32"
    return Audit(
        kind=kind,
        operators=dict(Counter(names)),
        float_operators=tuple(names[number] for number in floats),
        float_islands=_count_groups(graph, floats, flowing) if kind == "int8_mixed" else 0,
        input=_describe_tensor(graph.tensors[graph.inputs[0]]),
        output=_describe_tensor(graph.tensors[graph.outputs[0]]),
        min_runtime=_min_runtime(model),
        weight_bytes=sum(weights.values()),
    )


def _count_groups(
    graph: schema.SubGraphT, numbers: Sequence[int], flowing: Callable[[Sequence[int]], list[int]]
) -> int:
    """Return how many connected groups some operators form, joined by what flows between them."""
    groups: list[set[int]] = []
    for number in numbers:
        operator = graph.operators[number]
        touched = set(flowing(operator.inputs)) | set(flowing(operator.outputs))
        joined = [group for group in groups if group & touched]
        groups = [group for group in groups if not group & touched]
        groups.append(touched.union(*joined))
    return len(groups)


def _describe_tensor(tensor: schema.TensorT) -> tuple[str, float, int]:
    """Return a tensor's type, scale and zero point."""
    numbers = tensor.quantization
    has_scale = numbers is not None and numbers.scale is not None and len(numbers.scale)
    scale = float(numbers.scale[0]) if has_scale else 0.0
    zero_point = int(numbers.zeroPoint[0]) if has_scale and len(numbers.zeroPoint) else 0
    return TYPE_NAMES[tensor.type], scale, zero_point


def check_claim(content: bytes, variant: str) -> None:
    """Make sure that a file is what its variant's name says.

    Raises:
        ValueError: it is damaged, it is another kind of file, or it calculates in 8 bits and does
            not take raw bytes.
    """
    found = audit(content)
    if found.kind != variant:
        floats = ", ".join(f"{n} {name}" for name, n in Counter(found.float_operators).items())
        raise ValueError(
            f"The file claims to be {variant} but is {found.kind}"
            + (f": it calculates in floats in {floats}." if floats else ".")
        )
    is_bytes = found.input[0] in ("INT8", "UINT8")
    if (variant == "int8" or is_bytes) and not found.takes_raw_bytes:
        kind, scale, zero_point = found.input
        raise ValueError(
            f"The {variant} file takes {kind} with scale {scale:g} and zero point {zero_point}; a "
            "client that feeds raw bytes would get wrong answers."
        )


# --- What it carries ------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Contents:
    """A `.tflite` file taken apart.

    Attributes:
        model: the model's own bytes, without the archive after it.
        labels: the classes in index order; empty where the file carries none.
        facts: what else it says about itself; empty for another maker's file.
        mean: what a client subtracts from the pixels 0..255 before it feeds them, or None.
        std: what it then divides them by, or None.
    """

    model: bytes
    labels: list[str]
    facts: dict
    mean: float | None
    std: float | None


def embed(content: bytes, labels: Sequence[str], facts: Mapping[str, object]) -> bytes:
    """Return a `.tflite` file that carries its labels, its input rule and some facts.

    The metadata block goes into the model's flatbuffer; the labels and the facts follow in a zip
    archive, stored and not compressed, as the metadata schema demands. The archive's comment holds
    the SHA-256 of all bytes before it, so that one changed bit shows.

    Args:
        content: the `.tflite` file; what it carried before is replaced.
        labels: the classes in index order.
        facts: what `read` will return, JSON values; "name", "version" and "notice" also go into
            the metadata block. "sha256" is added: that of the model's bytes, up to the archive.
    """
    model = unpack(_split_archive(content)[0])
    note = _find_note(model, METADATA_NAME)
    if note is None:
        note = schema.BufferT()
        entry = schema.MetadataT(METADATA_NAME, len(model.buffers))
        model.metadata = [*(model.metadata or []), entry]
        model.buffers.append(note)
    note.data = np.frombuffer(_metadata_block(labels, facts), np.uint8)
    body = pack(model)

    said = dict(facts) | {"sha256": hashlib.sha256(body).hexdigest()}
    files = {
        LABELS_FILE: "\n".join(labels) + "\n",
        FACTS_FILE: json.dumps(said, indent=2, ensure_ascii=False) + "\n",
    }
    buffer = io.BytesIO(body)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            # A fixed date makes equal models equal files.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
        archive.comment = COMMENT + b"0" * 64
    unsigned = buffer.getvalue()[:-64]
    return unsigned + hashlib.sha256(unsigned).hexdigest().encode()


def read(content: bytes) -> Contents:
    """Take a `.tflite` file apart and check that it is whole.

    Raises:
        DamagedFileError: it is not a TFLite model, or not as it was written: a bit was changed, or
            the end is missing.
    """
    model, archive = _split_archive(content)
    names = archive.namelist() if archive else []
    labels, facts = [], {}
    if archive and (FACTS_FILE in names or archive.comment.startswith(COMMENT)):
        if content[-64:] != hashlib.sha256(content[:-64]).hexdigest().encode():
            raise DamagedFileError(
                "It is damaged: its checksum does not match. Some bytes have changed since it was "
                "written; copy it again."
            )
        facts = json.loads(_read_entry(archive, FACTS_FILE))
    unpacked = unpack(model)
    mean = std = None
    labels_file: str | None = LABELS_FILE
    try:
        if (note := _find_note(unpacked, METADATA_NAME)) is not None:
            mean, std, labels_file = _read_metadata_block(bytes(note.data))
    except Exception as error:
        raise DamagedFileError(f"It is damaged: its metadata cannot be read ({error}).") from error
    if note is not None and labels_file and labels_file not in names:
        raise DamagedFileError(
            "It is cut short: its metadata names a labels file that is not there."
        )
    if archive and labels_file in names:
        labels = _read_entry(archive, labels_file).splitlines()
    return Contents(model, labels, facts, mean, std)


def _read_entry(archive: zipfile.ZipFile, name: str) -> str:
    """Return the text of a file in the archive after a model.

    Raises:
        DamagedFileError: it is not there, damaged, compressed (which the metadata schema rules out,
            and which lets a small file fill the memory), or too large.
    """
    try:
        info = archive.getinfo(name)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > MAX_ENTRY_BYTES:
            raise ValueError("it is compressed, or too large")
        return archive.read(info).decode("utf-8")
    except Exception as error:  # an archive with a wrong bit may raise anything
        raise DamagedFileError(f"It is damaged: {name} in it cannot be read ({error}).") from error


def _split_archive(content: bytes) -> tuple[bytes, zipfile.ZipFile | None]:
    """Return a file's model and the archive after it, or None if there is none."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        entries = archive.infolist()
    except Exception:  # bytes that are no archive may raise anything
        return content, None
    if not entries:
        return content, None
    return content[: min(entry.header_offset for entry in entries)], archive


def _text(value: bytes | str) -> str:
    """Return a flatbuffer's string as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


# The numbers below are the places of fields in TensorFlow Lite's metadata_schema.fbs, whose tables
# are written here as dictionaries from place to value.
IMAGE_PROPERTIES, FEATURE_PROPERTIES = 2, 1
NORMALIZATION_OPTIONS, RGB, TENSOR_AXIS_LABELS = 1, 1, 2


def _metadata_block(labels: Sequence[str], facts: Mapping[str, object]) -> bytes:
    """Return the metadata flatbuffer: what goes in, what comes out, and where the labels are.

    A mean of 0 and a deviation of 1 say: feed the pixels 0..255 as they are.
    """

    def numbers(*values: float) -> np.ndarray:
        return np.array(values, np.float32)

    image = {
        0: "image",
        1: "An upright RGB photo, stretched to the square; pixels 0..255 as they are.",
        3: {0: IMAGE_PROPERTIES, 1: {0: RGB}},
        4: [{0: NORMALIZATION_OPTIONS, 1: {0: numbers(0), 1: numbers(1)}}],
        5: {0: numbers(255), 1: numbers(0)},
    }
    probabilities = {
        0: "probability",
        1: "One probability per class, in the order of the labels.",
        3: {0: FEATURE_PROPERTIES, 1: {}},
        5: {0: numbers(1), 1: numbers(0)},
        6: [{0: LABELS_FILE, 1: "One class per line, in index order.", 2: TENSOR_AXIS_LABELS}],
    }
    model = {
        0: str(facts.get("name", "")),
        1: f"Tells {len(labels)} classes of photos apart. {facts.get('notice', '')}".strip(),
        2: str(facts.get("version", "")),
        3: [{2: [image], 3: [probabilities]}],
        4: str(facts.get("made_by", "")),
        7: "1.0.0",
    }
    builder = flatbuffers.Builder(1024)
    builder.Finish(_build(builder, model), file_identifier=METADATA_IDENTIFIER)
    return bytes(builder.Output())


def _build(builder: flatbuffers.Builder, value: str | np.ndarray | list | dict[int, Any]) -> int:
    """Write a text, an array, a list or a table after its contents, and return where it lies."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, np.ndarray):
        return builder.CreateNumpyVector(value)
    if isinstance(value, list):
        places = [_build(builder, item) for item in value]
        builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            builder.PrependUOffsetTRelative(place)
        return builder.EndVector()
    # A whole number in a table is a byte that names one of several choices.
    fields = {
        slot: item if isinstance(item, int) else _build(builder, item)
        for slot, item in value.items()
    }
    builder.StartObject(max(value, default=-1) + 1)
    for slot, field in fields.items():
        if isinstance(value[slot], int):
            builder.PrependUint8Slot(slot, field, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, field, 0)
    return builder.EndObject()


def _read_metadata_block(block: bytes) -> tuple[float | None, float | None, str | None]:
    """Return mean and deviation of the input's normalization, and the name of the labels file."""
    root = flatbuffers.Table(block, flatbuffers.encode.Get(flatbuffers.packer.uoffset, block, 0))
    mean = std = labels_file = None
    for graph in _tables(root, 3):
        for tensor in _tables(graph, 2):
            for unit in _tables(tensor, 4):
                if _byte(unit, 0) == NORMALIZATION_OPTIONS:
                    options = _table(unit, 1)
                    mean, std = _first_float(options, 0), _first_float(options, 1)
        for tensor in _tables(graph, 3):
            for file in _tables(tensor, 6):
                if _byte(file, 2) == TENSOR_AXIS_LABELS:
                    labels_file = file.String(_position(file, 0)).decode("utf-8")
    return mean, std, labels_file


def _position(table: flatbuffers.Table, slot: int) -> int:
    """Return where a table's field lies in its bytes, or 0 if it is not there."""
    offset = table.Offset(4 + 2 * slot)
    return offset + table.Pos if offset else 0


def _table(table: flatbuffers.Table, slot: int) -> flatbuffers.Table:
    """Return the table in a field."""
    return flatbuffers.Table(table.Bytes, table.Indirect(_position(table, slot)))


def _tables(table: flatbuffers.Table, slot: int) -> Iterator[flatbuffers.Table]:
    """Yield the tables of the list in a field, none if it is not there."""
    offset = table.Offset(4 + 2 * slot)
    if offset:
        start = table.Vector(offset)
        for number in range(table.VectorLen(offset)):
            yield flatbuffers.Table(table.Bytes, table.Indirect(start + 4 * number))


def _byte(table: flatbuffers.Table, slot: int) -> int:
    """Return the byte in a field, 0 if it is not there."""
    position = _position(table, slot)
    return table.Get(number_types.Uint8Flags, position) if position else 0


def _first_float(table: flatbuffers.Table, slot: int) -> float:
    """Return the first number of the list in a field."""
    return float(table.Get(number_types.Float32Flags, table.Vector(table.Offset(4 + 2 * slot))))

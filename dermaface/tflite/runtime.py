"""Classify photos with a `.tflite` file: LiteRT, NumPy, Pillow and simplejpeg, no TensorFlow."""

import contextlib
from pathlib import Path
from typing import Any, BinaryIO
import warnings

from dermaface.photos.pixels import BLUR_SIZE, blur_score, decode_image, load_image, resize
from dermaface.quiet import quiet
from dermaface.tflite import file as tflite_file
import numpy as np

with quiet():
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

NO_SETS = (
    "This file carries no threshold for sets of classes: it comes from another maker or from an "
    "older version. Convert the model again with notebook 05."
)


class Classifier:
    """A `.tflite` image classifier that carries its labels and says how to feed it.

    Attributes:
        labels: the classes in the order of the output.
        image_size: side of the square input in pixels.
        facts: what else the file says about itself; empty for another maker's file.
        notice: what the file wants its user to be told, or "".
    """

    def __init__(self, path: str | Path, labels: list[str] | None = None, num_threads: int = 2):
        """Load a file.

        Args:
            path: the `.tflite` file.
            labels: its classes, for a file that does not carry them.
            num_threads: processor threads for LiteRT.

        Raises:
            ValueError: the file is not there or damaged, does not take one RGB image, has no
                labels, or does not have as many labels as outputs.
        """
        path = Path(path)
        name = repr(str(path))
        if not path.is_file():
            raise ValueError(f"There is no model file {name}.")
        try:
            contents = tflite_file.read(path.read_bytes())
        except tflite_file.DamagedFileError as error:
            raise ValueError(f"{name} gives no answers. {error}") from error
        self.facts = contents.facts
        self.notice = contents.facts.get("notice", "")
        self._mean = 0.0 if contents.mean is None else contents.mean
        self._std = 1.0 if contents.std is None else contents.std
        self._interpreter = open_interpreter(contents.model, num_threads)
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]
        shape = [int(n) for n in self._input["shape"]]
        if len(shape) != 4 or shape[0] != 1 or shape[1] != shape[2] or shape[3] != 3:
            raise ValueError(f"{name} takes input of shape {shape}, not one square RGB image.")
        if self._input["dtype"] not in (np.float32, np.uint8, np.int8):
            raise ValueError(f"{name} takes {self._input['dtype'].__name__} input, not pixels.")
        self.image_size = shape[1]
        self.labels = list(labels) if labels else contents.labels
        num_classes = int(self._output["shape"][-1])
        if not self.labels:
            raise ValueError(
                f"{name} carries no labels, and nothing says what its {num_classes} answers mean. "
                "Give its classes in order with labels=[...], or use the file as it was released."
            )
        if len(self.labels) != num_classes:
            raise ValueError(
                f"{name} gives {num_classes} probabilities, but there are {len(self.labels)} "
                "labels. They belong to another model; no answer would be right."
            )

    def predict_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Return the probability of every class for one image.

        Args:
            pixels: uint8 array of shape (image_size, image_size, 3), 0..255, as from `load_image`.

        Returns:
            float32 array of shape (num_classes,).
        """
        values = (np.asarray(pixels, np.float32) - self._mean) / self._std
        self._interpreter.set_tensor(self._input["index"], to_input(values[None], self._input))
        self._interpreter.invoke()
        answer = self._interpreter.get_tensor(self._output["index"])[0]
        scale, zero_point = self._output["quantization"]
        if answer.dtype == np.float32 or not scale:
            return answer
        return (answer.astype(np.float32) - zero_point) * np.float32(scale)

    def predict(self, image: str | Path | np.ndarray, top: int = 3) -> list[tuple[str, float]]:
        """Return the `top` likeliest classes of a photo with their probabilities, likeliest first.

        Args:
            image: an image file, or a uint8 array of shape (height, width, 3), 0..255, upright.
            top: how many classes.

        Raises:
            ValueError: the image cannot be read.
        """
        return self.name_best(self.predict_pixels(self._read(image)), top)

    def predict_set(self, image: str | Path | np.ndarray) -> list[tuple[str, float]]:
        """Return the classes that a photo may show, likeliest first, with their probabilities.

        The set holds the true class for about the share of photos that `facts["set_coverage"]`
        names, if they are of the kind that the file was made for.

        Args:
            image: as for `predict`.

        Raises:
            ValueError: the image cannot be read, or the file carries no threshold for sets.
        """
        return self.name_set(self.predict_pixels(self._read(image)))

    def answer(
        self, image: str | Path | BinaryIO, top: int = 3, min_confidence: float | None = None
    ) -> dict[str, Any]:
        """Return all that the file says of a photo, ready for JSON.

        Args:
            image: an image file, or an open one.
            top: how many classes.
            min_confidence: the probability from which on an answer is sure; None takes the file's.

        Returns:
            `predictions`, the `top` likeliest classes, likeliest first, each with `label` and
            `probability`; `sure`; `blurred`, by the file's measure; and, if the file carries a
            threshold for sets, `set`: the labels of all classes that the photo may show.

        Raises:
            ValueError: the image cannot be read.
        """
        limit = self.facts.get("min_confidence", 0.0) if min_confidence is None else min_confidence
        size = max(self.image_size, BLUR_SIZE)
        pixels = decode_image(image, at_least=2 * size)
        blurred = blur_score(resize(pixels, BLUR_SIZE)) < self.facts.get("blur_threshold", 0.0)
        if size > self.image_size:
            # The pixel rule decodes a large photo at a smaller size than the blur measure does.
            if not isinstance(image, (str, Path)):
                image.seek(0)
            pixels = decode_image(image, at_least=2 * self.image_size)
        probabilities = self.predict_pixels(resize(pixels, self.image_size))
        best = self.name_best(probabilities, top)
        said: dict[str, Any] = {
            "predictions": [{"label": label, "probability": p} for label, p in best],
            "sure": bool(probabilities.max() >= limit),
            "blurred": bool(blurred),
        }
        if "set_threshold" in self.facts:
            said["set"] = [label for label, _ in self.name_set(probabilities)]
        return said

    def _read(self, image: str | Path | np.ndarray) -> np.ndarray:
        """Return the pixels of an image by the pixel rule; see `predict`."""
        if not isinstance(image, np.ndarray):
            return load_image(image, self.image_size)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                "An image array must be uint8 of shape (height, width, 3), 0..255; "
                f"got {image.dtype} of shape {image.shape}."
            )
        return resize(image, self.image_size)

    def name_best(self, probabilities: np.ndarray, top: int = 3) -> list[tuple[str, float]]:
        """Return the `top` likeliest classes with their probabilities, likeliest first.

        Args:
            probabilities: (num_classes,), as from `predict_pixels`.
            top: how many classes.
        """
        best = np.argsort(-probabilities, kind="stable")[:top]
        return [(self.labels[index], float(probabilities[index])) for index in best]

    def name_set(self, probabilities: np.ndarray) -> list[tuple[str, float]]:
        """Return the classes of a set with their probabilities, likeliest first.

        Args:
            probabilities: (num_classes,), as from `predict_pixels`.

        Raises:
            ValueError: the file carries no threshold for sets.
        """
        if "set_threshold" not in self.facts:
            raise ValueError(NO_SETS)
        best = self.name_best(probabilities, top=len(self.labels))
        return [pair for pair in best if pair[1] >= self.facts["set_threshold"]] or best[:1]


def to_input(values: np.ndarray, details: dict) -> np.ndarray:
    """Return numbers in the type of a file's input, quantized where it takes whole numbers.

    Args:
        values: float32, what the input stands for.
        details: the interpreter's description of the input.
    """
    kind = details["dtype"]
    scale, zero_point = details["quantization"]
    if kind == np.float32 or not scale:
        return values.astype(kind)
    limits = np.iinfo(kind)
    return np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max).astype(kind)


def open_interpreter(
    model: str | Path | bytes, num_threads: int = 2, keep_all_tensors: bool = False
) -> Interpreter:
    """Return a LiteRT interpreter for a file or its bytes, ready to be fed.

    Args:
        model: the file's path, or its content.
        num_threads: processor threads.
        keep_all_tensors: whether the outputs of all layers can be read after a run; slower, because
            no memory is reused and no layers are merged.

    Raises:
        ValueError: it is not a TFLite model that LiteRT can run.
    """
    content = model if isinstance(model, bytes) else Path(model).read_bytes()
    # LiteRT may crash on what only looks like a model; a TFLite file names its kind at byte 4.
    if content[4:8] != b"TFL3":
        name = "These bytes are" if isinstance(model, bytes) else f"{str(model)!r} is"
        raise ValueError(f"{name} not a TFLite model.")
    try:
        # The first interpreter of a process writes a message about its delegate to the terminal.
        with quiet(), contextlib.ExitStack() as stack:
            if keep_all_tensors:
                stack.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")  # it takes memory, as it should
            interpreter = Interpreter(
                model_content=content,
                num_threads=num_threads,
                experimental_preserve_all_tensors=keep_all_tensors,
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
                if keep_all_tensors
                else OpResolverType.AUTO,
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"LiteRT cannot run this model: {error}") from error
    return interpreter

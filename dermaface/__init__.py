"""DermaFace: from a folder of labelled photos to a TFLite file, with proof of its answers.

Importing the package loads nothing else; each module is imported where it is used.
"""

from typing import Any

__all__ = ["Classifier", "__version__"]
__version__ = "0.2.0.dev0"


def __getattr__(name: str) -> Any:
    """Import `Classifier` when it is asked for, so that `import dermaface` stays instant."""
    if name == "Classifier":
        from dermaface.tflite.runtime import Classifier

        return Classifier
    raise AttributeError(f"module 'dermaface' has no attribute {name!r}")

"""Hold back what native libraries write straight to the terminal."""

from collections.abc import Iterator
import contextlib
import logging
import os
import sys
import tempfile
import threading
from typing import IO

# Matplotlib, which Keras imports too, says that it lists fonts or cannot write to the home folder.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
# LiteRT Torch makes PyTorch say how another package should register its types.
logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)

_lock = threading.Lock()
_blocks = 0  # entered and not left yet, in all threads
_raised = False  # whether one of them has raised
_held: IO[bytes]  # what they have written
_saved: int  # where it would have gone


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back everything written to file descriptor 2 inside the block, unless it raises.

    TensorFlow, its converter and LiteRT write start-up messages there from C++, past Python's
    `sys.stderr` and, since TensorFlow 2.19, past `TF_CPP_MIN_LOG_LEVEL`. When the block raises,
    the text held back is written after all, because it may hold the reason.

    The descriptor belongs to the process: where blocks overlap, in one thread or in several, the
    text is held from the start of the first to the end of the last, and written if any raises.
    """
    global _blocks, _raised, _held, _saved
    with _lock:
        if _blocks == 0:
            sys.stderr.flush()
            _held = tempfile.TemporaryFile()  # noqa: SIM115 (the last block closes it)
            _saved, _raised = os.dup(2), False
            os.dup2(_held.fileno(), 2)
        _blocks += 1
    try:
        yield
    except BaseException:
        _raised = True
        raise
    finally:
        with _lock:
            _blocks -= 1
            if _blocks == 0:
                os.dup2(_saved, 2)
                os.close(_saved)
                with _held:
                    if _raised:
                        _held.seek(0)
                        os.write(2, _held.read())

"""Hold back what native libraries write straight to the terminal."""

from collections.abc import Iterator
import contextlib
import logging
import os
import sys
import tempfile

# Matplotlib, which Keras imports too, notes that it lists fonts or cannot write the home folder.
logging.getLogger("matplotlib").setLevel(logging.ERROR)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back everything written to file descriptor 2 inside the block, unless it raises.

    TensorFlow, its converter and LiteRT write start-up notes there from C++, past Python's
    `sys.stderr` and, since TensorFlow 2.19, past `TF_CPP_MIN_LOG_LEVEL`. When the block raises,
    the text held back is written after all, because it may hold the reason.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        saved = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(saved, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)

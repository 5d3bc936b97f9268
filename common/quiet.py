"""Imports of libraries that speak when imported, and say nothing a user could act on."""

import contextlib
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Silence torchrec 1.8 and fbgemm 1.8: their import warns of their own renamed modules.

    torchrec also makes torch log, at the first KeyedJaggedTensor, that it asks for tracing by an old name.
    """
    logging.getLogger("torch.fx._symbolic_trace").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

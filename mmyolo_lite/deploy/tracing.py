"""The fence around PyTorch's tracing, which exports build on.

PyTorch 2.11 announces the end of TorchScript and of the exporter that traces, for the one built on
``torch.export``. That one needs a package more (onnxscript), rewrites the graph in ways that differ
from release to release, and turns the non-maximum suppression, whose outputs have no fixed size,
down or around. The traced graph is checked number by number against PyTorch instead. Can go when
the new exporter takes such models in all tested versions.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from torch.jit import TracerWarning


@contextmanager
def quiet_tracing() -> Iterator[None]:
    """Leave out what PyTorch says about tracing as such."""
    logger = logging.getLogger('torch.onnx')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # the end of TorchScript and of the exporter, see above
            warnings.simplefilter('ignore', DeprecationWarning)
            warnings.filterwarnings('ignore', '`torch.jit', FutureWarning)  # as 2.14 has it
            # what becomes a constant: tests run the files with other sizes than the traced one
            warnings.simplefilter('ignore', TracerWarning)
            warnings.filterwarnings('ignore', category=UserWarning, module='torch.onnx')
            yield
    finally:
        logger.setLevel(level)

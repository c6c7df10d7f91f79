"""What an export can be asked for; without any framework, so that command lines start quickly."""

from dataclasses import dataclass
from pathlib import Path

from mmyolo_lite.errors import ConfigError

SUFFIXES = {'onnx': '.onnx', 'torchscript': '.torchscript', 'openvino': '.xml', 'engine': '.engine'}
"""Suffix of the exported file, by format."""
DYNAMIC = ('none', 'batch', 'all')
"""What of the input's shape is free: nothing, the batch, or batch, height and width."""
NMS = ('graph', 'none')
"""Where detections are chosen: in the graph, or by whoever runs it."""
DEFAULT_OPSET = 17
OPSETS = range(13, 21)
"""Versions of ONNX's operators that PyTorch's exporter writes."""


def is_exported(path: str | Path) -> bool:
    """Say whether a path has the name of an exported file."""
    return Path(path).suffix.lower() in SUFFIXES.values()


@dataclass(frozen=True)
class ExportOptions:
    """How a model is exported.

    Attributes:
        format: key of :data:`SUFFIXES`.
        input_hw: height and width of the input in pixels; None takes the config's test size.
        dynamic: one of :data:`DYNAMIC`.
        batch: images of a batch, where it is fixed.
        half: weights and layers in float16; inputs, outputs and what follows the layers stay in
            float32.
        nms: one of :data:`NMS`.
        opset: of ONNX.
        simplify: fold what is constant with onnxslim.
        score_thr: lowest score of a detection; None takes the config's.

    Raises:
        ConfigError: a value that cannot be, or options that exclude each other.
    """

    format: str = 'onnx'
    input_hw: tuple[int, int] | None = None
    dynamic: str = 'none'
    batch: int = 1
    half: bool = False
    nms: str = 'graph'
    opset: int = DEFAULT_OPSET
    simplify: bool = False
    score_thr: float | None = None

    def __post_init__(self) -> None:
        for name, known in (('format', tuple(SUFFIXES)), ('dynamic', DYNAMIC), ('nms', NMS)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f'{name} is {getattr(self, name)!r}; choose from {", ".join(known)}.'
                )
        if self.batch < 1:
            raise ConfigError(f'--batch is {self.batch}; a batch has 1 image or more.')
        if self.opset not in OPSETS:
            raise ConfigError(
                f'--opset is {self.opset}; PyTorch writes ONNX opsets {OPSETS.start} to '
                f'{OPSETS.stop - 1}.'
            )
        if self.score_thr is not None and not 0 <= self.score_thr < 1:
            raise ConfigError(f'--score-thr is {self.score_thr:g}; scores are from 0 to 1.')
        if self.dynamic != 'none' and self.format == 'engine':
            raise ConfigError('--format engine has a fixed shape: leave --dynamic out.')
        if self.simplify and self.format == 'torchscript':
            raise ConfigError('--simplify works on ONNX graphs: leave it out with torchscript.')

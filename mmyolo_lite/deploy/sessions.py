"""Running an exported file: one class a format, each imported with its package when it is used.

A session gives the metadata of its file, and runs batches: (B, 3, H, W) float32 in, named arrays
out.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mmyolo_lite.deploy.metadata import KEY, read_metadata
from mmyolo_lite.deploy.options import SUFFIXES
from mmyolo_lite.deploy.steps import Arrays
from mmyolo_lite.deploy.tracing import quiet_tracing
from mmyolo_lite.errors import CheckpointError, ConfigError, DependencyError
from mmyolo_lite.ops.box_masks import Floats

SCORE_INPUT = 'score_threshold'
"""Optional input of an ONNX file: (1,) float32, in place of its own threshold of scores."""


def required(module: str, package: str, purpose: str) -> Any:
    """Import an optional package.

    Args:
        module: its name in Python.
        package: its name for pip.
        purpose: what needs it.

    Raises:
        DependencyError: it is missing, or does not load.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = f' ({error})' if importlib.util.find_spec(module.split('.')[0]) else ''
        raise DependencyError(
            f'{purpose} needs the package {package}{reason}: pip install {package}'
        ) from error


class Session(ABC):
    """An exported file, ready to run.

    Attributes:
        meta: its metadata.
        path: of the file.

    Args:
        path: of the file.
        device: ``'cpu'``, ``'cuda'``, or None for the best that the package finds.
        threads: of the CPU; None leaves it to the package.

    Raises:
        CheckpointError: the file is damaged, or of somebody else.
        ConfigError: the device is none.
        DependencyError: the package of the format is missing.
    """

    def __init__(self, path: Path, device: str | None = None, threads: int | None = None) -> None:
        self.path = path
        with _explained(path):
            text = self._load(device, threads)
        self.meta = read_metadata(text, str(path))

    def __call__(self, images: Floats, score_thr: float | None = None) -> Arrays:
        """Return the outputs by name.

        Args:
            images: (B, 3, H, W) as the metadata describe them.
            score_thr: where the file takes one, the graph drops objects up to it.
        """
        return self._run(images, score_thr)

    @abstractmethod
    def _load(self, device: str | None, threads: int | None) -> str | None:
        """Load the file and return its metadata as text."""

    @abstractmethod
    def _run(self, images: Floats, score_thr: float | None) -> Arrays:
        """Run one batch."""


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the packages raise for bad files into one message."""
    try:
        yield
    except (ConfigError, CheckpointError, DependencyError):
        raise
    except Exception as error:  # each package has its own kinds
        reason = str(error).strip().split('\n')[0][:200]
        raise CheckpointError(
            f'{path} cannot be loaded ({path.stat().st_size} bytes; {reason}). Is it damaged? '
            'Copy or export it again.'
        ) from error


class OnnxSession(Session):
    """onnxruntime on a CPU, or on a GPU with the package onnxruntime-gpu."""

    def _load(self, device: str | None, threads: int | None) -> str | None:
        runtime = required('onnxruntime', 'onnxruntime', 'An ONNX file')
        options = runtime.SessionOptions()
        options.log_severity_level = 3  # errors are raised besides
        if threads is not None:
            options.intra_op_num_threads = threads
        self._session = runtime.InferenceSession(
            str(self.path), options, providers=_providers(runtime, device)
        )
        self._names = [output.name for output in self._session.get_outputs()]
        inputs = self._session.get_overridable_initializers()
        self._takes_score = any(one.name == SCORE_INPUT for one in inputs)
        return self._session.get_modelmeta().custom_metadata_map.get(KEY)

    def _run(self, images: Floats, score_thr: float | None) -> Arrays:
        feed = {'images': images}
        if self._takes_score and score_thr is not None:
            feed[SCORE_INPUT] = np.array([score_thr], dtype=np.float32)
        return dict(zip(self._names, self._session.run(None, feed), strict=True))


def _providers(runtime: Any, device: str | None) -> list[str]:
    """Return onnxruntime's providers for a device, the best first."""
    known = runtime.get_available_providers()
    cuda, cpu = 'CUDAExecutionProvider', 'CPUExecutionProvider'
    if device is None:
        return [name for name in (cuda, cpu) if name in known]
    kind = device.split(':')[0]
    if kind == 'cuda' and cuda not in known:
        raise ConfigError(
            'The device cuda is not there: this onnxruntime runs on CPUs alone. '
            'pip install onnxruntime-gpu, or give cpu.'
        )
    if kind not in ('cpu', 'cuda'):
        raise ConfigError(f'The device {device!r} is unknown to onnxruntime: give cpu or cuda.')
    return [cpu] if kind == 'cpu' else [cuda, cpu]


class OpenVinoSession(Session):
    """OpenVINO on a CPU."""

    def _load(self, device: str | None, threads: int | None) -> str | None:
        openvino = required('openvino', 'openvino', 'An OpenVINO file')
        _only_cpu(device, 'OpenVINO')
        # on processors that have it, bfloat16 would be taken, and scores lose digits
        settings = {'INFERENCE_PRECISION_HINT': 'f32', 'PERFORMANCE_HINT': 'LATENCY'}
        if threads is not None:
            settings['INFERENCE_NUM_THREADS'] = str(threads)
        core = openvino.Core()
        model = core.read_model(self.path)
        self._compiled = core.compile_model(model, 'CPU', settings)
        return model.get_rt_info([KEY]).astype(str) if model.has_rt_info([KEY]) else None

    def _run(self, images: Floats, score_thr: float | None) -> Arrays:
        found = self._compiled(images)
        return {one['name']: found[place] for place, one in enumerate(self.meta['outputs'])}


def _only_cpu(device: str | None, name: str) -> None:
    if device not in (None, 'cpu'):
        raise ConfigError(f'The device {device!r} is not served with {name}: give cpu.')


class TorchScriptSession(Session):
    """PyTorch, with torchvision where the graph chooses detections."""

    def _load(self, device: str | None, threads: int | None) -> str | None:
        import torch
        import torchvision  # noqa: F401  # its operator nms

        if threads is not None:
            torch.set_num_threads(threads)
        self._device = torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
        extra = {KEY: ''}
        with quiet_tracing():
            self._module = torch.jit.load(str(self.path), self._device, _extra_files=extra)
        return extra[KEY] or None

    def _run(self, images: Floats, score_thr: float | None) -> Arrays:
        import torch

        with torch.no_grad():
            found = self._module(torch.from_numpy(images).to(self._device))
        names = [output['name'] for output in self.meta['outputs']]
        return {name: value.cpu().numpy() for name, value in zip(names, found, strict=True)}


class EngineSession(Session):
    """TensorRT on a GPU; PyTorch holds the memory."""

    def _load(self, device: str | None, threads: int | None) -> str | None:
        from mmyolo_lite.deploy.tensorrt_engine import load_engine

        self._engine, text = load_engine(self.path)
        return text

    def _run(self, images: Floats, score_thr: float | None) -> Arrays:
        return self._engine(images)


_SESSIONS: dict[str, type[Session]] = {
    SUFFIXES['onnx']: OnnxSession,
    SUFFIXES['openvino']: OpenVinoSession,
    SUFFIXES['torchscript']: TorchScriptSession,
    SUFFIXES['engine']: EngineSession,
}


def open_session(
    path: str | Path, device: str | None = None, threads: int | None = None
) -> Session:
    """Load an exported file of any format; arguments and errors as :class:`Session`."""
    path = Path(path)
    kind = _SESSIONS.get(path.suffix.lower())
    if kind is None:
        raise ConfigError(
            f'{path} has none of the names of exported files: {", ".join(_SESSIONS)}.'
        )
    if not path.is_file():
        raise CheckpointError(f'Exported file not found: {path}')
    return kind(path, device, threads)

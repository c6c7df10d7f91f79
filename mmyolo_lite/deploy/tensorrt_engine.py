"""TensorRT: engines built from ONNX files, and run with the memory of PyTorch.

The file is the length of the metadata (8 bytes, little-endian), the metadata, and the engine.
"""

import json
from pathlib import Path
from typing import Any

from mmyolo_lite.deploy.steps import Arrays
from mmyolo_lite.errors import CheckpointError, ConfigError
from mmyolo_lite.ops.box_masks import Floats

_LENGTH_BYTES = 8
_MAX_METADATA = 2**24


def build_engine(onnx_path: Path, meta: dict[str, Any]) -> bytes:
    """Return the content of an engine file.

    Args:
        onnx_path: of the network, with a fixed input shape.
        meta: metadata.

    Raises:
        ConfigError: TensorRT does not take the network.
    """
    import tensorrt as trt

    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx_path)):
        raise ConfigError(f'TensorRT does not take the network: {parser.get_error(0).desc()}')
    config = builder.create_builder_config()
    if meta['half']:
        config.set_flag(trt.BuilderFlag.FP16)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise ConfigError('TensorRT cannot build an engine of the network on this GPU.')
    text = json.dumps(meta).encode()
    return len(text).to_bytes(_LENGTH_BYTES, 'little') + text + bytes(engine)


def load_engine(path: Path) -> tuple['Engine', str]:
    """Return an engine and its metadata.

    Raises:
        CheckpointError: the file holds none, or one of another version or GPU.
        DependencyError: TensorRT is missing.
    """
    from mmyolo_lite.deploy.sessions import required

    trt = required('tensorrt', 'tensorrt', 'A TensorRT engine')
    content = path.read_bytes()
    length = int.from_bytes(content[:_LENGTH_BYTES], 'little')
    if not 0 < length <= min(_MAX_METADATA, len(content) - _LENGTH_BYTES):
        raise CheckpointError(f'{path} is no engine of tools/export.py. Export the model again.')
    text = content[_LENGTH_BYTES : _LENGTH_BYTES + length].decode('utf-8')
    engine = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(
        content[_LENGTH_BYTES + length :]
    )
    if engine is None:
        raise CheckpointError(
            f'{path} was built by another version of TensorRT, or for another GPU. Export it here.'
        )
    return Engine(engine, trt), text


class Engine:
    """An engine with its buffers on the GPU.

    Args:
        engine: TensorRT's.
        trt: its package.
    """

    def __init__(self, engine: Any, trt: Any) -> None:
        import torch

        self._context = engine.create_execution_context()
        self._buffers = {}
        for number in range(engine.num_io_tensors):
            name = engine.get_tensor_name(number)
            shape = tuple(engine.get_tensor_shape(name))
            kind = torch.int64 if engine.get_tensor_dtype(name) == trt.int64 else torch.float32
            self._buffers[name] = torch.empty(shape, dtype=kind, device='cuda')
            self._context.set_tensor_address(name, self._buffers[name].data_ptr())

    def __call__(self, images: Floats) -> Arrays:
        """Return the outputs for images (B, 3, H, W)."""
        import torch

        stream = torch.cuda.current_stream()
        self._buffers['images'].copy_(torch.from_numpy(images))
        self._context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
        return {
            name: value.cpu().numpy() for name, value in self._buffers.items() if name != 'images'
        }

"""Checkpoints to hand on: the weights that predict, with all that is needed to run them."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from torch import Tensor

from mmyolo_lite.apis.model import load_model
from mmyolo_lite.deploy.metadata import input_size
from mmyolo_lite.engine.config import load_config
from mmyolo_lite.engine.hooks.checkpoint_fit import weights_of
from mmyolo_lite.engine.published import KEY, config_from_text, plain
from mmyolo_lite.errors import CheckpointError, ConfigError
from mmyolo_lite.version import __version__
from mmyolo_lite.whole_files import check_out_dir, whole_file

SHA_LETTERS = 8
# where the training ran and what it started from is nobody's business, and of no use elsewhere
_PRIVATE = ('work_dir', 'load_from', 'resume', 'launcher', 'experiment_name')


class Published(NamedTuple):
    """A written checkpoint.

    Attributes:
        path: of the file.
        bytes_before: of the checkpoint.
        bytes_after: of the file.
    """

    path: Path
    bytes_before: int
    bytes_after: int


def publish(
    checkpoint: str | Path,
    output: str | Path | None = None,
    config: str | Path | None = None,
    half: bool = False,
    safetensors: bool = False,
) -> Published:
    """Write the weights of a checkpoint, its config, classes and input size to one file.

    What only training needs is left out: the optimizer, schedules, logs, and the second set of
    weights beside the averaged ones, which a checkpoint of this package predicts with. The name
    ends in the first eight letters of the file's SHA-256. The file appears whole or not at all.

    Args:
        checkpoint: path of a checkpoint that a training has written.
        output: folder, or path whose name the SHA is put behind; None is beside the checkpoint.
        config: path of the config; None takes the one that the training recorded in the checkpoint.
        half: weights in float16, half the size; models compute in float32 all the same.
        safetensors: in the format of safetensors, which holds tensors and text alone.

    Raises:
        CheckpointError: the checkpoint is missing, damaged, or of another model.
        ConfigError: there is no config, or it cannot be written down.
        DataError: the file cannot be written.
        DependencyError: the package safetensors is missing.
    """
    source = Path(checkpoint)
    if safetensors:
        from mmyolo_lite.deploy.sessions import required

        required('safetensors.torch', 'safetensors', '--safetensors')
    loaded = CheckpointLoader.load_checkpoint(str(source), map_location='cpu', logger='silent')
    weights = weights_of(loaded, str(source))
    content = _config(loaded, config, source)
    model = load_model(Config(content), str(source), 'cpu')  # they fit each other
    inside = {
        'project': 'mmyolo_lite',
        'version': __version__,
        'source': source.name,
        'task': 'instance segmentation' if model.has_masks else 'detection',
        'input_hw': list(input_size(model)),
        'half': half,
        'config': json.dumps(content),
    }
    meta = {
        'dataset_meta': {
            'classes': list(model.class_names),
            'palette': [[int(value) for value in color] for color in model.palette],
        },
        KEY: inside,
    }
    kept = {name.removeprefix('module.'): _stored(value, half) for name, value in weights.items()}
    return _write(kept, meta, source, output, safetensors)


def _config(loaded: Any, config: str | Path | None, source: Path) -> dict[str, Any]:
    """Return the config as JSON has it."""
    meta = loaded.get('meta')
    text = meta.get('cfg') if isinstance(meta, dict) else None
    inside = meta.get(KEY) if isinstance(meta, dict) else None
    try:
        if config is not None:
            found = plain(load_config(config).to_dict())
        elif isinstance(inside, dict):  # published before
            found = json.loads(inside['config'])
        elif isinstance(text, str):
            found = plain(config_from_text(text))
        else:
            raise ConfigError(f'{source} does not say its config; give it with --config.')
        if not isinstance(found, dict):
            raise ValueError(f'it is a {type(found).__name__}')
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f'The config of {source} cannot be put into the file: {error}. Give it with --config.'
        ) from error
    return {key: value for key, value in found.items() if key not in _PRIVATE}


def _stored(value: Tensor, half: bool) -> Tensor:
    """Return a tensor with memory of its own."""
    return (value.half() if half and value.is_floating_point() else value).clone().contiguous()


def _write(
    weights: dict[str, Tensor],
    meta: dict[str, Any],
    source: Path,
    output: str | Path | None,
    safetensors: bool,
) -> Published:
    suffix = '.safetensors' if safetensors else '.pth'
    target = source.with_suffix('') if output is None else Path(output)
    if target.is_dir() or str(output).endswith(('/', '\\')):
        target = target / source.stem
    target = target.with_name(target.name.removesuffix('.pth').removesuffix('.safetensors'))
    check_out_dir(target.parent)
    first = target.with_name(f'.{target.name}.unnamed{suffix}')
    try:
        with whole_file(first) as part:
            if safetensors:
                from safetensors.torch import save

                part.write_bytes(save(weights, metadata={'meta': json.dumps(meta)}))
            else:
                torch.save({'meta': meta, 'state_dict': weights}, part)
        sha = hashlib.sha256(first.read_bytes()).hexdigest()[:SHA_LETTERS]
        path = target.with_name(f'{target.name}-{sha}{suffix}')
        first.replace(path)
    except OSError as error:
        raise CheckpointError(f'{target} cannot be written: {error}') from error
    finally:
        first.unlink(missing_ok=True)
    return Published(path, source.stat().st_size, path.stat().st_size)

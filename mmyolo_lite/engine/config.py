"""Loading configs, and putting command-line choices into them."""

import difflib
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from mmyolo_lite.compat import config_text
from mmyolo_lite.errors import ConfigError

config_text.install()


def load_config(path: str | Path, options: dict[str, Any] | None = None) -> Config:
    """Read a config file and merge options into it.

    Args:
        path: a Python config; configs are code and run on loading.
        options: dotted keys and values, as ``--cfg-options`` gives them.

    Raises:
        ConfigError: the file or one of its bases is missing, or does not load.
    """
    if not Path(path).is_file():
        raise ConfigError(f'Config not found: {path}. {_similar_configs(Path(path))}')
    try:
        config = Config.fromfile(str(path))
    except (
        OSError,
        SyntaxError,
        NameError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        ImportError,
    ) as error:
        raise ConfigError(
            f'Config {path} does not load: {type(error).__name__}: {error}'
        ) from error
    if options:
        try:
            config.merge_from_dict(options)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ConfigError(f'--cfg-options {options} do not fit {path}: {error}') from error
    return config


def _similar_configs(path: Path) -> str:
    known = {
        found.name: found for found in (*Path('configs').rglob('*.py'), *path.parent.glob('*.py'))
    }
    similar = difflib.get_close_matches(path.name, known, n=1, cutoff=0.5)
    return (
        f'Did you mean {known[similar[0]]}?'
        if similar
        else 'Check the path; it is relative to the current folder.'
    )


def set_work_dir(config: Config, work_dir: str | None, config_path: str) -> None:
    """Choose the work dir: the argument, else the config's, else ``work_dirs/<config name>``."""
    if work_dir is not None:
        config.work_dir = work_dir
    elif config.get('work_dir') is None:
        config.work_dir = str(Path('work_dirs') / Path(config_path).stem)


def set_launcher(config: Config, launcher: str, local_rank: int = 0) -> None:
    """Choose how processes were started; on a CPU take gloo and a wrapper without device ids."""
    import os

    import torch

    os.environ.setdefault('LOCAL_RANK', str(local_rank))
    config.launcher = launcher
    if launcher != 'none' and not torch.cuda.is_available():
        config.setdefault('env_cfg', ConfigDict()).setdefault(
            'dist_cfg', ConfigDict()
        ).backend = 'gloo'
        config.model_wrapper_cfg = {
            'type': 'MMDistributedDataParallel',
            'device_ids': None,
            'broadcast_buffers': False,
            'find_unused_parameters': config.get('find_unused_parameters', False),
        }


def enable_amp(config: Config) -> None:
    """Switch mixed precision on.

    Raises:
        ConfigError: the config has an optimizer wrapper of its own kind.
    """
    kind = config.optim_wrapper.get('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ConfigError(
            f'--amp needs optim_wrapper.type OptimWrapper, but the config has {kind!r}.'
        )
    config.optim_wrapper.type = 'AmpOptimWrapper'
    config.optim_wrapper.setdefault('loss_scale', 'dynamic')


def set_resume(config: Config, resume: str | None) -> None:
    """Continue a run: ``'auto'`` takes the newest checkpoint of the work dir, a path takes that
    file.
    """
    if resume == 'auto':
        config.resume = True
        config.load_from = None
    elif resume is not None:
        config.resume = True
        config.load_from = resume


def enable_drawing(config: Config, show_dir: str | None, show: bool, wait_time: float) -> None:
    """Have test draw ground truth beside prediction; instance-segmentation configs draw true masks
    too.

    Raises:
        ConfigError: the config has no visualization hook.
    """
    hook = config.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise ConfigError(
            '--show and --show-dir need default_hooks.visualization, such as '
            'dict(type="mmdet.DetVisualizationHook").'
        )
    hook.update(draw=True, show=show, wait_time=wait_time, interval=1)
    if show_dir is not None:
        hook.test_out_dir = show_dir
    if has_masks(config):
        for step in config.test_dataloader.dataset.pipeline:
            if step['type'].split('.')[-1] == 'LoadAnnotations':
                step['with_mask'] = True


def set_results(config: Config, json_prefix: str | None, out: str | None) -> None:
    """Have test write COCO results to files with this prefix, and all predictions to the pickle
    file `out`.
    """
    metrics = (
        config.test_evaluator
        if isinstance(config.test_evaluator, list)
        else [config.test_evaluator]
    )
    if json_prefix is not None:
        metrics[0].outfile_prefix = json_prefix
    if out is not None:
        metrics = [*metrics, ConfigDict(type='mmdet.DumpDetResults', out_file_path=out)]
    config.test_evaluator = metrics


def has_masks(config: Config) -> bool:
    """Say whether the model predicts masks."""
    return 'mask_channels' in config.model.bbox_head.get('head_module', {})


def enable_tta(config: Config) -> None:
    """Test with the config's augmented views.

    Raises:
        ConfigError: the config has none, or the model predicts masks.
    """
    if 'tta_model' not in config or 'tta_pipeline' not in config:
        raise ConfigError(
            '--tta needs tta_model and tta_pipeline in the config. '
            "Add '../_base_/det_p5_tta.py' to its _base_."
        )
    if has_masks(config):
        raise ConfigError(
            '--tta serves boxes only, and this model predicts masks. Test without --tta.'
        )
    dataset = config.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    dataset.pipeline = config.tta_pipeline
    dataset.batch_shapes_cfg = None
    config.model = ConfigDict(**config.tta_model, module=config.model)

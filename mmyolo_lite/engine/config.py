"""Loading configs, and putting command-line choices into them."""

import difflib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.device import get_device

from mmyolo_lite.engine.checks import (
    head_module_config,
    innermost_datasets,
    own_name,
    type_name,
    typed_nodes,
)
from mmyolo_lite.engine.coco_data import BLOCK, complete_data, no_file_exists
from mmyolo_lite.engine.config_fields import (
    check_annotation_files,
    check_run,
    check_shape,
    check_start,
)
from mmyolo_lite.engine.config_loading import read_config, similar_configs
from mmyolo_lite.engine.config_names import (
    FIELDS_OF_VARIABLES,
    READ,
    check_names,
    ineffective_names,
)
from mmyolo_lite.engine.config_places import parse
from mmyolo_lite.engine.published import is_weights, published_config
from mmyolo_lite.errors import ConfigError, DataError

TRAIN_PARTS = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')
TEST_PARTS = ('model', 'test_dataloader', 'test_cfg', 'test_evaluator')
_RUNS: dict[tuple[str, ...], str] = {TRAIN_PARTS: 'train', TEST_PARTS: 'test'}
# the steps of a pipeline that give images their final size, and the field that holds it
_INPUT_SIZES = {'Mosaic': 'img_scale', 'LetterResize': 'scale', 'YOLOv5KeepRatioResize': 'scale'}
_VARIABLES_OF_LAUNCHERS = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE'),
}


def load_config(
    path: str | Path, options: dict[str, Any] | None = None, needs: Sequence[str] = ()
) -> Config:
    """Read a config file, merge options into it, and expand the short form of its data set.

    Args:
        path: a Python config; configs are code and run on loading. Or a published checkpoint,
            whose config inside is data.
        options: dotted keys and values, as ``--cfg-options`` gives them. One that sets nothing but
            a variable of the config, whose value is in use already, gets a warning on stderr.
        needs: parts that must be there: :data:`TRAIN_PARTS` or :data:`TEST_PARTS`.

    Raises:
        ConfigError: the file or one of its bases is missing, or does not load, or lacks a part.
        CheckpointError: a published checkpoint is damaged.
        DataError: names of classes are to come from an annotation file that is missing or unusable
            (with `needs`; a warning without).
    """
    if is_weights(path):
        if not Path(path).is_file():
            raise ConfigError(f'Config not found: {path}. {similar_configs(Path(path))}')
        config = published_config(path)
    else:
        config = read_config(path)
    run = _RUNS.get(tuple(needs))
    if options:
        try:
            config.merge_from_dict(options)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ConfigError(f'--cfg-options {options} do not fit {path}: {error}') from error
        object.__setattr__(config, '_cfg_options', dict(options))  # for messages
        if 'runner_type' not in config:  # another runner may read anything
            for sentence in _ineffective_options(options):
                print(f'warning: {sentence}', file=sys.stderr)
    is_plain = run is not None and 'runner_type' not in config
    if is_plain:
        _check_names(path, config, needs)
    check_shape(config)
    block = config.get(BLOCK)
    object.__setattr__(config, '_coco_data', block)  # for messages
    try:
        complete_data(config, strict=bool(needs), options=options or ())
    except DataError:
        if is_plain and block is not None and no_file_exists(block):
            check_annotation_files(config, str(run), block)  # names the line of the config
        raise
    lacking = [part for part in needs if not config.get(part)]
    if lacking:
        raise ConfigError(
            f'Config {path} has no {", ".join(lacking)}. Is it empty, or a base for others? '
            "Start from one of configs/yolov5 with _base_ = '...'."
        )
    if is_plain:
        check_run(config, str(run))
    return config


def check_files(config: Config, needs: Sequence[str], resume: str | None = None) -> None:
    """Check that the files of a run exist: annotations, and weights that a training starts from.

    Args:
        config: from :func:`load_config`.
        needs: :data:`TRAIN_PARTS` or :data:`TEST_PARTS`.
        resume: what is resumed, in which case the training does not start from ``load_from``.

    Raises:
        ConfigError: one does not.
    """
    if 'runner_type' in config:
        return
    run = _RUNS[tuple(needs)]
    check_annotation_files(config, run, getattr(config, '_coco_data', None))
    if run == 'train' and resume is None:
        check_start(config)


def _check_names(path: str | Path, config: Config, needs: Sequence[str]) -> None:
    file = parse(path)
    if file is None:
        return
    check_names(file)
    for sentence in ineffective_names(file, config, (*needs, 'default_hooks')):
        print(f'warning: {sentence}', file=sys.stderr)


def _ineffective_options(options: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each option whose first part nothing reads after loading."""
    for key, value in options.items():
        top, _, rest = key.partition('.')
        if top in READ:
            continue
        field = FIELDS_OF_VARIABLES.get(top)
        similar = difflib.get_close_matches(top, READ, n=1, cutoff=0.8)
        if field is None and similar:
            field = f'{similar[0]}.{rest}' if rest else similar[0]
        remedy = f'Set {field} instead.' if field else 'Set the field that the value is for.'
        yield (
            f'--cfg-options {key}={value} has no effect: the config has used its variable '
            f'{top!r} before options are merged, and nothing else reads it. {remedy}'
        )


def set_work_dir(config: Config, work_dir: str | None, config_path: str) -> None:
    """Choose and make the work dir: the argument, the config's, or ``work_dirs/<config name>``.

    Nothing is made for a config that cannot run: call :func:`check_files` before.

    Raises:
        ConfigError: it cannot be made or written to.
    """
    if work_dir is not None:
        config.work_dir = work_dir
    elif config.get('work_dir') is None:
        config.work_dir = str(Path('work_dirs') / Path(config_path).stem)
    try:
        Path(config.work_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f'The work dir {config.work_dir} cannot be made: {error.strerror}. Choose another with '
            '--work-dir.'
        ) from error
    if not os.access(config.work_dir, os.W_OK):
        raise ConfigError(
            f'The work dir {config.work_dir} is not writable. Choose another with --work-dir.'
        )


def set_launcher(config: Config, launcher: str, local_rank: int = 0) -> None:
    """Choose how processes were started; on a CPU take gloo and a wrapper without device ids.

    Raises:
        ConfigError: the environment lacks what that launcher sets.
    """
    lacking = [name for name in _VARIABLES_OF_LAUNCHERS.get(launcher, ()) if name not in os.environ]
    if lacking:
        raise ConfigError(
            f'--launcher {launcher} needs the environment variables {", ".join(lacking)}, which '
            'the program that starts the processes sets. Start with tools/dist_train.sh CONFIG '
            'GPUS (it runs torchrun), or leave --launcher out.'
        )
    os.environ.setdefault('LOCAL_RANK', str(local_rank))
    config.launcher = launcher
    if launcher != 'none' and get_device() == 'cpu':
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


def set_frozen(config: Config, parts: str | None) -> None:
    """Freeze parts of the model, given with commas between them, such as ``backbone,neck``."""
    if parts is not None:
        config.model['freeze'] = parts  # as an attribute, it is a method of the dict


def set_resume(config: Config, resume: str | None) -> None:
    """Continue a run: from a path, or with ``'auto'`` from the work dir's newest checkpoint; where
    there is none, from the weights of ``load_from``.
    """
    if resume == 'auto':
        config.resume = True
        config.start_from, config.load_from = config.get('load_from'), None
    elif resume is not None:
        config.resume = True
        config.load_from = resume


def enable_drawing(config: Config, show_dir: str | None, show: bool, wait_time: float) -> None:
    """Have test draw ground truth beside prediction, with true masks if the model predicts any.

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
        for _, dataset in innermost_datasets(config, ['test_dataloader']):
            for step in dataset.get('pipeline') or ():
                if isinstance(step, dict) and type_name(step.get('type')) == 'LoadAnnotations':
                    step['with_mask'] = True


def set_results(config: Config, json_prefix: str | None, out: str | None) -> None:
    """Have test write COCO results to files with this prefix, and predictions to a pickle file."""
    metrics = (
        config.test_evaluator
        if isinstance(config.test_evaluator, list)
        else [config.test_evaluator]
    )
    if json_prefix is not None:
        metrics[0].outfile_prefix = json_prefix
    if out is not None:
        metrics = [*metrics, ConfigDict(type='mmyolo_lite.DumpDetResults', out_file_path=out)]
    config.test_evaluator = metrics


def has_masks(config: Config) -> bool:
    """Say whether the model predicts masks."""
    return 'mask_channels' in head_module_config(config)


def training_input_wh(config: Any) -> tuple[int, int] | None:
    """Return width and height in pixels that the training pipeline fits images into, if it says."""
    steps = [step for _, step in typed_nodes(config.get('train_dataloader') or {}, '')]
    for kind, field in _INPUT_SIZES.items():
        for step in steps:
            scale = step.get(field) if own_name(step['type']) == kind else None
            sides = scale if isinstance(scale, (list, tuple)) else (scale, scale)
            if len(sides) == 2 and all(isinstance(side, int) and side > 0 for side in sides):
                return sides[0], sides[1]
    return None


def enable_tta(config: Config) -> None:
    """Test with the config's augmented views.

    Raises:
        ConfigError: the config has none, or they merge boxes only and the model predicts masks.
    """
    if not config.get('tta_model') or not config.get('tta_pipeline'):
        raise ConfigError(
            '--tta needs tta_model and tta_pipeline in the config. '
            "Add '../_base_/det_p5_tta.py' to its _base_."
        )
    merger = config.tta_model.get('type', '')
    if has_masks(config) and own_name(merger) != 'YOLOTTAModel':
        raise ConfigError(
            f'tta_model.type is {merger!r}, which merges boxes only, and this model predicts '
            "masks. Take tta_model = dict(type='YOLOTTAModel'), or test without --tta."
        )
    for _, dataset in innermost_datasets(config, ['test_dataloader']):
        dataset.update(pipeline=config.tta_pipeline, batch_shapes_cfg=None)
    config.model = ConfigDict(**config.tta_model, module=config.model)

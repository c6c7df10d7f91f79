"""Loading configs, and what command lines change in them."""

import os
from pathlib import Path

import pytest
from mmengine.config import Config

from mmyolo_lite.engine import config as module
from mmyolo_lite.engine.config import load_config
from mmyolo_lite.errors import ConfigError
from tests.shared_data import REPO

CONFIGS = REPO / 'configs/yolov5'
DETECTION = CONFIGS / 'yolov5_s-v61_syncbn_fast_8xb16-300e_coco.py'
SEGMENTATION = CONFIGS / 'ins_seg/yolov5_ins_s-v61_syncbn_fast_8xb16-300e_coco_instance.py'


def test_options_are_merged_into_all_levels() -> None:
    config = load_config(
        DETECTION,
        {
            'train_cfg.max_epochs': 7,
            'train_dataloader.dataset.pipeline.0.to_float32': True,
            'new': 'field',
        },
    )
    assert config.train_cfg.max_epochs == 7
    assert config.train_dataloader.dataset.pipeline[0].to_float32
    assert config.new == 'field'


def test_a_missing_file_names_the_nearest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(REPO)
    wrong = 'configs/yolov5/yolov5_s-v61_syncbn_fst_8xb16-300e_coco.py'
    with pytest.raises(
        ConfigError, match=rf'{wrong}. Did you mean {DETECTION.relative_to(REPO)}\?'
    ):
        load_config(wrong)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match='not found: nothing.py. Check the path'):
        load_config('nothing.py')
    (tmp_path / 'mine.py').touch()
    with pytest.raises(ConfigError, match=r'Did you mean .*mine\.py'):
        load_config(tmp_path / 'mien.py')
    with pytest.raises(ConfigError, match='not found'):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('model = dict(', 'line 1, column 13: SyntaxError: .* The line is: model = dict'),
        ('x = undefined', 'line 1, does not load: NameError.*undefined'),
        ("\n_base_ = 'nowhere.py'\n", "line 2: _base_ 'nowhere.py' does not exist"),
        ("custom_imports = {'imports': ['no_such_module']}\n", 'line 1: .*no_such_module'),
        ("_base_ = ['a.py', 'b.py']\n", "line 1: _base_ 'a.py' does not exist"),
        ("x = 1\ny = {}['key']\n", 'line 2, does not load: KeyError'),
        ('raise SystemError\n', 'line 1, does not load: SystemError'),
    ],
)
def test_a_broken_file_is_named_with_its_error(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / 'broken.py'
    path.write_text(text)
    with pytest.raises(ConfigError, match=f'broken.py, {words}'):
        load_config(path)


@pytest.mark.parametrize(
    'options',
    [
        {'train_dataloader.dataset.pipeline.99.prob': 1},
        {'train_dataloader.dataset.pipeline.first.prob': 1},
        {'train_cfg.max_epochs.value': 1},
        {'model.backbone.widen_factor.x.y': 1},
    ],
)
def test_options_that_do_not_fit_are_named(options: dict) -> None:
    with pytest.raises(ConfigError, match='--cfg-options .*do not fit'):
        load_config(DETECTION, options)


@pytest.mark.parametrize(
    ('option', 'words'),
    [
        ('max_epochs', 'Set train_cfg.max_epochs instead'),
        ('data_root', 'Set train_dataloader.dataset.data_root instead'),
        ('train_batch_size_per_gpu', 'Set train_dataloader.batch_size instead'),
        ('train_cgf.max_epochs', 'Set train_cfg.max_epochs instead'),
        ('affine_scale', 'Set the field that the value is for'),
    ],
)
def test_options_without_effect_are_named(
    option: str, words: str, capsys: pytest.CaptureFixture
) -> None:
    load_config(DETECTION, {option: 1})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f'warning: --cfg-options {option}=1 has no effect') and words in line


def test_options_with_effect_pass_in_silence(capsys: pytest.CaptureFixture) -> None:
    options = {'train_cfg.max_epochs': 7, 'load_from': 'x.pth', 'randomness.seed': 1, 'sync_bn': 1}
    load_config(DETECTION, options)
    assert capsys.readouterr().err == ''


@pytest.mark.parametrize('text', ['', 'model = None\nmax_epochs = 3\n'])
def test_configs_without_the_needed_parts_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / 'half.py'
    path.write_text(text)
    load_config(path)
    with pytest.raises(ConfigError, match=r'half.py has no model, train_dataloader, .*_base_'):
        load_config(path, needs=module.TRAIN_PARTS)
    with pytest.raises(ConfigError, match='has no model, test_dataloader, test_cfg, test_eval'):
        load_config(path, needs=module.TEST_PARTS)
    load_config(DETECTION, needs={*module.TRAIN_PARTS, *module.TEST_PARTS})


def test_a_work_dir_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    for path in (tmp_path / 'file', tmp_path / 'file/below'):
        with pytest.raises(ConfigError, match=f'work dir {path} cannot be made.*--work-dir'):
            module.set_work_dir(Config({}), str(path), 'some_config.py')


def test_where_logs_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config({})
    module.set_work_dir(config, None, 'configs/a/some_config.py')
    assert Path(config.work_dir) == Path('work_dirs/some_config')
    config = Config({'work_dir': 'own'})
    module.set_work_dir(config, None, 'some_config.py')
    assert config.work_dir == 'own'
    module.set_work_dir(config, 'given/deep', 'some_config.py')
    assert config.work_dir == 'given/deep'
    assert (tmp_path / 'given/deep').is_dir()


@pytest.mark.parametrize(
    ('argument', 'resume', 'load_from'),
    [(None, False, 'before.pth'), ('auto', True, None), ('epoch_3.pth', True, 'epoch_3.pth')],
)
def test_where_a_run_continues(argument: str | None, resume: bool, load_from: str | None) -> None:
    config = Config({'resume': False, 'load_from': 'before.pth'})
    module.set_resume(config, argument)
    assert (config.resume, config.load_from) == (resume, load_from)


def test_mixed_precision() -> None:
    config = load_config(DETECTION)
    module.enable_amp(config)
    assert config.optim_wrapper.type == 'AmpOptimWrapper'
    assert config.optim_wrapper.loss_scale == 'dynamic'
    assert config.optim_wrapper.constructor == 'YOLOv5OptimizerConstructor'
    config.optim_wrapper.loss_scale = 128.0
    module.enable_amp(config)
    assert config.optim_wrapper.loss_scale == 128.0
    config.optim_wrapper.type = 'ApexOptimWrapper'
    with pytest.raises(ConfigError, match="--amp needs .*'ApexOptimWrapper'"):
        module.enable_amp(config)


def test_augmented_views() -> None:
    config = load_config(DETECTION)
    detector = config.model.type
    module.enable_tta(config)
    assert config.model.type == 'mmdet.DetTTAModel'
    assert config.model.module.type == detector
    assert config.model.tta_cfg.nms.iou_threshold == 0.65
    assert config.test_dataloader.dataset.pipeline == config.tta_pipeline
    assert config.test_dataloader.dataset.batch_shapes_cfg is None


def test_augmented_views_reach_a_wrapped_data_set() -> None:
    config = load_config(DETECTION)
    inner = config.test_dataloader.dataset
    config.test_dataloader.dataset = {'type': 'RepeatDataset', 'times': 1, 'dataset': inner}
    module.enable_tta(config)
    assert config.test_dataloader.dataset.dataset.pipeline == config.tta_pipeline


def test_augmented_views_are_refused_for_masks_and_without_settings() -> None:
    config = load_config(SEGMENTATION)
    config.tta_model.type = 'mmdet.DetTTAModel'
    with pytest.raises(ConfigError, match='boxes only.*YOLOTTAModel'):
        module.enable_tta(config)
    config = load_config(DETECTION)
    config.pop('tta_pipeline')
    with pytest.raises(ConfigError, match='det_p5_tta.py'):
        module.enable_tta(config)


@pytest.mark.parametrize('launcher', ['none', 'pytorch'])
def test_launchers_on_a_cpu(launcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('mmyolo_lite.engine.config.get_device', lambda: 'cpu')
    for name in ('LOCAL_RANK', 'RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.setenv(name, '0')
    config = load_config(DETECTION)
    module.set_launcher(config, launcher)
    assert config.launcher == launcher
    assert (config.env_cfg.dist_cfg.backend == 'gloo') == (launcher != 'none')
    assert ('model_wrapper_cfg' in config) == (launcher != 'none')


@pytest.mark.parametrize(
    ('launcher', 'name'),
    [('pytorch', 'WORLD_SIZE'), ('slurm', 'SLURM_PROCID'), ('mpi', 'OMPI_COMM_WORLD_RANK')],
)
def test_launchers_without_their_environment_are_refused(
    launcher: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=rf'--launcher {launcher} .*{name}.*dist_train\.sh'):
        module.set_launcher(Config({}), launcher)


def test_the_rank_of_a_launcher_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    config = Config({})
    module.set_launcher(config, 'none', local_rank=3)
    assert os.environ['LOCAL_RANK'] == '3'
    module.set_launcher(config, 'none', local_rank=5)
    assert os.environ['LOCAL_RANK'] == '3', 'a rank in the environment wins'
    monkeypatch.delenv('LOCAL_RANK')


@pytest.mark.parametrize(('path', 'with_mask'), [(DETECTION, False), (SEGMENTATION, True)])
def test_drawing(path: Path, with_mask: bool) -> None:
    config = load_config(path)
    assert module.has_masks(config) == with_mask
    module.enable_drawing(config, 'pictures', show=False, wait_time=0.5)
    hook = config.default_hooks.visualization
    assert (hook.draw, hook.show, hook.wait_time, hook.interval) == (True, False, 0.5, 1)
    assert hook.test_out_dir == 'pictures'
    steps = [
        s for s in config.test_dataloader.dataset.pipeline if s.type.endswith('LoadAnnotations')
    ]
    assert [bool(step.get('with_mask')) for step in steps] == [with_mask]


def test_drawing_reaches_a_wrapped_data_set() -> None:
    config = load_config(SEGMENTATION)
    inner = config.test_dataloader.dataset
    config.test_dataloader.dataset = dict(type='RepeatDataset', times=1, dataset=inner)
    module.enable_drawing(config, None, show=False, wait_time=1)
    pipeline = config.test_dataloader.dataset.dataset.pipeline
    (step,) = [step for step in pipeline if step.type.endswith('LoadAnnotations')]
    assert step.with_mask


@pytest.mark.parametrize('model', [{'type': 'Other'}, {'bbox_head': None}])
def test_models_without_our_head_predict_no_masks(model: dict) -> None:
    assert not module.has_masks(Config({'model': model}))


def test_drawing_needs_its_hook() -> None:
    config = load_config(DETECTION)
    del config.default_hooks['visualization']
    with pytest.raises(ConfigError, match='visualization'):
        module.enable_drawing(config, None, show=True, wait_time=1)


def test_result_files() -> None:
    config = load_config(DETECTION)
    module.set_results(config, None, None)
    assert len(config.test_evaluator) == 1 and 'outfile_prefix' not in config.test_evaluator[0]
    module.set_results(config, 'results', 'all.pkl')
    coco, dump = config.test_evaluator
    assert coco.outfile_prefix == 'results'
    assert dump.type == 'mmyolo_lite.DumpDetResults' and dump.out_file_path == 'all.pkl'
    assert 'outfile_prefix' not in load_config(DETECTION).test_evaluator


@pytest.mark.parametrize(
    ('steps', 'expected'),
    [
        (
            [dict(type='Mosaic', img_scale=(320, 640)), dict(type='LetterResize', scale=8)],
            (320, 640),
        ),
        ([dict(type='mmyolo_lite.LetterResize', scale=512)], (512, 512)),
        ([dict(type='other.LetterResize', scale=512)], None),
        ([dict(type='Mosaic', img_scale='640')], None),
        ([dict(type='Mosaic')], None),
    ],
)
def test_the_input_is_that_of_the_training_pipeline(steps, expected):
    dataset = dict(dataset=dict(type='YOLOv5CocoDataset', pipeline=steps))
    assert (
        module.training_input_wh(Config(dict(train_dataloader=dict(dataset=dataset)))) == expected
    )
    assert module.training_input_wh(Config({})) is None

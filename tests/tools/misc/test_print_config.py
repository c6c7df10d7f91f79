"""The whole config on the screen and in a file."""

from mmengine.config import Config

from tests.shared_data import REPO

CONFIG = REPO / 'configs/yolov5/ins_seg/yolov5_ins_n-v61_320_sample_instance.py'


def run(tools, folder, *arguments):
    return tools.run(folder, 'tools/misc/print_config.py', *arguments)


def test_inherited_fields_and_options_are_there(tools, tmp_path):
    done = run(
        tools,
        tmp_path,
        CONFIG,
        '--save-path',
        'deep/all.py',
        '--cfg-options',
        'train_cfg.max_epochs=7',
    ).check()
    printed, saved = Config.fromstring(done.out, '.py'), Config.fromfile(tmp_path / 'deep/all.py')
    for config in (printed, saved):
        assert config.train_cfg.max_epochs == 7
        assert config.model.backbone.widen_factor == 0.25
        assert config.default_hooks.visualization.type == 'mmdet.DetVisualizationHook'
        assert '_base_' not in config
    assert saved.to_dict() == printed.to_dict()


def test_mistakes(tools, tmp_path):
    missing = run(tools, tmp_path, 'none.py')
    assert (missing.code, missing.err.count('\n')) == (1, 1)
    assert run(tools, tmp_path, CONFIG, '--save-path', 'all.txt').code == 2

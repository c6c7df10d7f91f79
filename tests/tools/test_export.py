"""The command lines of exported files, as a user runs them."""

import pytest

from tests.deploy.conftest import detector, exported, toy, toy_data

__all__ = ['detector', 'exported', 'toy', 'toy_data']


def test_export_info_demo_and_test(tools, toy, tmp_path):
    pytest.importorskip('onnxruntime', reason='pip install onnxruntime')
    pytest.importorskip('onnx', reason='pip install onnx')
    published = tools.run(
        tmp_path, 'tools/misc/publish_model.py', toy.checkpoint, tmp_path, '--config', toy.config
    ).check()
    (weights,) = tmp_path.glob('toy-????????.pth')
    assert weights.name in published.out
    done = tools.run(tmp_path, 'tools/export.py', weights, '--output', tmp_path / 'a/toy.onnx')
    assert 'largest differences' in done.check().out
    info = tools.run(tmp_path, 'tools/export.py', '--info', tmp_path / 'a/toy.onnx').check().out
    assert info.splitlines()[1] == 'classes: balloon'
    demo = tools.run(
        tmp_path,
        'demo/deploy_demo.py',
        toy.images,
        'a/toy.onnx',
        '--to-coco',
        'found.json',
        '--device',
        'cpu',
    ).check()
    assert 'in 5 images' in demo.out
    assert len(list((tmp_path / 'output').glob('*.jpg'))) == 5
    run = tools.run(tmp_path, 'tools/test.py', weights, 'a/toy.onnx', '--work-dir', 'work').check()
    assert 'segm_mAP' in run.out + run.err


@pytest.mark.parametrize(
    'arguments',
    [
        ('config',),
        ('config', 'checkpoint', '--input-shape', 100, 100),
        ('config', 'none.pth'),
        ('config', 'checkpoint', '--output', 'file/model.onnx'),
        ('config', 'checkpoint', '--format', 'engine'),
        ('--info', 'none.onnx'),
        ('--info', 'file'),
    ],
)
def test_errors_take_one_line(tools, toy, tmp_path, arguments):
    pytest.importorskip('onnx', reason='pip install onnx')
    (tmp_path / 'file').write_text('')
    known = {'config': toy.config, 'checkpoint': toy.checkpoint}
    done = tools.run(tmp_path, 'tools/export.py', *(known.get(one, one) for one in arguments))
    assert done.code == 1
    assert done.err.startswith('error: ') and done.err.count('\n') == 1
    left = {path.name for path in tmp_path.iterdir()} - {'file', '.stdout', '.stderr'}
    assert not left

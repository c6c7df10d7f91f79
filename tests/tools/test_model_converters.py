"""The converter of official weights, from the command line."""

import pytest
import torch

from mmyolo_lite.apis import convert_weights_names as official
from mmyolo_lite.compat.checkpoints import load_from_local
from tests import official_layout as layout
from tests.shared_data import REPO, shared_path
from tests.tools.test_errors import assert_one_line

TOOL = 'tools/model_converters/yolov5_to_mmyolo.py'


def source(path, masks=0):
    own = layout.filled(official.expected_weights(official.Architecture('n', 3, 3, masks)))
    return layout.save_official(path, layout.official_weights(own))


def test_conversion(tools, tmp_path):
    done = tools.run(tmp_path, TOOL, source(tmp_path / 'a.pt', 32), 'b.pth', '--config', 'b.py')
    lines = done.check().out.splitlines()
    assert lines == [
        'YOLOv5-n segmentation, 3 classes, 366 weights and buffers from its model, all in place',
        'class names: 3: class 0, class 1, class 2',
        'anchors: those of the configs (COCO)',
        'written: b.pth, b.py',
    ]
    assert done.err == ''
    assert sorted(path.name for path in tmp_path.glob('[a-z]*')) == ['a.pt', 'b.pth', 'b.py']
    assert len(load_from_local(str(tmp_path / 'b.pth'))['state_dict']) == 366


def test_errors_are_one_line_and_write_nothing(tools, tmp_path):
    good = source(tmp_path / 'a.pt')
    (tmp_path / 'text.pt').write_text('hello')
    (tmp_path / 'there.pth').write_text('mine')
    torch.save({'other': torch.ones(1)}, tmp_path / 'other.pt')
    for arguments, part in {
        ('absent.pt', 'b.pth'): 'no such file',
        ('text.pt', 'b.pth'): 'no checkpoint at all',
        ('other.pt', 'b.pth'): 'the first or the last layer',
        (good, 'there.pth'): '--overwrite',
        (good, 'a.pt', '--overwrite'): 'its own name',
        (good, 'text.pt/b.pth'): 'cannot be written',
    }.items():
        assert_one_line(tools.run(tmp_path, TOOL, *arguments), part)
    assert (tmp_path / 'there.pth').read_text() == 'mine'
    assert not (tmp_path / 'b.pth').exists()


def test_official_files_lead_to_the_converter(segmenter, tools, tmp_path):
    done = tools.run(
        tmp_path,
        *('tools/train.py', segmenter.config, '--work-dir', 'w', '--cfg-options'),
        f'load_from={source(tmp_path / "a.pt")}',
    )
    assert_one_line(done, 'yolov5_to_mmyolo.py')


SHARED = """
_base_ = {base!r}
coco_data = dict(
    data_root={data!r},
    train_ann_file='annotations/instances_train2017.json',
    train_data_prefix='train2017/',
    val_ann_file='annotations/instances_val2017.json',
    val_data_prefix='val2017/')
test_dataloader = dict(num_workers=0, persistent_workers=False)
"""


def score(tools, folder, base, checkpoint):
    """Return the last line of a test on the small COCO set."""
    text = SHARED.format(
        base=str(REPO / 'configs/yolov5' / base), data=f'{shared_path("data/coco_mini")}/'
    )
    (folder / 'shared.py').write_text(text)
    done = tools.run(folder, 'tools/test.py', 'shared.py', checkpoint, '--work-dir', 'w').check()
    (line,) = [line for line in done.out.splitlines() if 'Epoch(test)' in line and 'mAP:' in line]
    words = line.split()
    return {
        name: float(words[words.index(f'coco/{name}_mAP:') + 1])
        for name in ('bbox', 'segm')
        if f'coco/{name}_mAP:' in words
    }


@pytest.mark.slow
def test_the_real_file_detects(tools, tmp_path):
    official_file = shared_path('data/weights/yolov5n.pt')
    tools.run(tmp_path, TOOL, official_file, 'n.pth').check()
    found = score(tools, tmp_path, 'yolov5_n-v61_syncbn_fast_8xb16-300e_coco.py', 'n.pth')
    assert found == {'bbox': pytest.approx(0.358, abs=0.002)}


@pytest.mark.slow
def test_real_weights_of_this_layout_segment(tools, tmp_path):
    weights = shared_path('data/weights/yolov5n_seg_coco.pth')
    base = 'ins_seg/yolov5_ins_n-v61_syncbn_fast_8xb16-300e_coco_instance.py'
    found = score(tools, tmp_path, base, weights)
    assert found['bbox'] == pytest.approx(0.333, abs=0.002)
    assert found['segm'] == pytest.approx(0.282, abs=0.002)

"""Which sets of a config the doctor looks at."""

import pytest
from mmengine.config import Config

from mmyolo_lite.engine.config import load_config
from mmyolo_lite.engine.doctor_config import only_set, sets_of_config
from mmyolo_lite.errors import ConfigError
from tests.shared_data import REPO


def dataset(split='train', **values):
    prefix = dict(img=f'{split}/')
    return {**dict(data_root='data', ann_file=f'{split}.json', data_prefix=prefix), **values}


def test_the_shipped_balloon_configs():
    for path in (REPO / 'configs/yolov5/ins_seg').glob('*balloon*'):
        side = 320 if '_320_' in path.name else 640
        train, val = sets_of_config(load_config(path))
        assert (train.name, val.name) == ('train', 'val/test')
        assert (train.ann_file, train.image_dir) == (
            'data/balloon/train.json',
            'data/balloon/train/',
        )
        assert train.classes == val.classes == ('balloon',)
        assert train.scale_wh == (side, side)


def test_several_sets_and_absolute_paths():
    both = dict(datasets=[dataset('a'), dict(dataset=dataset('b', ann_file='/x/b.json'))])
    sets = sets_of_config(Config(dict(train_dataloader=dict(dataset=both))))
    assert [one.name for one in sets] == ['train-1', 'train-2']
    assert sets[1].ann_file == '/x/b.json'
    assert only_set(sets, 'train-2') is sets[1]
    for name in (None, 'train', 'val'):
        with pytest.raises(ConfigError, match='--set: train-1, train-2'):
            only_set(sets, name)


def test_names_of_classes_that_a_config_leaves_open():
    config = dict(train_dataloader=dict(dataset=dataset()))
    assert len(sets_of_config(Config(config))[0].classes) == 80
    config['model'] = dict(bbox_head=dict(head_module=dict(num_classes=3)))
    assert sets_of_config(Config(config))[0].classes is None


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        (dict(ann_file=''), 'no data set'),
        (dict(ann_file=3), 'must be paths'),
        (dict(metainfo=dict(classes='cat')), "string 'cat'"),
        (dict(data_root='s3://bucket/'), 'local copy'),
        (dict(backend_args=dict(backend='petrel')), 'local copy'),
    ],
)
def test_configs_that_cannot_be_checked(values, words):
    config = Config(dict(train_dataloader=dict(dataset=dataset(**values))))
    with pytest.raises(ConfigError, match=words):
        sets_of_config(config)

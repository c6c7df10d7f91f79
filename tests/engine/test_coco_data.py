"""The short form of a data set in a config, and class names read from the annotations."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmyolo_lite.engine.checks import check_config
from mmyolo_lite.engine.coco_data import derive_classes
from mmyolo_lite.engine.config import TEST_PARTS, TRAIN_PARTS, check_files, load_config
from mmyolo_lite.errors import ConfigError, DataError
from tests.shared_data import REPO

YOLOV5 = REPO / 'configs/yolov5'
SEGMENTATION = YOLOV5 / 'ins_seg/yolov5_ins_n-v61_syncbn_fast_8xb16-300e_coco_instance.py'
DETECTION = YOLOV5 / 'yolov5_n-v61_syncbn_fast_8xb16-300e_coco.py'
FRUIT = ('apple', 'pear', 'plum')
FILES = dict(
    train_ann_file='a/train.json',
    train_data_prefix='images/',
    val_ann_file='a/val.json',
    val_data_prefix='more images/',
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with annotation files of three classes."""
    write_classes(tmp_path / 'a/train.json', FRUIT)
    write_classes(tmp_path / 'a/val.json', FRUIT)
    return tmp_path


def write_classes(path: Path, names: tuple[str, ...]) -> None:
    categories = [{'id': number, 'name': name} for number, name in enumerate(names, 1)]
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({'images': [], 'annotations': [], 'categories': categories}))


def load(
    folder: Path, block: Any, base: Path = SEGMENTATION, needs: tuple = TRAIN_PARTS, **options: Any
) -> Config:
    path = folder / 'mine.py'
    path.write_text(f'_base_ = {str(base)!r}\ncoco_data = {block!r}\n')
    return load_config(path, options, needs)


def datasets(config: Config) -> list:
    return [config[f'{split}_dataloader'].dataset for split in ('train', 'val', 'test')]


@pytest.mark.parametrize('base', [SEGMENTATION, DETECTION])
def test_the_block_sets_all_that_belongs_together(base: Path, data: Path) -> None:
    config = load(data, dict(data_root=str(data), **FILES), base)
    assert [one.ann_file for one in datasets(config)] == ['a/train.json', *['a/val.json'] * 2]
    prefixes = [one.data_prefix.img for one in datasets(config)]
    assert prefixes == ['images/', 'more images/', 'more images/']
    assert all(one.data_root == str(data) for one in datasets(config))
    assert all(tuple(one.metainfo.classes) == FRUIT for one in datasets(config))
    assert config.model.bbox_head.head_module.num_classes == config.num_classes == 3
    assert config.val_evaluator.ann_file == config.test_evaluator.ann_file == f'{data}/a/val.json'
    assert 'coco_data' not in config and config.data_root == str(data)
    check_config(config)


def test_a_number_of_classes_beside_the_block_is_compared(data: Path) -> None:
    path = data / 'mine.py'
    number = 'model = dict(bbox_head=dict(head_module=dict(num_classes={})))\n'
    block = f'_base_ = {str(SEGMENTATION)!r}\ncoco_data = {dict(data_root=str(data), **FILES)!r}\n'
    path.write_text(block + number.format(5))
    with pytest.raises(ConfigError, match='num_classes is 5.* Set num_classes to 3'):
        check_config(load_config(path, needs=TRAIN_PARTS))
    path.write_text(block + number.format(80))
    with pytest.raises(ConfigError, match='num_classes is 80.* Set num_classes to 3'):
        check_config(load_config(path, needs=TRAIN_PARTS))
    path.write_text(block + number.format(3))
    assert load_config(path, needs=TRAIN_PARTS).model.bbox_head.head_module.num_classes == 3


def test_an_inherited_number_of_classes_is_not_meant(data: Path) -> None:
    path = data / 'mine.py'
    block = f'_base_ = {str(SEGMENTATION)!r}\ncoco_data = {dict(data_root=str(data), **FILES)!r}\n'
    path.write_text(f'{block}model = dict(**_base_.model)\n')
    assert load_config(path, needs=TRAIN_PARTS).model.bbox_head.head_module.num_classes == 3


@pytest.mark.parametrize(
    ('block', 'words'),
    [
        ({'data_root': 'no/such'}, r'mine\.py, line 2.*coco_data\.data_root no/such is no folder'),
        (
            {'train_ann_file': 'a/tarin.json'},
            r'mine\.py, line 2.*coco_data\.train_ann_file does not exist.*/a has train\.json',
        ),
    ],
)
def test_missing_annotations_name_the_line(block: dict, words: str, data: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        check_files(load(data, dict(data_root=str(data), **FILES) | block), TRAIN_PARTS)


def test_what_a_run_does_not_read_may_be_missing(data: Path) -> None:
    block = dict(data_root=str(data), **FILES)
    none = dict(val_dataloader=None, val_cfg=None, val_evaluator=None)
    (data / 'a/val.json').unlink()
    config = load(data, block, **none)
    check_files(config, TRAIN_PARTS)
    write_classes(data / 'a/val.json', FRUIT)
    (data / 'a/train.json').unlink()
    check_files(load(data, block, needs=TEST_PARTS), TEST_PARTS)
    (data / 'a/val.json').write_text('{')
    with pytest.raises(DataError, match='val.json is not valid JSON'):
        load(data, block, needs=TEST_PARTS)


def test_annotations_elsewhere_are_not_looked_for(data: Path) -> None:
    block = dict(data_root='s3/', **FILES, classes=FRUIT)
    away = {'backend_args': dict(backend='petrel')}
    options = {f'{split}_dataloader.dataset': away for split in ('train', 'val', 'test')}
    metrics = {f'{split}_evaluator': away for split in ('val', 'test')}
    check_files(load(data, block, **options, **metrics), TRAIN_PARTS)


def test_the_expanded_config_means_the_same_when_read_again(data: Path) -> None:
    config = load(data, dict(data_root=str(data), **FILES))
    config.dump(data / 'dumped.py')
    again = load_config(data / 'dumped.py', needs=TRAIN_PARTS)
    assert again.to_dict() == config.to_dict()


def test_test_has_its_own_files_when_given(data: Path) -> None:
    write_classes(data / 'a/test.json', FRUIT)
    block = dict(data_root=str(data), **FILES, test_ann_file='a/test.json')
    config = load(data, block)
    assert [one.ann_file for one in datasets(config)] == [
        'a/train.json',
        'a/val.json',
        block['test_ann_file'],
    ]
    assert config.test_dataloader.dataset.data_prefix.img == FILES['val_data_prefix']
    assert config.val_evaluator.ann_file == f'{data}/a/val.json'
    assert config.test_evaluator.ann_file == f'{data}/a/test.json'


def test_given_classes_and_colours_are_taken(data: Path) -> None:
    block = dict(data_root=str(data), **FILES, classes=('plum',), palette=[(1, 2, 3)])
    config = load(data, block)
    for one in datasets(config):
        assert (tuple(one.metainfo.classes), one.metainfo.palette) == (('plum',), [(1, 2, 3)])
    assert config.model.bbox_head.head_module.num_classes == 1


def test_a_block_is_inherited_and_overridden_by_field_and_option(data: Path) -> None:
    load(data, dict(data_root='elsewhere', **FILES, classes=FRUIT))
    child = data / 'child.py'
    child.write_text(f"_base_ = 'mine.py'\ncoco_data = dict(data_root={str(data)!r})\n")
    config = load_config(child, {'coco_data.val_ann_file': 'a/other.json'})
    assert config.train_dataloader.dataset.data_root == str(data)
    assert config.val_dataloader.dataset.ann_file == 'a/other.json'
    assert config.train_dataloader.dataset.ann_file == 'a/train.json'


def test_classes_of_the_inherited_config_do_not_survive(data: Path) -> None:
    balloon = YOLOV5 / 'ins_seg/yolov5_ins_n-v61_320_150e_balloon_instance.py'
    config = load(data, dict(data_root=str(data), **FILES), balloon)
    assert tuple(config.train_dataloader.dataset.metainfo.classes) == FRUIT
    assert config.model.bbox_head.head_module.num_classes == 3


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(train_anns='x'), "coco_data.train_anns is unknown. Did you mean 'train_ann_file'"),
        (dict(val_data_prefix=dict(img='x')), 'val_data_prefix is .*path in quotes'),
        (dict(classes='apple'), r"coco_data.classes is the string 'apple'.*\('apple', \)"),
        (dict(classes=3), 'coco_data.classes must be a tuple'),
        (dict(classes=('apple', 'apple')), "names 'apple' more than once"),
    ],
)
def test_mistakes_in_the_block_are_named(change: dict, words: str, data: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        load(data, {**FILES, **change})


def test_a_block_without_files_is_refused(data: Path) -> None:
    with pytest.raises(ConfigError, match='lacks val_ann_file.*coco_split'):
        load(data, dict(train_ann_file='a/train.json'))
    with pytest.raises(ConfigError, match='must be a dict of train_ann_file'):
        load(data, ['a/train.json'])


def test_a_block_describes_one_data_set(data: Path) -> None:
    path = data / 'two.py'
    path.write_text(
        f"""_base_ = {str(SEGMENTATION)!r}
one = _base_.train_dataloader.dataset
train_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', datasets=[one, one]))
coco_data = {FILES!r}
"""
    )
    with pytest.raises(ConfigError, match='train_dataloader.dataset has 2'):
        load_config(path)


def test_a_missing_annotation_file_is_named(data: Path, capsys: pytest.CaptureFixture) -> None:
    (data / 'a/train.json').unlink()
    config = load(data, dict(data_root=str(data), **FILES))
    assert tuple(config.train_dataloader.dataset.metainfo.classes) == FRUIT, 'from validation'
    (data / 'a/val.json').unlink()
    with pytest.raises(ConfigError, match=re.escape(f'not found: {data}/a/train.json')):
        load(data, dict(data_root=str(data), **FILES))
    load_config(data / 'mine.py')
    assert 'warning: the names of the classes are unknown' in capsys.readouterr().err


# ---- the long form


def long_form(data: Path, num_classes: int | None) -> Config:
    config = load_config(SEGMENTATION)
    for one in datasets(config):
        one.update(data_root=str(data), ann_file='a/train.json')
    config.model.bbox_head.head_module.num_classes = num_classes
    return config


@pytest.mark.parametrize('num_classes', [None, 3])
def test_long_form_without_names_takes_those_of_the_annotations(
    num_classes: int | None, data: Path
) -> None:
    config = long_form(data, num_classes)
    derive_classes(config)
    assert all(tuple(one.metainfo.classes) == FRUIT for one in datasets(config))
    assert config.model.bbox_head.head_module.num_classes == 3
    check_config(config)


def test_a_wrong_number_is_compared_with_the_names_of_the_annotations(data: Path) -> None:
    config = long_form(data, 2)
    derive_classes(config)
    with pytest.raises(ConfigError, match="num_classes is 2.*has 3: 'apple'.*Set num_classes to 3"):
        check_config(config)


def test_names_in_the_config_stay_and_are_counted(data: Path) -> None:
    config = long_form(data, None)
    for one in datasets(config):
        one.metainfo = dict(classes=('pear', 'plum'))
    derive_classes(config)
    assert config.train_dataloader.dataset.metainfo['classes'] == ('pear', 'plum')
    assert config.model.bbox_head.head_module.num_classes == 2


def test_eighty_classes_without_names_are_cocos_and_nothing_is_read() -> None:
    config = load_config(SEGMENTATION, needs=TRAIN_PARTS)
    assert 'metainfo' not in config.train_dataloader.dataset
    assert config.model.bbox_head.head_module.num_classes == 80


# ---- the weight of the class loss


@pytest.mark.parametrize('size', 'nm')
def test_class_loss_is_scaled_as_coco_configs_scale_it(size: str, data: Path) -> None:
    base = SEGMENTATION.with_name(SEGMENTATION.name.replace('_n-', f'_{size}-'))
    weights = [
        load(data, block, base).model.bbox_head.loss_cls.loss_weight
        for block in (dict(data_root=str(data), **FILES), None)
    ]
    assert weights[0] == pytest.approx(weights[1] * 3 / 80)


def test_a_weight_of_ones_own_stays(data: Path) -> None:
    load(data, dict(data_root=str(data), **FILES))
    child = data / 'child.py'
    child.write_text(
        "_base_ = 'mine.py'\nmodel = dict(bbox_head=dict(loss_cls=dict(loss_weight=0.123)))\n"
    )
    assert load_config(child).model.bbox_head.loss_cls.loss_weight == 0.123


def test_a_number_of_classes_from_the_command_line_is_compared(data: Path) -> None:
    block = dict(data_root=str(data), **FILES)
    option = 'model.bbox_head.head_module.num_classes'
    check_config(load(data, block, **{option: 3}))
    with pytest.raises(ConfigError, match='num_classes is 2.*Set num_classes to 3'):
        check_config(load(data, block, **{option: 2}))

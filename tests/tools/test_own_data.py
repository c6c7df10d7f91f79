"""The config of docs/your_own_data.md trains on a set of three classes, and the usual mistakes are
caught with the remedy.
"""

import re
from pathlib import Path

import pytest

from tests.shared_data import REPO
from tests.tools import journey

FRUIT = ('apple', 'pear', 'plum')
SMALL = (
    *('model.backbone.widen_factor=0.125', 'model.neck.widen_factor=0.125'),
    *('model.bbox_head.head_module.widen_factor=0.125', 'train_cfg.max_epochs=1'),
    *('train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False'),
    *('val_dataloader.num_workers=0', 'val_dataloader.persistent_workers=False'),
)


def documented() -> list[str]:
    """Return the lines of the config in the docs."""
    text = (REPO / 'docs/your_own_data.md').read_text()
    match = re.search(r'<!-- custom-config -->\n```python\n(.*?)```', text, flags=re.DOTALL)
    assert match
    return match[1].splitlines()


@pytest.fixture
def fruit(tmp_path: Path) -> Path:
    """The folder of the docs' commands: data/fruit with three classes in one folder of images."""
    root = tmp_path / 'data/fruit'
    journey.make_data(root, 4, 2)
    (root / 'images').mkdir()
    for split in ('train', 'val'):
        for image in (root / split).glob('*.jpg'):
            image.rename(root / 'images' / image.name)
        journey.edit_json(root / f'{split}.json', three_classes)
    return tmp_path


def three_classes(content: dict) -> None:
    content['categories'] = [dict(id=n, name=name) for n, name in enumerate(FRUIT, 1)]
    for number, annotation in enumerate(content['annotations']):
        annotation['category_id'] = 1 + number % 3


def train(tools, folder: Path, *changes: tuple[str, str]) -> journey.Done:
    """Train with the documented config after replacements in its text."""
    text = '\n'.join(documented()).replace("'configs/", f"'{REPO}/configs/")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / 'fruit.py').write_text(text)
    return tools.run(folder, 'tools/train.py', 'fruit.py', '--cfg-options', *SMALL)


def test_ten_lines_are_enough(tools, fruit):
    assert len([line for line in documented() if line.strip()]) <= 10
    done = train(tools, fruit).check()
    assert 'dataset check: data/fruit/train.json: 4 images' in done.out
    dumped = (fruit / 'work_dirs/fruit/fruit.py').read_text()
    for name in FRUIT:
        assert f"'{name}'" in dumped
    assert 'num_classes=3' in dumped and 'coco_data' not in dumped
    assert re.search(r'coco/segm_mAP: [0-9.]+', done.out)


@pytest.mark.parametrize(
    ('change', 'parts'),
    [
        (
            ("data_root='data/fruit/',", "data_root='data/fruit/', classes=('aple', 'plum'),"),
            ("'aple'", "did you mean 'apple'?", 'train.json'),
        ),
        (
            ("data_root='data/fruit/',", "data_root='data/fruit/', classes=('apple'),"),
            ("coco_data.classes is the string 'apple'", "classes=('apple', ) with the comma"),
        ),
        (
            ("train_data_prefix='images/'", "train_data_prefix='train/images/'"),
            ('4 of 4 image files', 'It is in data/fruit/images', "data_prefix=dict(img='images/')"),
        ),
        (
            ("train_ann_file='train.json'", "train_ann_file='training.json'"),
            ('Annotation file not found', 'data/fruit/training.json'),
        ),
        (
            ("train_ann_file='train.json'", "train_anns='train.json'"),
            ('coco_data.train_anns is unknown', "Did you mean 'train_ann_file'?"),
        ),
    ],
)
def test_usual_mistakes(change, parts, tools, fruit):
    done = train(tools, fruit, change)
    assert done.code == 1 and 'Traceback' not in done.out + done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith('error: ')]
    for part in parts:
        assert part in line
    assert 'Epoch(train)' not in done.out


def test_wrong_number_of_classes_in_the_long_form(tools, fruit):
    files = dict(data_root='data/fruit/', ann_file='train.json')
    extra = f'train_dataloader = dict(dataset=dict(**{files}, data_prefix=dict(img="images/")))'
    head = 'model = dict(bbox_head=dict(head_module=dict(num_classes=2)))'
    base = REPO / 'configs' / journey.INS
    (fruit / 'long.py').write_text(f'_base_ = {str(base)!r}\n{extra}\n{head}\n')
    done = tools.run(fruit, 'tools/train.py', 'long.py')
    assert done.code == 1 and "has 3: 'apple', 'pear', 'plum'. Set num_classes to 3" in done.err

"""A folder in which the documented commands find all that they name, small enough to be quick."""

import functools
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import torch
from mmengine.config import Config

from mmyolo_lite.apis import convert_weights_names as official
from mmyolo_lite.apis.model import load_model
from mmyolo_lite.datasets.sample import ANN_NAME, make_sample_dataset
from tests import official_layout
from tests.datasets.converters.folders import save_image, save_text, voc_object, voc_xml
from tests.docs.shell import Shell
from tests.shared_data import REPO
from tests.tools import journey

INS = 'configs/yolov5/ins_seg'
NAME = 'yolov5_ins_s-v61_syncbn_fast_8xb16-300e_balloon_instance'
CONFIG = f'{INS}/{NAME}.py'
CKPT = f'work_dirs/{NAME}/best.pth'
COCO_CKPT = 'checkpoints/coco.pth'
CUSTOM = 'my_config.py'
LINKS = (
    *('benchmarks', 'demo', 'docs', 'examples', 'mmyolo_lite', 'requirements', 'tests', 'tools'),
    *('Makefile', 'README.md', 'requirements.txt', 'setup.py', 'pyproject.toml'),
)
SMALL = """\
_base_ = {base!r}
model = dict(
    backbone=dict(deepen_factor=0.33, widen_factor=0.125),
    neck=dict(deepen_factor=0.33, widen_factor=0.125),
    bbox_head=dict(head_module=dict(widen_factor=0.125)),
    test_cfg=dict(max_per_img=10))
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(**loader, batch_size=4, dataset={train})
val_dataloader = dict(**loader, dataset={val})
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=1, val_interval=1)
default_hooks = dict(checkpoint=dict(interval=1), pictures=dict(enabled=False))
"""
# fields of transforms that are in pixels of the network's input
SIZES = ('img_scale', 'scale', 'border', 'img_size')
ONNX_OPTIONS = '--format onnx --dynamic all --output model.onnx'


def small(value: Any, is_size: bool = False) -> Any:
    """Return a part of a config with images of a quarter of their sides."""
    if isinstance(value, dict):
        return {key: small(part, key in SIZES) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(small(part, is_size) for part in value)
    return quarter(value) if is_size and isinstance(value, int) else value


def quarter(pixels: int) -> int:
    """Return a quarter of a side, or of a border of half a side, for a stride of 32."""
    return -quarter(-2 * pixels) // 2 if pixels < 0 else round(pixels / 128) * 32


def small_config(path: Path) -> str:
    """Return a config that inherits one of the repository and is small."""
    config = Config.fromfile(path).to_dict()
    datasets = {
        split: {
            key: small(part, key in SIZES)
            for key, part in config[f'{split}_dataloader']['dataset'].items()
            if key in ('pipeline', 'batch_shapes_cfg')
        }
        for split in ('train', 'val')
    }
    text = SMALL.format(base=str(path), **datasets)
    hooks = small(config['custom_hooks'])
    for hook in hooks:
        if 'switch_epoch' in hook:
            hook['switch_epoch'] = 1
    return f'{text}custom_hooks = {hooks}\ntta_pipeline = {small(config["tta_pipeline"])}\n'


def write_configs(root: Path) -> None:
    """Write configs of the repository's names, which inherit those and make them small."""
    (root / 'configs').mkdir()
    (root / 'configs/_base_').symlink_to(REPO / 'configs/_base_')
    for path in sorted((REPO / 'configs/yolov5').rglob('*')):
        copy = root / path.relative_to(REPO)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == '.py':
            copy.write_text(small_config(path))
        elif path.is_file():
            copy.symlink_to(path)


def write_data(root: Path) -> None:
    """Paint the balloon set, and write it under the names of the other sets too."""
    data = journey.make_data(root / 'data/balloon', 4, 3)
    for split in ('train', 'val'):
        photo = min((data / split).glob('*.jpg'))
        shutil.copy(photo, root / 'photo.jpg')
        # a photo of the real set that the pages name
        shutil.copy(photo, data / split / '3927754171_9011487133_b.jpg')
        shutil.copytree(data / split, root / 'photos', dirs_exist_ok=True)
        (root / 'photos' / ANN_NAME).unlink()
    shutil.copytree(data, root / 'data/sample_balloon')
    fruit = root / 'data/fruit'
    (root / 'data/coco/annotations').mkdir(parents=True)
    shutil.copytree(root / 'photos', fruit / 'images')
    for split in ('train', 'val'):
        shutil.copytree(data / split, root / f'data/coco/{split}2017')
        content = json.loads((data / f'{split}.json').read_text())
        coco = root / f'data/coco/annotations/instances_{split}2017.json'
        coco.write_text(json.dumps(content | {'categories': [{'id': 0, 'name': 'person'}]}))
        for folder in (fruit, fruit / 'annotations'):
            folder.mkdir(exist_ok=True)
            shutil.copy(data / f'{split}.json', folder)
    shutil.copy(data / 'train.json', root / 'all.json')


def write_labels(root: Path) -> None:
    """Write an image with a label in every format that the converters read."""
    folder = root / 'labels'
    save_image(folder / 'images/a.png')
    shape = dict(label='cat', points=[[2, 3], [12, 3], [2, 23]], shape_type='polygon')
    save_text(folder / 'images/a.json', json.dumps(dict(shapes=[shape])))
    save_text(folder / 'labels/a.txt', '0 0.5 0.5 0.2 0.2')
    save_text(folder / 'classes.txt', 'cat')
    objects = [voc_object('cat', (1, 1, 9, 9))]
    xml = voc_xml('a.png', dict(width=60, height=40), objects)
    save_text(folder / 'Annotations/a.xml', xml)


def write_media(root: Path) -> None:
    """Write a short video and a larger picture."""
    photo = cv2.imread(str(root / 'photo.jpg'))
    cv2.imwrite(str(root / 'map.png'), cv2.resize(photo, (500, 400)))
    height, width = photo.shape[:2]
    writer = cv2.VideoWriter(
        str(root / 'clip.mp4'), cv2.VideoWriter.fourcc(*'mp4v'), 5, (width, height)
    )
    for _ in range(2):
        writer.write(photo)
    writer.release()


def documented_config() -> str:
    """Return the config of docs/your_own_data.md."""
    text = (REPO / 'docs/your_own_data.md').read_text('utf-8')
    return text.partition('<!-- custom-config -->\n```python\n')[2].partition('```')[0]


def save_random(root: Path, config: str, path: str) -> None:
    """Write a checkpoint of a config with random weights that are sure of objects everywhere."""
    torch.manual_seed(1)
    model = load_model(root / config, None, 'cpu')
    for layer in model.network.bbox_head.head_module.convs_pred:
        rows = layer.bias.data.view(3, -1)  # 4 of the box, objectness, classes, coefficients
        rows[:, 4 : 5 + len(model.class_names)] = 2.0
    meta = {'dataset_meta': {'classes': model.class_names, 'palette': model.palette}}
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    torch.save({'state_dict': model.network.state_dict(), 'meta': meta}, root / path)


def write_official(root: Path) -> None:
    """Write weights in the official layout, under the names that the pages use."""
    for name, coefficients in (('yolov5n.pt', 0), ('yolov5n-seg.pt', 32), ('yolov5s-seg.pt', 32)):
        sizes = official.Architecture(name[6], 3, 3, coefficients)
        own = official_layout.filled(official.expected_weights(sizes))
        official_layout.save_official(root / name, official_layout.official_weights(own))


def make_world(root: Path, shell: Shell) -> Path:
    """Fill a folder with links to the repository, data, configs, a trained and exported model."""
    for name in LINKS:
        (root / name).symlink_to(REPO / name)
    write_configs(root)
    write_data(root)
    write_labels(root)
    write_media(root)
    write_official(root)
    (root / CUSTOM).write_text(documented_config())
    coco = f'{INS}/yolov5_ins_s-v61_syncbn_fast_8xb16-300e_coco_instance.py'
    save_random(root, coco, COCO_CKPT)
    shutil.copy(root / COCO_CKPT, root / 'checkpoints/yolov5n-seg.pth')
    shutil.copy(root / COCO_CKPT, root / 'checkpoints/yolov5s-seg.pth')
    train = f'python tools/train.py {CONFIG} --cfg-options default_hooks.pictures.enabled=True'
    shell.run(root, train).check()
    for name in ('demo', 'x', *(path.stem for path in (root / 'configs/yolov5').rglob('*.py'))):
        if name != NAME:
            (root / 'work_dirs' / name).symlink_to(NAME)
    save_random(root, CONFIG, CKPT)
    after = [
        f'python tools/export.py {CONFIG} {CKPT} {ONNX_OPTIONS}',
        f'python tools/test.py {CONFIG} {CKPT} --work-dir work_dirs/test --out r.pkl',
        f'python tools/misc/publish_model.py work_dirs/{NAME}/epoch_1.pth published/',
    ]
    shell.run(root, '\n'.join(after)).check()
    (published,) = (root / 'published').iterdir()
    published.rename(root / 'published.pth')
    return root


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


@contextmanager
def running_server(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine, and yield its URL."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f'http://127.0.0.1:{server.server_port}'
        finally:
            server.shutdown()
            thread.join()


def write_archive(folder: Path) -> None:
    """Write the balloon set's archive, painted, with as many files as the real one."""
    make_sample_dataset(folder / 'made/balloon', 61, 13, long_side=96)
    shutil.make_archive(str(folder / 'balloon_dataset'), 'zip', folder / 'made', 'balloon')

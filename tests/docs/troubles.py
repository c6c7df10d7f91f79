"""Mistakes whose messages docs/troubleshooting.md explains, made as a user makes them.

    python -m tests.docs.troubles_running [WORDS]

prints the message of each mistake, or of those with the words in their title, to write the page
from; the test compares the two. A case runs in a copy of the folder of :mod:`tests.docs.world`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.docs.rules import VARIABLES
from tests.docs.shell import Shell
from tests.docs.world import INS, NAME
from tests.tools.journey import Done

TRAIN, TEST = 'python tools/train.py $CONFIG', 'python tools/test.py $CONFIG'
RUN = f'work_dirs/{NAME}'
DETECTION = 'configs/yolov5/yolov5_s-v61_syncbn_fast_1xb4-300e_balloon.py'
EDIT = 'edit.py'
EDITOR = """\
import json, sys
path, code = sys.argv[1:]
d = json.load(open(path))
exec(code)
json.dump(d, open(path, 'w'))
"""
"""Changes a JSON file: ``python edit.py FILE CODE``, where ``d`` is its content."""


@dataclass(frozen=True)
class Trouble:
    """A mistake.

    Attributes:
        title: in words.
        command: what ends in the message.
        before: what makes it so, in shell.
    """

    title: str
    command: str
    before: str = ''

    def run(self, shell: Shell, folder: Path, **variables: str) -> str:
        """Make the mistake in a folder, and return its message."""
        (folder / EDIT).write_text(EDITOR)
        script = f'{self.before}\n{self.command}'.replace('$CONFIG', VARIABLES['CONFIG'])
        done = shell.run(folder, script, **VARIABLES, **variables)
        assert done.code != 0, f'{self.title}: no error\n{done.out[-2000:]}'
        return normalised(message_of(done), folder, variables)


def message_of(done: Done) -> str:
    """Return what a command line ends in: a line `error: ...`, or of an exception in a program."""
    last = done.err.splitlines()[-1]
    match = re.match(r'(?:[\w.]+: )?error: (.*)|mmyolo_lite[\w.]+: (.*)', last)
    assert match, done.err[-3000:]
    return match[1] or match[2]


def normalised(text: str, folder: Path, variables: dict[str, str]) -> str:
    """Return a message without what differs between machines and days."""
    text = re.sub(rf'{re.escape(str(folder))}/?', '/home/me/', text)
    if 'SERVER' in variables:
        text = text.replace(variables['SERVER'], 'http://example.org')
    text = re.sub(r'/[\w./-]*/site-packages/', '.../site-packages/', text)
    text = re.sub(r'(is not there: ).*( Give cpu)', r'\1...\2', text)
    text = re.sub(r'(bytes; \[ONNXRuntimeError\]).*?(\)\. Is)', r'\1 ...\2', text)
    text = text.replace(NAME, 'NAME')
    text = re.sub(r'(loss_\w+) \d\.\d+', r'\1 0.5', text)
    text = re.sub(r'\b[0-9a-f]{64}\b', '0123...', text)
    return re.sub(r'\(\d+ bytes', '(9999 bytes', text)


def without(module: str) -> str:
    """Return shell that makes a module look as if it were not installed."""
    error = f'ModuleNotFoundError("No module named {module}", name="{module}")'
    return f"mkdir absent; echo 'raise {error}' > absent/{module}.py; export PYTHONPATH=absent"


def python(*lines: str) -> str:
    """Return the command of a program."""
    return '\n'.join(["python - <<'END'", *lines, 'END'])


def edit(file: str, code: str) -> str:
    """Return shell that changes a JSON file."""
    return f'python {EDIT} {file} "{code}"'


INSTALLING = [
    Trouble(
        'A compiled operation',
        python(
            'import torch, mmyolo_lite',
            'from mmcv.ops import deform_conv2d',
            'x = torch.ones(1, 1, 3, 3)',
            'deform_conv2d(x, torch.zeros(1, 18, 1, 1), x)',
        ),
    ),
    Trouble(
        'No grad-cam',
        'python demo/boxam_vis_demo.py photo.jpg $CONFIG $CKPT',
        without('pytorch_grad_cam'),
    ),
    Trouble(
        'No onnx',
        'python tools/export.py $CONFIG $CKPT --format onnx --output new.onnx',
        without('onnx'),
    ),
]
DATA = [
    Trouble(
        'A folder without data', 'python tools/dataset_converters/balloon2coco.py --data-root d'
    ),
    Trouble('Converted already', 'python tools/dataset_converters/balloon2coco.py'),
    Trouble(
        'No label file',
        'python tools/dataset_converters/yolo2coco.py labels',
        'rm labels/labels/a.txt',
    ),
    Trouble('No folder of a YOLO set', 'python tools/dataset_converters/yolo2coco.py yolo'),
    Trouble(
        'No annotation in a folder',
        'python tools/dataset_converters/labelme2coco.py '
        '--img-dir photos --labels-dir photos --out new.json',
    ),
    Trouble(
        'Parts that cannot be split',
        'python tools/misc/coco_split.py --json all.json --out-dir parts --group-by "(sample)"',
    ),
    Trouble(
        'A URL without a file',
        'python tools/misc/download_dataset.py --url $SERVER/fruit.zip --save-dir d --retries 0',
    ),
    Trouble(
        'A wrong checksum',
        'python tools/misc/download_dataset.py --url $SERVER/balloon_dataset.zip --save-dir d '
        f'--sha256 {"0" * 64} --retries 0',
    ),
    Trouble('Broken JSON', TRAIN, "echo '{' > data/balloon/train.json"),
    Trouble('A file of results', TRAIN, "echo '[]' > data/balloon/train.json"),
    Trouble(
        'Classes that are not there',
        TRAIN,
        edit('data/balloon/train.json', "d['categories'][0]['name'] = 'baloon'"),
    ),
    Trouble('Photos elsewhere', TRAIN, 'mv data/balloon/train data/balloon/photos'),
    Trouble('No objects', TRAIN, edit('data/balloon/train.json', "d['annotations'] = []")),
    Trouble(
        'No polygons',
        TRAIN,
        edit('data/balloon/train.json', "[a.pop('segmentation') for a in d['annotations']]"),
    ),
    Trouble(
        'Sizes exchanged',
        TEST + ' $CKPT',
        edit(
            'data/balloon/val.json',
            "[i.update(width=i['height'] + 1, height=i['width'] + 1) for i in d['images']]",
        ),
    ),
    Trouble(
        'A damaged photo',
        TEST + ' $CKPT',
        'for f in data/balloon/val/*.jpg; do echo x > $f; done',
    ),
    Trouble(
        'An id twice',
        TRAIN,
        edit('data/balloon/train.json', "d['images'][1]['id'] = d['images'][0]['id']"),
    ),
    Trouble(
        'No iscrowd',
        TRAIN,
        edit('data/balloon/val.json', "[a.pop('iscrowd') for a in d['annotations']]"),
    ),
]
CONFIGS = [
    Trouble('No such config', f'python tools/train.py {INS}/yolov5_ins_s-v61_balloon.py'),
    Trouble('An option without a value', TRAIN + ' --cfg-options train_cfg.max_epochs'),
    Trouble(
        'No validation file',
        'python tools/train.py my_config.py',
        "sed -i '/val_ann_file/d' my_config.py",
    ),
    Trouble(
        'A size between the strides',
        TEST + ' $CKPT --cfg-options test_dataloader.dataset.batch_shapes_cfg=None '
        '"test_dataloader.dataset.pipeline.2.scale=(100,100)"',
    ),
    Trouble(
        'Two forms of masks',
        TRAIN + ' --cfg-options model.bbox_head.mask_overlap=False',
    ),
    Trouble(
        'Workers that stay, and none',
        TRAIN + ' --cfg-options train_dataloader.persistent_workers=True',
    ),
]
STARTING = [
    Trouble('A work dir that cannot be made', TRAIN + ' --work-dir file/x', 'touch file'),
    Trouble('No weights', TRAIN + ' --cfg-options load_from=checkpoints/yolov5n_seg.pth'),
    Trouble(
        'Official weights',
        TRAIN + ' --cfg-options load_from=yolov5n-seg.pt',
    ),
    Trouble('No scaling', TRAIN + ' --auto-scale-lr --cfg-options auto_scale_lr=None'),
    Trouble('A part that is none', TRAIN + ' --freeze backbon'),
    Trouble('All parts', TRAIN + ' --freeze backbone,neck,bbox_head'),
    Trouble(
        'A key of no parameter',
        TRAIN + ' --cfg-options optim_wrapper.paramwise_cfg.custom_keys.bakcbone.lr_mult=0.1',
    ),
    Trouble(
        'A cache without room',
        TRAIN + ' --cfg-options train_dataloader.dataset.cache=disk '
        'train_dataloader.dataset.cache_dir=file/x',
        'touch file',
    ),
    Trouble(
        'A cache without a mosaic',
        TRAIN + ' --cfg-options val_dataloader.dataset.cache=ram',
    ),
]

"""A tiny data set, tiny configs and the command lines, run as a user runs them, for tests of the
whole journey.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mmyolo_lite.datasets.converters.via import ViaOptions, convert_via_splits
from mmyolo_lite.datasets.sample import ANN_NAME, make_sample_dataset
from tests.shared_data import REPO

NUM_TRAIN, NUM_VAL = 8, 5
EPOCHS = 2
ITERS_PER_EPOCH = 2  # batches of four

INS = 'yolov5/ins_seg/yolov5_ins_n-v61_syncbn_fast_8xb16-300e_coco_instance.py'
NON_OVERLAP = 'yolov5/ins_seg/yolov5_ins_s-v61_syncbn_fast_non_overlap_8xb16-300e_coco_instance.py'
DET = 'yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco.py'
DET_LIST = 'yolov5/yolov5_s-v61_syncbn_8xb16-300e_coco.py'

CONFIG = """\
_base_ = {base!r}

img_scale = (128, 128)
max_epochs = {epochs}
metainfo = dict(classes=('balloon', ), palette=[(220, 20, 60)])

model = dict(
    backbone=dict(widen_factor=0.125),
    neck=dict(widen_factor=0.125),
    bbox_head=dict(head_module=dict(widen_factor=0.125, num_classes=1)))

train_pipeline = [
    *_base_.pre_transform,
    dict(_base_.train_pipeline[2], img_scale=img_scale),
    dict(_base_.train_pipeline[3], border=(-64, -64)),
    *_base_.train_pipeline[4:]
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(_base_.test_pipeline[1], scale=img_scale),
    dict(_base_.test_pipeline[2], scale=img_scale),
    *_base_.test_pipeline[3:]
]
data = dict(data_root={data!r}, metainfo=metainfo)
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(
    **loader,
    batch_size=4,
    dataset=dict(**data, ann_file='train.json', data_prefix=dict(img='train/'),
    pipeline=train_pipeline))
val_dataloader = dict(
    **loader,
    dataset=dict(
        **data, ann_file='val.json', data_prefix=dict(img='val/'), pipeline=test_pipeline,
        batch_shapes_cfg=None))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file={data!r} + '/val.json')
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=max_epochs, val_interval=1)
optim_wrapper = dict(optimizer=dict(batch_size_per_gpu=4))
default_hooks = dict(
    logger=dict(interval=1),
    checkpoint=dict(interval=1),
    pictures=dict(enabled=False),
    param_scheduler=dict(max_epochs=max_epochs, warmup_epochs=0, warmup_mim_iter=3))
randomness = dict(seed=0)
"""


def make_data(root: Path, num_train: int = NUM_TRAIN, num_val: int = NUM_VAL) -> Path:
    """Write a sample set in VIA's form, one image of each split without objects, and convert it to
    COCO.
    """
    make_sample_dataset(root, num_train, num_val, long_side=96)
    for split in ('train', 'val'):
        path = root / split / ANN_NAME
        entries = json.loads(path.read_text())
        entries[sorted(entries)[1]]['regions'] = {}
        path.write_text(json.dumps(entries))
    convert_via_splits(str(root), ['train', 'val'], ANN_NAME, str(root), ViaOptions())
    return root


def write_config(
    path: Path, data: Path, base: str = INS, extra: str = '', epochs: int = EPOCHS
) -> Path:
    """Write a tiny config that inherits `base`; `extra` is put behind it."""
    path.write_text(
        CONFIG.format(base=str(REPO / 'configs' / base), data=str(data), epochs=epochs) + extra
    )
    return path


def edit_json(path: Path, edit: Any) -> None:
    """Change the content of a JSON file in place."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def keep_objects_of_one_image(content: dict) -> None:
    """Leave the objects of all images but the first that has some out of an annotation file."""
    first = content['annotations'][0]['image_id']
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] == first]


@dataclass
class Done:
    """What a command line left: exit code, stdout and stderr."""

    code: int
    out: str
    err: str

    def check(self) -> 'Done':
        """Require success."""
        assert self.code == 0, f'exit code {self.code}\n{self.out[-3000:]}\n{self.err[-6000:]}'
        return self


def environment() -> dict[str, str]:
    """Return the environment of a child process."""
    return {
        **os.environ,
        'PYTHONPATH': str(REPO),
        'OMP_NUM_THREADS': '1',
        'CUDA_VISIBLE_DEVICES': '',
    }


def run_cold(cwd: Path, *arguments: Any, timeout: float = 280) -> Done:
    """Run a script of the repository in a fresh interpreter; the first argument is its path
    there.
    """
    script, *rest = map(str, arguments)
    done = subprocess.run(
        [sys.executable, str(REPO / script), *rest],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return Done(done.returncode, done.stdout, done.stderr)


class WarmTools:
    """Runs scripts of the repository in processes forked from one that has imported the frameworks
    already.

    That saves the seconds that each fresh interpreter takes to import them; the processes are real
    ones.
    """

    @cached_property
    def _server(self) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, '-m', 'tests.tools.warm_process'],
            cwd=REPO,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, cwd: Path, *arguments: Any) -> Done:
        """Run a script in `cwd`; the first argument is its path in the repository."""
        script, *rest = map(str, arguments)
        out, err = cwd / '.stdout', cwd / '.stderr'
        request = {
            'argv': [str(REPO / script), *rest],
            'cwd': str(cwd),
            'out': str(out),
            'err': str(err),
        }
        assert self._server.stdin and self._server.stdout
        self._server.stdin.write(json.dumps(request) + '\n')
        self._server.stdin.flush()
        code = int(self._server.stdout.readline())
        return Done(code, out.read_text(), err.read_text())

    def close(self) -> None:
        """End the warm process."""
        if '_server' in vars(self):
            self._server.stdin.close()
            self._server.wait(timeout=120)  # a busy machine takes its time
            self._server.stdout.close()


@dataclass
class Run:
    """A finished training: where it ran, its config, its work dir, what it printed."""

    folder: Path
    config: Path
    work_dir: Path
    done: Done

    def only(self, pattern: str) -> Path:
        """Return the one file of the work dir that fits."""
        (found,) = self.work_dir.glob(pattern)
        return found


def scalars(work_dir: Path) -> list[dict[str, float]]:
    """Return the logged values of the newest run in a work dir, one dict a logging."""
    newest = max(work_dir.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for line in newest.read_text().splitlines()]


def train_scalars(work_dir: Path) -> list[dict[str, float]]:
    """Return those of training iterations."""
    return [entry for entry in scalars(work_dir) if 'loss' in entry]

"""Mistakes that people make in configs, and the page of the docs that shows their messages.

    python -m tests.engine.config_mistakes

writes the page anew from what the command line says now; the test compares the two.
"""

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.shared_data import REPO
from tests.tools.journey import WarmTools

PAGE = REPO / 'docs/config_errors.md'
BASE = 'configs/yolov5/ins_seg/yolov5_ins_n-v61_320_sample_instance.py'
INHERITS = f"_base_ = '{BASE}'\n"
START, END = '<!-- table -->\n', '<!-- end of the table -->\n'


@dataclass(frozen=True)
class Mistake:
    """One row.

    Attributes:
        title: the mistake, in words.
        text: what is written, behind the line with the base.
        base: False leaves that line out.
        name: of the file.
        options: of the command line.
        others: more files by name.
        tools: which of train and test meet it.
    """

    title: str
    text: str = ''
    base: bool = True
    name: str = 'my_config.py'
    options: tuple[str, ...] = ()
    others: dict[str, str] = field(default_factory=dict)
    tools: tuple[str, ...] = ('train', 'test')

    def write(self, folder: Path) -> None:
        """Write the files to an empty folder, with ``configs`` leading to the repository's."""
        (folder / 'configs').symlink_to(REPO / 'configs')
        (folder / self.name).write_text((INHERITS if self.base else '') + self.text)
        for name, text in self.others.items():
            (folder / name).write_text(text)

    def run(self, tools: WarmTools, folder: Path, tool: str) -> str:
        """Write the files, run a command line in the folder, and return its message."""
        self.write(folder)
        before = sorted(path.name for path in folder.iterdir())
        checkpoint = ['no.pth'] if tool == 'test' else []
        options = ['--cfg-options', *self.options] if self.options else []
        done = tools.run(folder, f'tools/{tool}.py', self.name, *checkpoint, *options)
        after = sorted(path.name for path in folder.iterdir() if not path.name.startswith('.std'))
        assert before == after, 'something was written'
        assert done.code == 1, done.out + done.err
        assert 'Traceback' not in done.out + done.err, done.err
        (error,) = [line for line in done.err.splitlines() if line.startswith('error: ')]
        assert error == done.err.splitlines()[-1]
        return normalised(error.removeprefix('error: '), folder)


def normalised(text: str, folder: Path) -> str:
    """Return a message without what differs between machines."""
    return re.sub(rf'{re.escape(str(folder))}/?', '/home/me/', text)


MISTAKES = [
    Mistake(
        'A misspelt field of a class of this project',
        'model = dict(backbone=dict(widen_facter=0.5))\n',
    ),
    Mistake(
        'A misspelt field of a class of mmengine or mmdet',
        'optim_wrapper = dict(\n    optimizer=dict(momentun=0.9))\n',
        tools=('train',),
    ),
    Mistake(
        'A misspelt field of a transform of mmdet',
        'train_pipeline = [\n    *_base_.train_pipeline[:-2],\n'
        "    dict(type='mmdet.RandomFlip', probability=0.5),\n    *_base_.train_pipeline[-2:]]\n"
        'train_dataloader = dict(dataset=dict(pipeline=train_pipeline))\n',
        tools=('train',),
    ),
    Mistake('A misspelt field of a data loader', 'train_dataloader = dict(batchsize=4)\n'),
    Mistake('A misspelt name at the top', 'train_dataloder = dict(batch_size=4)\n'),
    Mistake('A misspelt variable of the inherited config', 'max_epoch = 3\n'),
    Mistake('A misspelt option', options=('model.bbox_head.prior_match_thresh=4.0',)),
    Mistake(
        'An unknown transform',
        "train_pipeline = _base_.train_pipeline\ntrain_pipeline[2]['type'] = 'Mosiac'\n"
        'train_dataloader = dict(dataset=dict(pipeline=train_pipeline))\n',
        tools=('train',),
    ),
    Mistake(
        'An unknown class, and its module does not import',
        "custom_imports = dict(\n    imports=['my_backbone'], allow_failed_imports=True)\n"
        "model = dict(backbone=dict(type='MyBackbone', _delete_=True))\n",
    ),
    Mistake('A scope that does not exist', "model = dict(type='mmseg.YOLODetector')\n"),
    Mistake('A wrong scope', "val_evaluator = dict(type='mmdet.CocoMetrics')\n", tools=('train',)),
    Mistake(
        'A number in quotes',
        "model = dict(\n    bbox_head=dict(head_module=dict(num_classes='1')))\n",
    ),
    Mistake('A number in quotes for a data loader', "train_dataloader = dict(batch_size='4')\n"),
    Mistake(
        'A number in quotes for an optimizer',
        "optim_wrapper = dict(optimizer=dict(lr='1e-3'))\n",
        tools=('train',),
    ),
    Mistake(
        'One number where two are needed',
        'train_pipeline = _base_.train_pipeline\ntrain_pipeline[2].img_scale = 320\n'
        'train_dataloader = dict(dataset=dict(pipeline=train_pipeline))\n',
    ),
    Mistake(
        'A string in place of a tuple: the comma is missing',
        "metainfo = dict(classes=('kite'))\n"
        'train_dataloader = dict(dataset=dict(metainfo=metainfo))\n',
    ),
    Mistake(
        'Names of classes and their number disagree',
        "metainfo = dict(classes=('kite', 'balloon'))\n"
        'train_dataloader = dict(dataset=dict(metainfo=metainfo))\n',
    ),
    Mistake(
        'A missing comma', 'optim_wrapper = dict(\n    optimizer=dict(lr=0.01 momentum=0.9))\n'
    ),
    Mistake('A bracket that is not closed', 'model = dict(\n    backbone=dict(widen_factor=0.5)\n'),
    Mistake('A name that is not defined', 'train_dataloader = dict(batch_size=batch_size)\n'),
    Mistake(
        'A base that does not exist',
        "_base_ = 'configs/yolov5/yolov5_s-v61_syncbn_fst_8xb16-300e_coco.py'\n",
        base=False,
    ),
    Mistake('No base', 'max_epochs = 3\n', base=False),
    Mistake(
        'A circle of bases',
        "_base_ = 'other.py'\n",
        base=False,
        others={'other.py': "_base_ = ['my_config.py']\n"},
    ),
    Mistake(
        'Two bases that set the same name',
        "_base_ = [\n    'configs/_base_/default_runtime.py',\n"
        "    'configs/_base_/det_p5_tta.py',\n    'mine.py']\n",
        base=False,
        others={'mine.py': "log_level = 'DEBUG'\n"},
    ),
    Mistake(
        'A new type without _delete_',
        "optim_wrapper = dict(\n    optimizer=dict(type='AdamW', lr=0.001))\n",
        tools=('train',),
    ),
    Mistake(
        '_delete_ without the needed fields',
        'model = dict(\n    bbox_head=dict(\n        head_module=dict(\n            '
        "_delete_=True, type='YOLOv5InsHeadModule', num_classes=1)))\n",
    ),
    Mistake(
        'A dict where the inherited config has None',
        "param_scheduler = dict(\n    type='CosineAnnealingLR', T_max=36)\n",
    ),
    Mistake(
        'A learning rate below zero',
        'optim_wrapper = dict(optimizer=dict(lr=-0.01))\n',
        tools=('train',),
    ),
    Mistake(
        'No epochs', 'max_epochs = 0\ntrain_cfg = dict(max_epochs=max_epochs)\n', tools=('train',)
    ),
    Mistake('Validation every 0 epochs', 'train_cfg = dict(val_interval=0)\n', tools=('train',)),
    Mistake('A probability above 1', options=('train_dataloader.dataset.pipeline.6.prob=50',)),
    Mistake(
        'A number in place of a dict', 'optim_wrapper = dict(clip_grad=10)\n', tools=('train',)
    ),
    Mistake('A list in place of a dict', "model = [dict(type='YOLODetector')]\n"),
    Mistake(
        'A needed field is missing',
        "custom_hooks = [dict(type='EarlyStoppingHook', patience=5)]\n",
    ),
    Mistake(
        'A folder of data that does not exist',
        "data_root = 'data/ballon/'\ntrain_dataloader = dict(dataset=dict(data_root=data_root))\n",
        tools=('train',),
    ),
    Mistake(
        'A module that does not exist',
        "custom_imports = dict(\n    imports=['my_hooks'])\n",
    ),
    Mistake(
        'A config for an older framework',
        "optimizer = dict(type='SGD', lr=0.01)\n",
        tools=('train',),
    ),
    Mistake(
        'A config of another project',
        'nc: 1\nbackbone: []\nhead: []\n',
        base=False,
        name='yolov5s.yaml',
    ),
    Mistake(
        'A config in YAML that would run code',
        'model: !!python/object/apply:os.mkdir [made]\n',
        base=False,
        name='model.yaml',
    ),
]


def code(text: str) -> str:
    """Return a config's text in a cell of a table."""
    lines = [line.replace('|', '\\|') for line in text.strip('\n').splitlines()]
    return '<br>'.join(
        f'{"&nbsp;" * (len(line) - len(line.lstrip()))}`{line.strip()}`' for line in lines
    )


def row(mistake: Mistake, message: str) -> str:
    """Return a row of the table in the page."""
    written = code(mistake.text) if mistake.text else ''
    for name, text in mistake.others.items():
        written += f'<br>{name}: {code(text)}'
    if mistake.options:
        written = f'`--cfg-options {" ".join(mistake.options)}`'
    if mistake.name.endswith('.yaml'):
        written = f'{mistake.name}: {written}'
    return f'| {mistake.title} | {written} | {cell(message)} |'


def cell(message: str) -> str:
    """Return a message as it stands in a cell."""
    return f'`{message}`'.replace('|', '\\|')


def table(rows: list[str]) -> str:
    """Return the table."""
    head = ['| mistake | what is written | message |', '| --- | --- | --- |']
    return '\n'.join([*head, *rows]) + '\n'


def main() -> None:
    """Write the page's table."""
    tools, rows = WarmTools(), []
    for mistake in MISTAKES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(row(mistake, mistake.run(tools, Path(folder).resolve(), mistake.tools[0])))
            print(rows[-1], flush=True)
    tools.close()
    before, _, rest = PAGE.read_text('utf-8').partition(START)
    _, _, behind = rest.partition(END)
    PAGE.write_text(f'{before}{START}\n{table(rows)}\n{END}{behind}', 'utf-8')


if __name__ == '__main__':
    main()

"""What becomes of each documented command: run, run in little, parsed alone, or not run, and why.

The first rule whose pattern is found in the command counts. A reader's names (``CONFIG``, ``CKPT``,
``PHOTO`` ...) stand for files of :mod:`tests.docs.world`, whose configs are those of the repository
with a thin network, four images and one epoch: what runs with one of them runs in little.
"""

import re
from dataclasses import dataclass
from enum import Enum

from tests.docs.world import CKPT, CONFIG, CUSTOM, NAME


class Way(Enum):
    """How a command is looked at."""

    RUN = 'executed as it stands'
    LITTLE = 'executed with a small network, few images, one epoch'
    PARSED = 'its command line is parsed alone'
    NOT = 'not run'


@dataclass(frozen=True)
class Rule:
    """What is done with the commands that a pattern is found in.

    Attributes:
        pattern: a regular expression.
        way: what is done.
        why: the reason, of ``PARSED`` and ``NOT``.
        swaps: patterns and what takes their place, before the names of :data:`NAMES`.
        removed: patterns of files and folders that the command is to write itself.
        codes: the exit codes that are fine.
        is_slow: it takes long.
    """

    pattern: str
    way: Way
    why: str = ''
    swaps: tuple[tuple[str, str], ...] = ()
    removed: tuple[str, ...] = ()
    codes: tuple[int, ...] = (0,)
    is_slow: bool = False

    def script(self, command: str) -> str:
        """Return what is run in the place of a command."""
        for pattern, text in (*self.swaps, *NAMES):
            command = re.sub(pattern, text, command)
        return command


def word(name: str) -> str:
    """Return a pattern of a name that a reader replaces, alone or at the start of a path."""
    return rf'(?<![\w$.{{/-]){name}(?![\w=])'


# a name alone is replaced; options in brackets are left out
NAMES = (
    (r'(?<=\s)\[[^\]]*\]', ''),
    (r'\s\.\.\.(?=\s|$)', ''),
    (r'work_dirs/NAME(?!\w)', f'work_dirs/{NAME}'),
    (r'work_dirs/[AB]\b', f'work_dirs/{NAME}'),
    (word('(YOUR_CONFIG|MY_CONFIG|CONFIG)'), CONFIG),
    (word('(CKPT|CHECKPOINT)'), CKPT),
    (word('(PHOTO|IMG|IMAGE)'), 'photo.jpg'),
    (word('(PHOTOS|FOLDER|IMAGES)'), 'photos'),
    (word('VIDEO'), 'clip.mp4'),
    (word('WORK_DIR'), f'work_dirs/{NAME}'),
    (word('NAME'), 'balloon'),
    (word('OUT_DIR'), 'out'),
    (word('FILE'), 'model.onnx'),
    (word('ALGORITHM'), 'k-means'),
)
VARIABLES = {'CONFIG': CONFIG, 'CKPT': CKPT, 'CHECKPOINT': CKPT, 'PHOTO': 'photo.jpg'}
"""What the shell's variables are, where the page does not say."""

PUBLISHED = ((word('FILE'), 'published.pth'),)
FRUIT = ((word('CONFIG'), CUSTOM),)
TRAINED = ((word('CKPT'), f'work_dirs/{NAME}/epoch_1.pth'),)
LABELS = ((word('DIR'), 'labels'),)
SUBSET = (
    (word('COCO_DIR'), 'data/coco'),
    (word('OUT_DIR'), 'data/subset'),
    ('person car( chair)?', 'person'),
)

RULES = (
    # ---- parsed alone ----
    Rule(r'^make (demo|test|lint)', Way.PARSED, 'takes minutes; the Makefile has the target'),
    Rule(r'(^|&& )(python -m )?pip install', Way.PARSED, 'changes the environment'),
    Rule(r'benchmarks/bench_', Way.PARSED, 'measures for minutes'),
    Rule(r'tests/long/', Way.PARSED, 'trains for half an hour'),
    Rule(r'^python3? -m venv', Way.NOT, 'makes an environment'),
    # it has advice, and the exit code 1, where something is wrong
    Rule(r'collect_env\.py', Way.RUN, codes=(0, 1), is_slow=True),
    # ---- a journey ----
    Rule(
        r'download_dataset\.py --dataset-name balloon',
        Way.LITTLE,
        swaps=((r'$', ' --url $SERVER/balloon_dataset.zip --overwrite'),),
        removed=('data/balloon',),
    ),
    Rule(r'balloon2coco\.py', Way.LITTLE, removed=('data/*/train.json', 'data/*/val.json')),
    Rule(r'train\.py .*--(vis|amp|freeze|work-dir|cfg-options)', Way.LITTLE, is_slow=True),
    Rule(r'train\.py', Way.LITTLE),
    Rule(r'test\.py (published|FILE$)', Way.LITTLE, swaps=PUBLISHED),
    Rule(r'tools/test\.py .*--tta', Way.LITTLE, is_slow=True),
    Rule(r'tools/test\.py', Way.LITTLE),
    # a server that runs until it is stopped
    Rule(
        r'^tensorboard --logdir',
        Way.LITTLE,
        swaps=(('--logdir', '--inspect --logdir'),),
        is_slow=True,
    ),
    # ---- data ----
    Rule(r'(labelme2coco|yolo2coco|voc2coco)\.py', Way.RUN, swaps=LABELS, removed=('all.json',)),
    Rule(r'coco2yolo\.py', Way.RUN),
    Rule(
        r'make_sample_dataset\.py',
        Way.LITTLE,
        swaps=((r'$', ' --train 4 --val 2 --size 96'),),
        removed=('data/sample_balloon',),
    ),
    Rule(r'extract_subcoco\.py', Way.LITTLE, swaps=SUBSET),
    Rule(r'browse_coco_json\.py', Way.LITTLE),
    Rule(r'coco_split\.py', Way.LITTLE, removed=('data/fruit/train.json', 'data/fruit/val.json')),
    Rule(r'check_dataset\.py', Way.LITTLE, codes=(0, 1)),
    Rule(
        r'(browse_dataset|dataset_analysis|optimize_anchors|print_config)\.py',
        Way.LITTLE,
        swaps=FRUIT,
    ),
    # ---- predictions ----
    Rule(r'(image|video|large_image|featmap_vis|boxam_vis)_demo\.py', Way.LITTLE, swaps=PUBLISHED),
    Rule(r'deploy_demo\.py', Way.LITTLE),
    # ---- after a training ----
    Rule(r'report\.py', Way.LITTLE),
    Rule(r'(confusion_matrix|analyze_logs|vis_scheduler|get_flops|benchmark)\.py', Way.LITTLE),
    Rule(r'export\.py --info', Way.LITTLE),
    Rule(r'export\.py FILE', Way.LITTLE, swaps=PUBLISHED, is_slow=True),
    Rule(r'export\.py', Way.LITTLE, removed=('model.onnx',)),
    Rule(r'publish_model\.py', Way.LITTLE, swaps=TRAINED),
    Rule(
        r'onnx_infer\.py', Way.LITTLE, swaps=((r'python onnx_infer', 'python examples/onnx_infer'),)
    ),
    Rule(r'yolov5_to_mmyolo\.py', Way.RUN, removed=('checkpoints/yolov5?-seg.pth',)),
    Rule(r'model_table\.py', Way.PARSED, 'counts for a minute and writes into configs/'),
    Rule(r'compare_deploy\.py', Way.PARSED, 'compares for minutes'),
)


def rule_of(command: str) -> Rule | None:
    """Return the rule of a command."""
    return next((rule for rule in RULES if re.search(rule.pattern, command)), None)

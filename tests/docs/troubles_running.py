"""Mistakes of :mod:`tests.docs.troubles` from the first iteration on."""

import shutil
import sys
import tempfile
from pathlib import Path

from tests.docs import world as worlds
from tests.docs.shell import Shell
from tests.docs.troubles import (
    CONFIGS,
    DATA,
    DETECTION,
    INSTALLING,
    RUN,
    STARTING,
    TEST,
    TRAIN,
    Trouble,
    edit,
    python,
)
from tests.docs.world import COCO_CKPT, CONFIG

HEADS = 'model.bbox_head'
DETECTOR = python(
    'import torch',
    'from mmyolo_lite.apis.model import load_model',
    f'network = load_model({DETECTION!r}, None, "cpu").network',
    'torch.save({"state_dict": network.state_dict()}, "boxes.pth")',
)


PREDICT = 'python demo/image_demo.py'


def stops(error: str, *lines: str) -> str:
    """Return a program that a training or test stops in by an error of Python or PyTorch."""
    return python(
        'from mmengine.config import Config',
        'from mmyolo_lite.engine.run_errors import run_errors',
        *lines,
        f'with run_errors(Config.fromfile({CONFIG!r})):',
        f'    raise {error}',
    )


def official(*names: str) -> str:
    """Return shell that writes a checkpoint in the official layout, other.pt, with some weights."""
    weights = ', '.join(f'{name!r}: torch.ones(1)' for name in names)
    return python('import torch', f'torch.save({{{weights}}}, "other.pt")')


DURING = [
    Trouble(
        'A loss that is not finite',
        f'{TRAIN} --cfg-options {HEADS}.loss_obj.loss_weight=inf randomness.seed=0',
    ),
    Trouble(
        'A full disk',
        stops(f'OSError(28, "No space left on device", "{RUN}/epoch_3.pth")'),
    ),
    Trouble(
        'A worker that was killed',
        stops('RuntimeError("DataLoader worker (pid 4711) is killed by signal: Killed. ")'),
    ),
    Trouble(
        'A worker and its shared memory',
        stops(
            'RuntimeError("DataLoader worker (pid 4711) is killed by signal: Bus error. It is '
            'possible that dataloader\'s workers are out of shared memory.")'
        ),
    ),
    Trouble(
        'A worker that crashed',
        stops(
            'RuntimeError("DataLoader worker (pid 4711) is killed by signal: Segmentation fault. ")'
        ),
    ),
    Trouble(
        'No memory on the GPU',
        stops(
            'torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 512.00 MiB.")',
            'import torch',
        ),
    ),
    Trouble('No main memory', stops('MemoryError()')),
    Trouble(
        'Many damaged photos',
        f'{TRAIN} --cfg-options randomness.seed=0',
        'for f in data/balloon/train/*.jpg; do echo x > $f; done',
    ),
]
RESUMING = [
    Trouble(
        'No checkpoint that loads',
        f'{TRAIN} --resume',
        f'rm {RUN}/*.pth; echo x > {RUN}/epoch_1.pth; echo x > {RUN}/epoch_2.pth',
    ),
    Trouble('Weights alone', f'{TRAIN} --resume $CKPT'),
    Trouble(
        'Other groups of parameters',
        f'{TRAIN} --resume {RUN}/epoch_1.pth --cfg-options '
        'optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult=0.1 train_cfg.max_epochs=2',
    ),
    Trouble('No such checkpoint', f'{TRAIN} --resume {RUN}/epoch_9.pth'),
]
TESTING = [
    Trouble('A pattern that nothing fits', f'{TEST} "{RUN}/best_coco_segm_mAP_epoch_*.pth"'),
    Trouble('Another number of classes', f'{TEST} {COCO_CKPT}'),
    Trouble('A damaged checkpoint', f'{TEST} half.pth', 'head -c 100000 $CKPT > half.pth'),
    Trouble('No checkpoint at all', f'{TEST} page.pth', "echo '<html>' > page.pth"),
    Trouble(
        'Python objects in a checkpoint',
        f'{TEST} objects.pth',
        python(
            'import argparse, torch',
            'torch.save({"state_dict": {}, "args": argparse.Namespace(a=1)}, "objects.pth")',
        ),
    ),
    Trouble('No config beside a checkpoint', f'python tools/test.py {RUN}/best.pth'),
    Trouble(
        'Masks of a model without',
        f'python tools/test.py {DETECTION} boxes.pth --cfg-options test_evaluator.metric=segm',
        DETECTOR,
    ),
    Trouble('No views', f'{TEST} $CKPT --tta --cfg-options tta_model=None'),
    Trouble('No window', f'{PREDICT} photo.jpg $CONFIG $CKPT --show', 'unset DISPLAY'),
    Trouble(
        'Results of another set',
        'python tools/analysis_tools/confusion_matrix.py $CONFIG r.pkl out',
        edit(
            'data/balloon/val.json',
            "[i.update(id=i['id'] + 900) for i in d['images']]; "
            "[a.update(image_id=a['image_id'] + 900) for a in d['annotations']]",
        ),
    ),
]
PREDICTING = [
    Trouble('No such photo', f'{PREDICT} photo.png $CONFIG $CKPT'),
    Trouble('A folder without photos', f'{PREDICT} empty $CONFIG $CKPT', 'mkdir empty'),
    Trouble('A video among photos', f'{PREDICT} clip.mp4 $CONFIG $CKPT'),
    Trouble('Some damaged photos', f'{PREDICT} photos $CONFIG $CKPT', 'echo x > photos/a.jpg'),
    Trouble('No GPU', f'{PREDICT} photo.jpg $CONFIG $CKPT --device cuda:0'),
    Trouble(
        'A class that the model does not know',
        f'{PREDICT} photo.jpg $CONFIG $CKPT --class-name kite',
    ),
    Trouble(
        'A photo in place of a video',
        'python demo/video_demo.py all.json $CONFIG $CKPT --out a.mp4',
    ),
    Trouble('No output of a video', 'python demo/video_demo.py clip.mp4 $CONFIG $CKPT'),
    Trouble(
        'Tiles that are too small',
        'python demo/large_image_demo.py map.png $CONFIG $CKPT --patch-size 8',
    ),
    Trouble('The work dir of no training', 'python tools/analysis_tools/report.py photos'),
]
LOOKING = [
    Trouble(
        'No such layer',
        'python demo/featmap_vis_demo.py photo.jpg $CONFIG $CKPT --target-layers nek',
    ),
    Trouble(
        'A map of many channels',
        'python demo/featmap_vis_demo.py photo.jpg $CONFIG $CKPT --topk -1 --target-layers neck',
    ),
    Trouble(
        'Masks that are not there',
        f'python demo/boxam_vis_demo.py photo.jpg {DETECTION} boxes.pth --target mask',
        DETECTOR,
    ),
]
OTHER_ONNX = python(
    'import onnx',
    'from onnx import TensorProto, helper',
    'value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in "ab"]',
    'node = helper.make_node("Relu", ["a"], ["b"])',
    'graph = helper.make_graph([node], "other", value[:1], value[1:])',
    'onnx.save(helper.make_model(graph), "other.onnx")',
)
EXPORT = 'python tools/export.py $CONFIG $CKPT'
EXPORTING = [
    Trouble('A size for no stride', f'{EXPORT} --input-shape 100 100'),
    Trouble('Another suffix', f'{EXPORT} --output model.pt'),
    Trouble('An engine of any size', f'{EXPORT} --format engine --dynamic all'),
    Trouble(
        'A file that was not exported here', 'python tools/export.py --info other.onnx', OTHER_ONNX
    ),
    Trouble('Half an exported file', f'{TEST} half.onnx', 'head -c 20000 model.onnx > half.onnx'),
    Trouble(
        'An exported file of other classes',
        'python tools/test.py my_config.py model.onnx',
        '\n'.join(
            edit(f'data/fruit/{split}.json', "d['categories'].append({'id': 2, 'name': 'kite'})")
            for split in ('train', 'val')
        ),
    ),
    Trouble('A checkpoint without a config', 'python tools/misc/publish_model.py $CKPT models/'),
]
PROCESSES = [
    Trouble('No launcher', f'{TRAIN} --launcher pytorch'),
    Trouble(
        'No address',
        f'{TRAIN} --launcher slurm',
        'export SLURM_PROCID=0 SLURM_NTASKS=2 SLURM_NODELIST=node[1-2]',
    ),
]
CONVERT = 'python tools/model_converters/yolov5_to_mmyolo.py'
WEIGHTS = [
    Trouble('A P6 model', f'{CONVERT} other.pt new.pth', official('model.33.m.0.weight')),
    Trouble(
        'A model without anchors',
        f'{CONVERT} other.pt new.pth',
        official('model.24.cv2.0.0.conv.weight'),
    ),
    Trouble('No weights of YOLOv5', f'{CONVERT} other.pt new.pth', official('conv1.weight')),
    Trouble('Weights of this project', f'{CONVERT} $CKPT new.pth'),
]
RUNNING = [*DURING, *RESUMING, *TESTING, *PREDICTING, *LOOKING, *EXPORTING, *PROCESSES, *WEIGHTS]
TROUBLES = [*INSTALLING, *DATA, *CONFIGS, *STARTING, *RUNNING]


def main() -> None:
    """Print messages."""
    words = ' '.join(sys.argv[1:])
    shell = Shell()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        (root / 'served').mkdir()
        (root / 'world').mkdir()
        worlds.write_archive(root / 'served')
        worlds.make_world(root / 'world', shell)
        with worlds.running_server(root / 'served') as url:
            for trouble in TROUBLES:
                if words in trouble.title:
                    print(
                        trouble.title, message(trouble, shell, root, url), '', sep='\n', flush=True
                    )
    shell.close()


def message(trouble: Trouble, shell: Shell, root: Path, url: str) -> str:
    """Return the message of a mistake, or what came instead."""
    here = Path(shutil.copytree(root / 'world', root / 'here', symlinks=True))
    try:
        return f'> `{trouble.run(shell, here, SERVER=url)}`'
    except AssertionError as error:
        return f'!!! {error}'
    finally:
        shutil.rmtree(here)


if __name__ == '__main__':
    main()

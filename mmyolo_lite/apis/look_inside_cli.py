"""What command lines that look inside a network share: their arguments, and their course."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mmyolo_lite.apis.cli import add_config_arguments

if TYPE_CHECKING:
    from mmyolo_lite.apis.look_inside import Draw
    from mmyolo_lite.apis.model import InferenceModel


def add_shared_arguments(parser: argparse.ArgumentParser) -> None:
    """Add images, model, and where pictures go."""
    parser.add_argument('img', help='image, folder (with its sub-folders), pattern, or URL')
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='path or URL of the checkpoint')
    parser.add_argument(
        '--preview-model', action='store_true', help='print all layers and do nothing else'
    )
    parser.add_argument('--out-dir', default='output', help='of pictures (default: output)')
    parser.add_argument('--show', action='store_true', help='show pictures in a window; q ends')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='of predictions (default: 0.3)'
    )
    parser.add_argument(
        '--device', help='such as cpu or cuda:0 (default: the best that PyTorch finds)'
    )


def look_inside(args: argparse.Namespace, make_draw: Callable[['InferenceModel'], 'Draw']) -> None:
    """Print the layers, or draw every image and write the pictures.

    Args:
        args: those of :func:`add_shared_arguments`.
        make_draw: gives what draws an image, for a model.
    """
    from mmyolo_lite.apis import look_inside
    from mmyolo_lite.apis.model import load_model
    from mmyolo_lite.apis.predict_files import images_of

    out_dir = Path(args.out_dir)
    images = []
    if not args.preview_model:
        look_inside.check_options(args.score_thr, out_dir, args.show)
        images = images_of(args.img, out_dir)
    model = load_model(args.config, args.checkpoint, args.device, args.cfg_options)
    if args.preview_model:
        print(look_inside.module_tree(model.network))
        return
    draw = make_draw(model)
    look_inside.deliver_pictures(images, model.read, draw, out_dir, args.show)

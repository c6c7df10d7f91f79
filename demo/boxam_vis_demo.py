"""Draw class-activation maps of predicted instances: what their scores, boxes and masks hang on."""

import argparse
from typing import Any

from mmyolo_lite.apis.choices import CAM_METHODS, CAM_TARGETS
from mmyolo_lite.apis.cli import parse_with_checkpoint, run_cli
from mmyolo_lite.apis.look_inside_cli import add_shared_arguments, look_inside


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_shared_arguments(parser)
    parser.add_argument('--method', choices=CAM_METHODS, default='gradcam')
    parser.add_argument(
        '--target-layers',
        nargs='+',
        default=[],
        metavar='LAYER',
        help='such as neck.out_layers[2]; several are fused (default: the output of the neck that '
        'the instance was predicted from)',
    )
    parser.add_argument(
        '--target',
        nargs='+',
        choices=CAM_TARGETS,
        default=[],
        help='what is explained (default: the score, and the mask where there is one)',
    )
    parser.add_argument('--fuse', choices=['mean', 'max'], default='mean', help='of several layers')
    parser.add_argument('--topk', type=int, default=-1, help='the best instances (-1: all)')
    parser.add_argument(
        '--max-shape',
        type=int,
        nargs='+',
        default=[-1],
        metavar='N',
        help='shrink activations to at most N x N, or W x H, cells (-1: leave them)',
    )
    parser.add_argument(
        '--norm-in-bbox', action='store_true', help='show each map inside its box alone'
    )
    parser.add_argument(
        '--batch-size', type=int, default=8, help='channels that ablation takes together'
    )
    return parse_with_checkpoint(parser)


def main() -> None:
    """Draw as the command line says."""
    args = parse_args()
    from mmyolo_lite.apis.cam_pictures import CamPictures, CamSettings
    from mmyolo_lite.visualization.cam import CamOptions, max_shape_hw

    settings = CamSettings(
        options=CamOptions(args.method, max_shape_hw(args.max_shape), args.batch_size),
        layer_names=args.target_layers,
        targets=args.target,
        fuse=args.fuse,
        score_thr=args.score_thr,
        topk=args.topk,
        norm_in_bbox=args.norm_in_bbox,
    )

    def make_draw(model: Any) -> Any:
        return CamPictures(model, settings).draw

    look_inside(args, make_draw)


if __name__ == '__main__':
    run_cli(main)

"""Draw what layers of a network give for images, over the images: one picture for each map."""

import argparse
from typing import Any

from mmyolo_lite.apis.cli import parse_with_checkpoint, run_cli
from mmyolo_lite.apis.look_inside_cli import add_shared_arguments, look_inside


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_shared_arguments(parser)
    parser.add_argument(
        '--target-layers',
        nargs='+',
        default=['backbone'],
        metavar='LAYER',
        help='such as backbone, neck, neck.out_layers[2] (default: backbone)',
    )
    parser.add_argument(
        '--channel-reduction',
        choices=['squeeze_mean', 'select_max', 'None'],
        help='draw the mean of the channels, the strongest one, or --topk of them one by one '
        '(default: select_max, or None where --topk is given)',
    )
    parser.add_argument('--topk', type=int, help='so many channels (default: 4)')
    parser.add_argument(
        '--arrangement',
        nargs=2,
        type=int,
        default=[2, 2],
        metavar=('ROWS', 'COLUMNS'),
        help='of these channels (default: 2 2)',
    )
    parser.add_argument('--alpha', type=float, default=0.5, help='opacity of maps (default: 0.5)')
    return parse_with_checkpoint(parser)


def main() -> None:
    """Draw as the command line says."""
    args = parse_args()
    from mmyolo_lite.apis.feature_pictures import FeaturePictures
    from mmyolo_lite.visualization.feature_maps import MapDrawing

    reduction = args.channel_reduction or ('select_max' if args.topk is None else 'None')
    drawing = MapDrawing(
        None if reduction == 'None' else reduction,
        4 if args.topk is None else args.topk,
        args.arrangement,
        args.alpha,
    )

    def make_draw(model: Any) -> Any:
        return FeaturePictures(model, args.target_layers, drawing, args.score_thr).draw

    look_inside(args, make_draw)


if __name__ == '__main__':
    run_cli(main)

"""Export a trained model to a file that runs without the training stack, or show what a file says
about itself.
"""

import argparse
import sys

from mmyolo_lite import startup
from mmyolo_lite.apis.cli import (
    add_checkpoint_argument,
    add_config_arguments,
    parse_with_checkpoint,
    run_cli,
)
from mmyolo_lite.deploy import options as choices


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    if '--info' in sys.argv:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument('--info', metavar='FILE', required=True)
        return parser.parse_args()
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    add_checkpoint_argument(parser)
    parser.add_argument('--format', choices=tuple(choices.SUFFIXES), default='onnx')
    parser.add_argument('--output', help='the file, or a folder (default: beside the checkpoint)')
    parser.add_argument(
        '--input-shape',
        nargs=2,
        type=int,
        metavar=('H', 'W'),
        help="of the input in pixels, multiples of the stride (default: the config's test size)",
    )
    parser.add_argument(
        '--dynamic', choices=choices.DYNAMIC, default='none', help='what of the shape is free'
    )
    parser.add_argument('--batch', type=int, default=1, help='images of a fixed batch')
    parser.add_argument('--half', action='store_true', help='weights and layers in float16')
    parser.add_argument(
        '--nms', choices=choices.NMS, default='graph', help='where detections are chosen'
    )
    parser.add_argument('--opset', type=int, default=choices.DEFAULT_OPSET, help='of ONNX')
    parser.add_argument('--simplify', action='store_true', help='fold constants with onnxslim')
    parser.add_argument(
        '--score-thr', type=float, help="lowest score in the file (default: the config's)"
    )
    parser.add_argument(
        '--info', metavar='FILE', help='print what an exported file says about itself, and end'
    )
    return parse_with_checkpoint(parser)


def main() -> None:
    """Export, or print, as the command line says."""
    args = parse_args()
    startup.pause_collection()
    if args.info:
        from mmyolo_lite.deploy.metadata import summary
        from mmyolo_lite.deploy.sessions import open_session

        print(summary(open_session(args.info).meta))
        return
    names = ('format', 'dynamic', 'batch', 'half', 'nms', 'opset', 'simplify', 'score_thr')
    wanted = choices.ExportOptions(
        input_hw=tuple(args.input_shape) if args.input_shape else None,
        **{name: getattr(args, name) for name in names},
    )
    from mmyolo_lite.deploy.export import export_file
    from mmyolo_lite.deploy.metadata import summary

    done = export_file(args.config, args.checkpoint, args.output, wanted, args.cfg_options)
    print(f'{summary(done.meta)}\n{done.check}\nwritten: {done.path}')


if __name__ == '__main__':
    run_cli(main)

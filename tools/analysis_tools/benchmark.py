"""Time a model: the network alone, and from images in memory to detections."""

import argparse

from mmyolo_lite.apis.cli import add_config_arguments, run_cli


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument('checkpoint', nargs='?', help='path or URL; without it weights are random')
    parser.add_argument('--shape', type=int, nargs=2, default=[640, 640], metavar=('H', 'W'))
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument('--max-iter', type=int, default=50, help='runs that are timed')
    parser.add_argument('--repeat-num', type=int, default=1, help='times that all is repeated')
    parser.add_argument('--amp', action='store_true', help='in mixed precision')
    parser.add_argument('--device', help='such as cpu or cuda:0 (default: the best there is)')
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    args = parse_args()
    from mmyolo_lite.apis.complexity import check_runs, measure_speed
    from mmyolo_lite.apis.model import load_model

    check_runs(args.batch_size, args.max_iter, args.repeat_num)
    model = load_model(args.config, args.checkpoint, args.device, args.cfg_options)
    for _ in range(args.repeat_num):
        speed = measure_speed(model, tuple(args.shape), args.batch_size, args.max_iter, args.amp)
        print('\n'.join(speed.lines()))


if __name__ == '__main__':
    run_cli(main)

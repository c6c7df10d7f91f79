"""Fit anchors to the training boxes of a config, and write a config that has them."""

import argparse
from pathlib import Path

from mmyolo_lite.apis.choices import ALGORITHMS
from mmyolo_lite.apis.cli import add_config_arguments, run_cli
from mmyolo_lite.datasets.file_io import refuse_existing


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument(
        '--input-shape',
        type=int,
        nargs=2,
        metavar=('W', 'H'),
        help='of the network input (default: that of the training pipeline)',
    )
    parser.add_argument('--algorithm', choices=ALGORITHMS, default='v5-k-means')
    parser.add_argument('--iters', type=int, default=1000, help='most steps or generations')
    parser.add_argument(
        '--prior-match-thr', type=float, help="ratio that still matches (default: the head's)"
    )
    parser.add_argument(
        '--mutation-args',
        type=float,
        nargs=2,
        default=(0.9, 0.1),
        metavar=('PROB', 'SIGMA'),
        help='of v5-k-means',
    )
    parser.add_argument(
        '--legacy-scale',
        action='store_true',
        help="scale boxes to inputs that are not square as MMYOLO's tool does",
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--device', help='accepted and not used: a CPU takes seconds')
    parser.add_argument(
        '--out-dir', '--output-dir', help='where files go (default: work_dirs/<config name>)'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace existing output')
    return parser.parse_args()


def main() -> None:
    """Fit, print and write."""
    args = parse_args()
    from mmyolo_lite.apis import anchors
    from mmyolo_lite.engine.config import load_config

    options = anchors.AnchorOptions(
        algorithm=args.algorithm,
        input_wh=tuple(args.input_shape) if args.input_shape else None,
        iters=args.iters,
        match_thr=args.prior_match_thr,
        mutation=tuple(args.mutation_args),
        stretch=args.legacy_scale,
        seed=args.seed,
    )
    out_dir = args.out_dir or Path('work_dirs', Path(args.config).stem)
    refuse_existing(anchors.output_paths(args.config, out_dir), args.overwrite)
    config = load_config(args.config, args.cfg_options, ('model', 'train_dataloader'))
    fit = anchors.optimize_anchors(config, options)
    print('\n'.join(fit.lines()))
    print(f'written: {anchors.write_anchor_config(fit, args.config, out_dir, args.overwrite)}')


if __name__ == '__main__':
    run_cli(main)

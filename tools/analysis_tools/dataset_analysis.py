"""Tell and draw what a config's data set consists of: classes, sizes, ratios, areas, images."""

import argparse
from pathlib import Path

from mmyolo_lite.apis.cli import add_config_arguments, run_cli
from mmyolo_lite.visualization.dataset_plots import PLOTS


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument(
        '--val-dataset', action='store_true', help='the validation set instead of the training set'
    )
    parser.add_argument('--class-name', metavar='NAME', help='one class alone')
    parser.add_argument(
        '--area-rule',
        type=float,
        nargs='+',
        default=[],
        metavar='SIDE',
        help='up to three sides in pixels between classes of area (default: 32 96)',
    )
    parser.add_argument('--func', choices=list(PLOTS), help='one figure alone')
    parser.add_argument('--no-figures', action='store_true', help='the report alone')
    parser.add_argument(
        '--img-size',
        type=int,
        nargs=2,
        metavar=('W', 'H'),
        help="network input that small boxes are counted at (default: the training pipeline's)",
    )
    parser.add_argument('--out-dir', type=Path, default=Path('dataset_analysis'))
    return parser.parse_args()


def main() -> None:
    """Analyse and print."""
    args = parse_args()
    from mmyolo_lite.apis.analysis import AnalysisOptions, analyse
    from mmyolo_lite.engine.config import load_config

    figures = [args.func] if args.func else list(PLOTS)
    options = AnalysisOptions(
        out_dir=args.out_dir,
        validation=args.val_dataset,
        class_name=args.class_name,
        area_rule=args.area_rule,
        functions=[] if args.no_figures else figures,
        input_wh=tuple(args.img_size) if args.img_size else None,
    )
    config = load_config(args.config, args.cfg_options, ('model', 'train_dataloader'))
    print('\n'.join(analyse(config, options)))


if __name__ == '__main__':
    run_cli(main)

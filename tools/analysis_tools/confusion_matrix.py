"""Draw which class is taken for which: a confusion matrix (rows: predicted, columns: true)."""

import argparse

from mmyolo_lite.apis.cli import add_config_arguments, run_cli


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument(
        'prediction', help='F.pkl of tools/test.py --out, or val_results.json of a work dir'
    )
    parser.add_argument('save_dir', help='folder for the figures')
    parser.add_argument(
        '--score-thr', type=float, default=0.25, help='count detections of a larger score'
    )
    parser.add_argument(
        '--iou-thr', '--tp-iou-thr', type=float, default=0.45, help='match at a larger IoU'
    )
    parser.add_argument('--kind', choices=['bbox', 'segm'], default='bbox')
    parser.add_argument('--show', action='store_true', help='show the matrix in a window')
    parser.add_argument(
        '--color-theme', default='Blues', help='colour map of matplotlib (default: Blues)'
    )
    return parser.parse_args()


def main() -> None:
    """Count, print and draw."""
    args = parse_args()
    from mmyolo_lite.apis import confusion
    from mmyolo_lite.engine.config import load_config

    confusion.check_output(args.save_dir, args.color_theme, args.show)
    config = load_config(args.config, args.cfg_options, ('test_dataloader',))
    entry = confusion.confusion(config, args.prediction, args.kind, args.score_thr, args.iou_thr)
    print('\n'.join(confusion.describe(entry)))
    paths = confusion.save_confusion(entry, args.kind, args.save_dir, args.color_theme, args.show)
    print(f'written: {", ".join(map(str, paths))}')


if __name__ == '__main__':
    run_cli(main)

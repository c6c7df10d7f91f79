"""Draw training samples as the network sees them: ``browse_dataset.py --mode transformed``."""

import argparse
from pathlib import Path

from mmyolo_lite.apis.cli import add_config_arguments, run_cli


def main() -> None:
    """Draw, and write or show."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument('--output-dir', type=Path, help='where pictures go')
    parser.add_argument('--not-show', action='store_true', help='open no window')
    parser.add_argument(
        '--show-interval', type=float, default=2, help='seconds that a window stays'
    )
    args = parser.parse_args()
    from mmyolo_lite.apis import browse
    from mmyolo_lite.engine.config import load_config

    config = load_config(args.config, args.cfg_options, ('model', 'train_dataloader'))
    drawn = browse.pictures(config, browse.BrowseOptions())
    browse.deliver(drawn, args.output_dir, args.not_show, args.show_interval)


if __name__ == '__main__':
    run_cli(main)

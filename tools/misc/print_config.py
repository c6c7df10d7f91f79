"""Print a config with everything it inherits, and maybe save it as one file."""

import argparse
from pathlib import Path

from mmyolo_lite.apis.cli import add_config_arguments, run_cli

SUFFIXES = ('.py', '.json', '.yml', '.yaml')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument(
        '--save-path', type=Path, metavar='F', help=f'also write it to F ({", ".join(SUFFIXES)})'
    )
    args = parser.parse_args()
    if args.save_path is not None and args.save_path.suffix not in SUFFIXES:
        parser.error(
            f'--save-path is {args.save_path}; its name must end in one of {", ".join(SUFFIXES)}'
        )
    return args


def main() -> None:
    """Print, then save."""
    args = parse_args()
    from mmyolo_lite.engine.config import load_config

    config = load_config(args.config, args.cfg_options)
    print(config.pretty_text)
    if args.save_path is not None:
        args.save_path.parent.mkdir(parents=True, exist_ok=True)
        config.dump(args.save_path)


if __name__ == '__main__':
    run_cli(main)

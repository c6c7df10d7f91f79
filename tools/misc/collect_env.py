"""Say what is installed, whether it works together, and what to change; for bug reports too."""

import argparse
import json
import sys

from mmyolo_lite.apis.cli import run_cli


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='The exit code is 1 when something will not work, else 0. Nothing is sent anywhere.',
    )
    parser.add_argument('--json', action='store_true', help='print it as JSON')
    return parser.parse_args()


def main() -> None:
    """Collect, print, and exit with what was found."""
    args = parse_args()
    from mmyolo_lite.apis.environment import collect, report

    facts = collect()
    print(json.dumps(facts, indent=2) if args.json else '\n'.join(report(facts)))
    sys.exit(0 if facts['works'] else 1)


if __name__ == '__main__':
    run_cli(main)

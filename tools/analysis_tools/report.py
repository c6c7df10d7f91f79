"""Write one HTML file about one or several trainings: curves, scores, photos with errors."""

import argparse
import sys
from pathlib import Path

from mmyolo_lite.apis.cli import run_cli


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('work_dir', nargs='+', type=Path, help='work dirs of trainings')
    parser.add_argument(
        '--out', type=Path, help='the HTML file (default: report.html in the first work dir)'
    )
    parser.add_argument(
        '--max-images', type=int, metavar='N', help='the N photos with the most errors alone'
    )
    parser.add_argument('--title', help='of the page (default: names of the work dirs)')
    return parser.parse_args()


def main() -> None:
    """Write the report."""
    args = parse_args()
    from mmyolo_lite.apis.report import ReportOptions, write_report

    path, warnings = write_report(
        args.work_dir, ReportOptions(args.out, args.max_images, args.title)
    )
    for warning in warnings:
        print(f'warning: {warning}', file=sys.stderr)
    print(f'report: {path} ({path.stat().st_size / 1e6:.1f} MB); open it in a browser')


if __name__ == '__main__':
    run_cli(main)

"""What the command lines of converters share: arguments, and the report on the screen."""

from argparse import ArgumentParser
from collections.abc import Mapping

from mmyolo_lite.datasets.converters.coco_json import ConversionReport


def add_report_arguments(parser: ArgumentParser) -> None:
    """Add ``--overwrite``, ``--strict`` and ``--skip-errors``."""
    parser.add_argument('--overwrite', action='store_true', help='replace existing output')
    strictness = parser.add_mutually_exclusive_group()
    strictness.add_argument(
        '--strict', action='store_true', help='stop at anything that would be left out'
    )
    strictness.add_argument(
        '--skip-errors', action='store_true', help='leave out broken entries and go on'
    )


def print_reports(reports: Mapping[str, ConversionReport]) -> None:
    """Print what was kept and left out for every output, by the name of the output."""
    for output, report in reports.items():
        first, *rest = report.lines()
        print('\n'.join([f'{output}: {first}', *rest]))

"""Fetch a public data set, or any files by URL, and unpack it."""

import argparse

from tqdm import tqdm

from mmyolo_lite.apis.cli import run_cli
from mmyolo_lite.datasets.download.fetch import FetchSettings
from mmyolo_lite.datasets.download.run import DEFAULT_DATA_SET, Plan, make_plan, run_plan
from mmyolo_lite.datasets.download.sources import DATA_SETS
from mmyolo_lite.errors import ConfigError

FIRST_PAUSE_SECONDS = 1.0
PAUSE_GROWTH = 3.0


def parse_args() -> Plan:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Fetch the files of a data set, resuming what an earlier run began. Without '
        f'arguments: the archives of {DEFAULT_DATA_SET}.'
    )
    parser.add_argument('--dataset-name', choices=list(DATA_SETS), help='which data set')
    parser.add_argument(
        '--save-dir',
        help='target of the archives and of unpacking (default: data/coco for coco2017, else '
        'data/<name>)',
    )
    parser.add_argument('--unzip', action='store_true', help='unpack zip and tar archives')
    parser.add_argument(
        '--delete', action='store_true', help='remove each fetched archive once it is unpacked'
    )
    parser.add_argument('--threads', type=int, default=4, help='files fetched at a time')
    parser.add_argument(
        '--url',
        nargs='+',
        default=[],
        help='mirrors or local files in place of those of the data set, or any files; local files '
        'stay where they are',
    )
    parser.add_argument(
        '--sha256', nargs='+', default=[], metavar='HEX', help='a checksum for each file, in order'
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='replace files that differ from the unpacked ones'
    )
    parser.add_argument('--retries', type=int, default=3, help='further attempts for each file')
    parser.add_argument(
        '--timeout', type=float, default=60.0, help='longest wait for further bytes, in seconds'
    )
    args = parser.parse_args()
    if not 0 <= args.retries <= 10 or not 0 < args.timeout <= 3600:
        parser.error('--retries must be 0 to 10, --timeout more than 0 and at most 3600')
    settings = FetchSettings(
        pauses=tuple(FIRST_PAUSE_SECONDS * PAUSE_GROWTH**index for index in range(args.retries)),
        read_seconds=args.timeout,
    )
    options = {key: value for key, value in vars(args).items() if key not in ('retries', 'timeout')}
    try:
        return make_plan(**options, settings=settings)
    except ConfigError as error:
        parser.error(str(error))


def main() -> None:
    """Fetch, unpack, and say what became of each file."""
    # print would break the progress bars
    run_plan(parse_args(), say=tqdm.write)


if __name__ == '__main__':
    run_cli(main)

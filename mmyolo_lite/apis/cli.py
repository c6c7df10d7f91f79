"""How every command line of the project ends: one line for an error the user can mend, and an exit code."""

import sys
from collections.abc import Callable

from mmyolo_lite.errors import UserError

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells expect it


def run_cli(main: Callable[[], None]) -> None:
    """Run the body of a command line and turn what the user can mend into one line and an exit code.

    Args:
        main: Parses ``sys.argv`` and does the work. Argparse's exit code 2 for usage errors passes through.

    Raises:
        SystemExit: Code 1 after a :class:`~mmyolo_lite.errors.UserError`, whose message goes to stderr as
            ``error: <message>``; code 130 after Ctrl-C. Any other exception is a defect of the program and
            propagates with its traceback.
    """
    try:
        main()
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(EXIT_ERROR)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)

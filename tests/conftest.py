"""Settings of the whole test suite."""

import signal

# its fences have to be in place before any test imports mmdet
import mmyolo_lite  # noqa: F401

# a shell's background jobs ignore Ctrl-C, and so would the command lines that tests interrupt
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

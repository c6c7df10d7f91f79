"""The level of OpenCV's own log, under one name.

OpenCV before 4.13 has ``cv2.getLogLevel`` and ``cv2.setLogLevel``; from 4.13 on they are in
``cv2.utils.logging``. Can go when 4.13 is the lowest version.
"""

from typing import Any

import cv2

SILENT = 0
"""The level without a line."""


def set_log_level(level: int) -> int:
    """Set the level, and return the one before."""
    module: Any = getattr(cv2.utils, 'logging', cv2)
    before = module.getLogLevel()
    module.setLogLevel(level)
    return before

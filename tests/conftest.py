"""Settings of the whole test suite."""

import mmyolo_lite  # noqa: F401  (its fences have to be in place before any test imports mmdet)

"""Settings of the whole test suite."""

# its fences have to be in place before any test imports mmdet
import mmyolo_lite  # noqa: F401

"""Thin shell over pyproject.toml; adds the configs to the wheel, where mmengine looks for them.

``_base_ = 'mmyolo_lite::yolov5/...'`` then works without a checkout.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CONFIGS = Path(__file__).parent / 'configs'


class BuildWithConfigs(build_py):
    """Copy ``configs/`` to ``mmyolo_lite/.mim/configs/`` of the built package."""

    def run(self) -> None:
        """Build the package, then copy the configs; an editable install reads them from the
        checkout.
        """
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / 'mmyolo_lite' / '.mim' / 'configs'
            shutil.copytree(
                CONFIGS, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns('__pycache__')
            )


setup(cmdclass={'build_py': BuildWithConfigs})

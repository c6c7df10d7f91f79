"""Thin shell over pyproject.toml; adds the configs and command lines to the wheel, where mmengine,
``mim`` and the command ``mmyolo-lite`` look for them.

``_base_ = 'mmyolo_lite::yolov5/...'`` then works without a checkout.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SHIPPED = ('configs', 'tools', 'demo', 'model-index.yml')
# the notebook is large, and read where it lies in the repository
LEFT_OUT = shutil.ignore_patterns('__pycache__', '.*', '*.ipynb')


class BuildWithShipped(build_py):
    """Copy what is shipped to ``mmyolo_lite/.mim/`` of the built package."""

    def run(self) -> None:
        """Build the package, then copy; an editable install reads the files of the checkout."""
        package = Path(self.build_lib) / 'mmyolo_lite'
        if not self.editable_mode:
            # an earlier build may have left files that are no more
            shutil.rmtree(package, ignore_errors=True)
        super().run()
        if self.editable_mode:
            return
        target = package / '.mim'
        target.mkdir(parents=True)
        for name in SHIPPED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, target / name, ignore=LEFT_OUT)
            else:
                shutil.copy2(source, target / name)


setup(cmdclass={'build_py': BuildWithShipped})

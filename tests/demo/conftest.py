"""Models and data that the demos share with the tests of what they call."""

from tests.apis.conftest import tools, toy, toy_data

__all__ = ['tools', 'toy', 'toy_data']

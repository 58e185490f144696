"""The examples in docstrings of the kinds are true."""

import doctest
import importlib
import pkgutil

import pytest

import mooring.kinds

MODULES = sorted(module.name for module in pkgutil.iter_modules(mooring.kinds.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str) -> None:
    module = importlib.import_module(f"mooring.kinds.{name}")
    assert doctest.testmod(module).failed == 0

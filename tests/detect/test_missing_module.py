"""A module that every environment once had."""

from __future__ import annotations

import pytest

from devstack.detect import missing_module


@pytest.mark.parametrize(("line", "fix"), [
    ("ModuleNotFoundError: No module named 'pkg_resources'", 'packages = ["setuptools<81"] below [python]'),
    ("ModuleNotFoundError: No module named 'pkg_resources.extern'", 'packages = ["setuptools<81"] below [python]'),
    ("ModuleNotFoundError: No module named 'distutils'", 'packages = ["setuptools<81"] below [python]'),
    ("ModuleNotFoundError: No module named 'shop.settings'", ""), ("Booting worker", ""),
])
def test_a_fix_is_known_for_what_setuptools_brought(line: str, fix: str) -> None:
    assert missing_module.fix(["Traceback (most recent call last):", line]) == fix

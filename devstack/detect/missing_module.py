"""What a command died of when a module that used to come with every environment isn't there. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: module → requirement that brings it. setuptools came with every environment once; pkg_resources left it with 82
_BROUGHT_BY = {"pkg_resources": "setuptools<81", "setuptools": "setuptools<81", "distutils": "setuptools<81"}
_MISSING = re.compile(r"No module named '(?P<module>\w+)(?:\.[\w.]+)?'")


def fix(lines: Iterable[str]) -> str:
    """The edit of the profile that brings the module back, "" where the lines say nothing of the kind."""
    for line in lines:
        found = _MISSING.search(line)
        if found and found["module"] in _BROUGHT_BY:
            return f'packages = ["{_BROUGHT_BY[found["module"]]}"] below [python]'
    return ""

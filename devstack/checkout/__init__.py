"""A project from its URL to a complete folder: what may be cloned, git asked safely, submodules and large files."""

from devstack.checkout.address import Repository, ensure_fits, parse
from devstack.checkout.git import Git

__all__ = ["Git", "Repository", "ensure_fits", "parse"]

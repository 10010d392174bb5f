"""devstack: from a git URL to a running, checked stack."""

__version__ = "0.1.0"

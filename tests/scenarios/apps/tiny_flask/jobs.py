import os


def work() -> str:
    return f"done by {os.environ['DEVSTACK_PROGRAM']}"

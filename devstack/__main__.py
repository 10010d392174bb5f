"""`python -m devstack`."""

import gc

# a command lives for a moment and builds thousands of small objects while it imports: collecting them in between
# costs a tenth of its time
gc.set_threshold(100_000, 50, 50)

from devstack.cli.entry import main  # noqa: E402 - the line above is for this one

main()

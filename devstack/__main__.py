"""`python -m devstack`."""

from devstack.cli.main import main

main()

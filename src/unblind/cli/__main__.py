"""Run the command line as ``python -m unblind.cli``."""

from unblind.cli import main

main()

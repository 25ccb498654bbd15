"""`python -m bmsctl` runs the command."""

from bmsctl.cli.main import run

run()

"""Performance goals against their peers; `python -m tests.bench` prints the table."""

"""The commands of `manage.py`."""

INTERRUPTED = 130  # the exit code that shells give a program that SIGINT ended

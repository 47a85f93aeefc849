#!/usr/bin/env python
"""Django's command line, with site/ on the path."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def main() -> None:
    """Run the command that the arguments name."""
    sys.path.insert(0, str(ROOT / "site"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quoteboard.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
        from django.core.management import execute_from_command_line  # noqa: PLC0415
    except ModuleNotFoundError:
        sys.exit("Django is not installed here: run “make setup”, then .venv/bin/python manage.py")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        if not output_is_closed():
            raise
        sys.exit(141)  # as a shell calls a process that was ended by a closed pipe


def output_is_closed() -> bool:
    """Return whether the reader of the output has ended, as “| head” does, and discard the rest."""
    output = select.poll()
    output.register(sys.stdout, 0)
    closed = any(event & select.POLLERR for _, event in output.poll(0))
    if closed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes at its end
    return closed


if __name__ == "__main__":
    main()

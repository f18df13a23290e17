#!/usr/bin/env python
"""Django's command line for this project.

An error of the settings or of the database is printed as a sentence. Exits with 2 if a setting is missing or invalid,
and with 1 if the database is unreachable or not migrated. With ``--traceback``, errors of the database show where they
were raised.
"""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import InterfaceError, OperationalError, ProgrammingError
from environs import EnvError

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eventmanagement.settings")
    try:
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, EnvError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    except (InterfaceError, OperationalError, ProgrammingError) as error:
        if "--traceback" in sys.argv:
            raise
        # The messages of libpq have several lines.
        reason = " ".join(str(error).split())
        sys.stderr.write(f"The database can't be used: {reason}\n")
        sys.stderr.write("If it is not up to date, run: manage.py migrate. --traceback shows the whole error.\n")
        sys.exit(1)

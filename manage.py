#!/usr/bin/env python
"""Django's command line for this project. Exits with 2 if a setting is missing or invalid."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from environs import EnvError

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eventmanagement.settings")
    try:
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, EnvError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)

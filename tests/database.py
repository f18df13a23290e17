"""What the tests know of the database."""

from django.db import connection

# The statements that limit a read on PostgreSQL: in the suite's own transaction a savepoint, the limits,
# and the savepoint's release.
READ_LIMITS = 3 if connection.vendor == "postgresql" else 0

"""Database access: errors, timeouts, the circuit breaker for row locks, and prepared statements."""

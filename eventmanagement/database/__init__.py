"""What speaks to the database: its errors, its time limits, and statements that are prepared once."""

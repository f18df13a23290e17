"""What speaks HTTP for the API: reading requests, refusing them, and describing the API."""

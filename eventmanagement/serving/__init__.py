"""How gunicorn serves the project: its worker, the worker's connections, and who gets a thread."""

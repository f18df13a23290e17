"""Serving requests: the gunicorn worker, the middleware, the request log, health checks and the admin site."""

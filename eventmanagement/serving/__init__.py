"""The gunicorn worker: its event loop, its connections and its thread pools."""

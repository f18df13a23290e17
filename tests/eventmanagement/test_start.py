"""The startup of a worker, each time in a new interpreter."""

import json
import os
import subprocess
import sys

import pytest
from django.conf import settings

WORKER = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from wsgiref.util import setup_testing_defaults

from eventmanagement.wsgi import application

def ask(path):
    environ = {"PATH_INFO": path, "HTTP_HOST": "localhost"}
    setup_testing_defaults(environ)
    answer = []
    body = b"".join(application(environ, lambda status, headers: answer.append(status)))
    return [*answer, body.decode()]
"""


@pytest.fixture
def worker(tmp_path):
    """Run Python code together with a worker's application, and return the JSON of its last output line."""
    environment = os.environ | {"DATABASE_URL": f"sqlite:///{tmp_path / 'database'}"}

    def run(*command):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=settings.BASE_DIR,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout.splitlines()[-1]

    run("manage.py", "migrate")
    return lambda program: json.loads(run("-c", WORKER + program))


def test_urls_are_loaded_before_a_request(worker):
    assert "eventmanagement.urls" in worker("print(json.dumps(list(sys.modules)))")


def test_first_concurrent_documents_are_complete(worker):
    responses = worker("""
everybody = Barrier(8)

def ask_at_once(path):
    everybody.wait()
    return ask(path)

paths = ["/schema/", "/docs/swagger/"] * 4
with ThreadPoolExecutor(8) as threads:
    print(json.dumps(list(threads.map(ask_at_once, paths))))
""")

    assert {status for status, _ in responses} == {"200 OK"}
    [document] = {body for _, body in responses[::2]}
    assert "operationId: event_list" in document

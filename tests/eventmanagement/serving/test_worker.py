"""The worker's connections: no thread waits for a client, and every wait has a deadline."""

import errno
import json
import logging
import os
import selectors
import socket
from concurrent.futures import Future
from tempfile import TemporaryFile
from types import SimpleNamespace

import pytest
from gunicorn.config import Config

from eventmanagement.serving import worker as module
from eventmanagement.serving.connection import FILE_BUFFER_SIZE, MAX_HEAD_SIZE, State

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /api/login/ HTTP/1.1\r\nHost: localhost\r\n"


class FakeThreadPool:
    """A fake thread pool: runs each request immediately, or when the test calls ``serve``."""

    def __init__(self):
        self.are_busy = False
        self.futures = []
        self.queue = []

    def submit(self, lane, function, *arguments):
        future = Future()
        self.futures.append(future)
        self.queue.append((future, function, arguments))
        if not self.are_busy:
            self.serve()
        return future

    def serve(self):
        while self.queue:
            future, function, arguments = self.queue.pop(0)
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*arguments))
                except Exception as error:
                    future.set_exception(error)


def application(environ, start_response):
    body = environ["wsgi.input"].read(min(int(environ.get("CONTENT_LENGTH", 0)), 1000))
    content = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {body.decode()}".encode()
    start_response("200 OK", [("Content-Length", str(len(content)))])
    return [content]


def unread(environ, start_response):
    content = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}".encode()
    start_response("200 OK", [("Content-Length", str(len(content)))])
    return [content]


@pytest.fixture
def clock(monkeypatch):
    """A fake clock that the test advances. It also records how long the worker slept."""
    clock = SimpleNamespace(now=1000.0, sleeps=[])
    clock.monotonic = lambda: clock.now
    clock.sleep = clock.sleeps.append
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def worker(clock):
    config = Config()
    config.set("keepalive", 75)
    worker = module.Worker(1, 1, [], None, 30, config, logging.getLogger("test"))
    worker.log = SimpleNamespace(access=lambda *arguments: None, debug=lambda *arguments: None)
    worker.log.error = logging.getLogger("test").error
    worker.log.exception = logging.getLogger("test").exception
    worker.alive = True
    worker.wsgi = application
    worker.tpool = FakeThreadPool()
    worker.poller = selectors.DefaultSelector()
    worker.method_queue.init()
    worker.poller.register(worker.method_queue.fileno(), selectors.EVENT_READ, worker.method_queue.run_callbacks)
    yield worker
    worker.murder_keepalived(force=True)
    worker.poller.close()
    worker.method_queue.close()
    worker.tmp.close()


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        # As gunicorn does, so that no response waits for the client to acknowledge the one before.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


@pytest.fixture
def connect(worker, listener):
    """Return a function that connects a client and lets the worker accept the connection."""
    clients = []

    def connect():
        client = socket.create_connection(listener.getsockname(), timeout=10)
        clients.append(client)
        worker.accept(listener)
        return client

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def client(connect):
    return connect()


def run(worker):
    """Run the worker's event loop until nothing is left to do."""
    while worker.poller.select(0):
        worker.wait_for_and_dispatch_events(0)
    worker.finish_requests()


def send(worker, client, data):
    client.sendall(data)
    # Data sent over the loopback interface is available immediately.
    run(worker)


def responses(client):
    """Return all data that has arrived, and whether the worker has closed the connection."""
    client.setblocking(False)
    data = b""
    try:
        while chunk := client.recv(65536):
            data += chunk
    except BlockingIOError:
        return data, False
    except ConnectionResetError:
        return data, True
    return data, True


def pass_time(worker, clock, seconds):
    clock.now += seconds
    worker.murder_pending()
    run(worker)


def test_request_is_served(worker, client):
    send(worker, client, GET)

    data, is_closed = responses(client)
    assert data.endswith(b"\r\n\r\nGET /healthz ")
    assert not is_closed


@pytest.mark.parametrize(
    "request_bytes", [GET, POST + b"Content-Length: 5\r\n\r\nhello"], ids=["without a body", "with a body"]
)
def test_thread_is_given_to_a_whole_request(worker, client, request_bytes):
    for byte in request_bytes[:-1]:
        send(worker, client, bytes([byte]))
        assert not worker.tpool.futures

    send(worker, client, request_bytes[-1:])

    assert len(worker.tpool.futures) == 1
    assert b"200 OK" in responses(client)[0]


def test_requests_sent_together_are_served_in_order(worker, client):
    send(worker, client, POST + b"Content-Length: 5\r\n\r\nhello" + GET + GET)

    data, _ = responses(client)
    assert data.count(b"200 OK") == 3
    assert data.index(b"hello") < data.index(b"GET /healthz")


@pytest.mark.parametrize("size", [5, 2000])
def test_unread_body_is_discarded(worker, client, size):
    worker.wsgi = unread

    for _ in range(2):
        send(worker, client, POST + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
        assert responses(client)[0].endswith(b"POST /api/login/")
        send(worker, client, GET)
        assert responses(client)[0].endswith(b"GET /healthz")
    assert worker.held == 0


@pytest.mark.parametrize("place", ["parse_head", "flush"])
def test_failing_connection_does_not_affect_others(worker, connect, monkeypatch, caplog, place):
    other, failing = connect(), connect()
    monkeypatch.setattr(worker, place, lambda connection: 1 / 0)
    send(worker, failing, GET)
    monkeypatch.undo()

    assert responses(failing)[1]
    assert [record for record in caplog.records if record.exc_info]
    worker.wsgi = application
    send(worker, other, GET)
    assert b"200 OK" in responses(other)[0]


def test_request_is_read_on_accept(worker, listener):
    with socket.create_connection(listener.getsockname()) as client:
        client.sendall(GET)
        worker.accept(listener)

        assert len(worker.tpool.futures) == 1


def test_finished_request_does_not_wake_the_event_loop(worker, client):
    worker.tpool.are_busy = True
    send(worker, client, GET)

    worker.tpool.serve()

    assert b"200 OK" in responses(client)[0]
    assert not worker.poller.select(0)
    worker.tpool.are_busy = False
    send(worker, client, GET)
    assert b"200 OK" in responses(client)[0]
    run(worker)
    assert not any(worker.requests_per_lane.values())


@pytest.mark.parametrize("count", [1, 2, 100])
def test_requests_that_arrive_during_another_one_are_served(worker, client, count):
    worker.tpool.are_busy = True
    send(worker, client, GET)
    for _ in range(count):
        send(worker, client, GET)
    [connection] = worker.connections
    assert len(connection.received) <= module.MAX_EARLY_READ
    worker.tpool.are_busy = False

    worker.tpool.serve()
    run(worker)

    assert responses(client)[0].count(b"200 OK") == 1 + count


def test_request_that_finishes_during_an_early_read_is_not_forgotten(worker, client, monkeypatch):
    worker.tpool.are_busy = True
    send(worker, client, GET)
    [connection] = worker.connections
    receive = connection.receive

    def finish_first(limit):
        # The thread finishes before it can see the data, so it does not wake the event loop.
        worker.tpool.serve()
        return receive(limit)

    monkeypatch.setattr(connection, "receive", finish_first)
    client.sendall(GET)
    worker.wait_for_and_dispatch_events(0)
    worker.tpool.serve()
    run(worker)

    assert responses(client)[0].count(b"200 OK") == 2


def test_client_that_closes_during_its_request_is_dropped(worker, client):
    worker.tpool.are_busy = True
    send(worker, client, GET)
    client.shutdown(socket.SHUT_WR)
    run(worker)
    assert worker.connections

    worker.tpool.serve()
    run(worker)

    assert b"200 OK" in responses(client)[0]
    assert not worker.connections


def test_full_queue_is_503(worker, connect, monkeypatch):
    monkeypatch.setattr(module, "MAX_QUEUE_LENGTH", dict.fromkeys(module.Lane, 1))
    worker.tpool.are_busy = True
    places = module.THREADS[module.Lane.HEALTH] + 1
    clients = [connect() for _ in range(places + 1)]
    for client in clients:
        send(worker, client, GET)

    assert [responses(client)[0][:12] for client in clients] == [b""] * places + [b"HTTP/1.1 503"]
    worker.tpool.serve()
    run(worker)
    assert all(b"200 OK" in responses(client)[0] for client in clients[:places])
    send(worker, clients[0], GET)
    assert len(worker.tpool.futures) == places + 1


def test_silent_client_is_dropped(worker, client, clock):
    pass_time(worker, clock, module.FIRST_BYTE_TIMEOUT - 1)
    assert worker.connections

    pass_time(worker, clock, 1)

    assert responses(client) == (b"", True)
    assert worker.nr_conns == 0


@pytest.mark.parametrize(
    ("begun", "drip", "seconds"),
    [
        (b"", b"G", module.HEAD),
        (GET[:-2], b"X", module.HEAD),
        (POST + b"Content-Length: 1000\r\n\r\n", b"x", module.REQUEST),
        (POST + b"Content-Length: 20000000\r\n\r\n", b"x", module.REQUEST),
    ],
    ids=["request line", "header", "body", "huge body"],
)
def test_slow_sending_does_not_extend_deadline(worker, client, clock, caplog, begun, drip, seconds):
    send(worker, client, begun + drip)
    for _ in range(seconds):
        assert responses(client) == (b"", False)
        pass_time(worker, clock, 1)
        send(worker, client, drip)

    data, is_closed = responses(client)
    assert data.startswith(b"HTTP/1.1 408 ")
    assert json.loads(data.split(b"\r\n\r\n")[1])["code"] == "request_timeout"
    assert is_closed
    assert not worker.tpool.futures
    assert not [record for record in caplog.records if record.exc_info or record.levelno > logging.INFO]


def test_client_that_disconnects_is_cleaned_up(worker, client, caplog):
    send(worker, client, GET[:-2])
    client.close()
    run(worker)

    assert not worker.connections
    assert not caplog.records


def test_request_that_no_thread_takes_in_time_is_503(worker, client, clock):
    worker.tpool.are_busy = True
    send(worker, client, GET)
    pass_time(worker, clock, module.QUEUE - 1)
    assert responses(client) == (b"", False)

    pass_time(worker, clock, 1)

    data, is_closed = responses(client)
    assert data.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: " in data
    assert json.loads(data.split(b"\r\n\r\n")[1])["code"] == "unavailable"
    assert is_closed
    worker.tpool.serve()
    run(worker)
    assert responses(client)[0] == b""


def test_request_in_a_thread_has_its_time(worker, client, clock):
    worker.tpool.are_busy = True
    send(worker, client, GET)
    [future] = worker.tpool.futures
    future.set_running_or_notify_cancel()

    pass_time(worker, clock, module.QUEUE + 1)

    assert responses(client) == (b"", False)


def test_idle_connection_is_kept_and_then_dropped(worker, client, clock):
    send(worker, client, GET)
    responses(client)
    pass_time(worker, clock, 74)
    send(worker, client, GET)
    assert b"200 OK" in responses(client)[0]
    pass_time(worker, clock, 74)
    assert worker.connections

    pass_time(worker, clock, 1)

    assert responses(client) == (b"", True)


def test_client_that_does_not_read_blocks_no_thread(worker, client, clock):
    worker.wsgi = lambda environ, start: start("200 OK", [("Content-Length", "50000000")]) and [b"x" * 50_000_000]
    send(worker, client, GET)
    [future] = worker.tpool.futures
    [connection] = worker.connections

    assert future.done()
    assert connection.state is State.WRITING
    pass_time(worker, clock, module.STALL)
    assert not worker.connections


def test_client_who_reads_too_slowly_is_dropped(worker, client, clock):
    worker.wsgi = lambda environ, start: start("200 OK", [("Content-Length", "50000000")]) and [b"x" * 50_000_000]
    send(worker, client, GET)
    for _ in range(0, module.RESPONSE, 5):
        assert worker.connections
        client.recv(1_000_000)
        run(worker)
        pass_time(worker, clock, 5)

    assert not worker.connections


def test_slow_response_arrives_whole(worker, client):
    worker.wsgi = lambda environ, start: start("200 OK", [("Content-Length", "9000000")]) and [b"x" * 9_000_000]
    client.sendall(GET)
    received = 0
    while received < 9_000_000:
        run(worker)
        received += len(client.recv(65536))

    assert received > 9_000_000


def test_lingering_connection_is_closed(worker, client, clock):
    send(worker, client, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    [connection] = worker.connections
    assert connection.state is State.LINGERING

    pass_time(worker, clock, module.LINGER)

    assert not worker.connections


def test_data_after_response_is_discarded(worker, client):
    send(worker, client, b"nonsense\r\n\r\n")
    [connection] = worker.connections

    send(worker, client, b"x" * 100_000)

    assert not connection.received


def test_100_continue_is_sent_once(worker, client):
    send(worker, client, POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert responses(client)[0] == b"HTTP/1.1 100 Continue\r\n\r\n"

    send(worker, client, b"hello")

    data, _ = responses(client)
    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert data.endswith(b"hello")


def test_large_body_with_expect_is_refused_unsent(worker, client):
    send(worker, client, POST + b"Expect: 100-continue\r\nContent-Length: 20000000\r\n\r\n")

    data, is_closed = responses(client)
    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert is_closed


def test_http_1_0_client_gets_no_100_continue(worker, client):
    send(worker, client, POST.replace(b"1.1", b"1.0") + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")

    assert responses(client) == (b"", False)


def test_body_of_get_is_discarded(worker, client):
    worker.tpool.are_busy = True
    send(worker, client, GET[:-2] + b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000)

    assert len(worker.tpool.futures) == 1
    assert worker.held == 0


def test_body_over_limit_is_discarded(worker, client):
    send(worker, client, POST + b"Content-Length: 20000000\r\n\r\n" + b"x" * 1_000_000)
    [connection] = worker.connections
    assert connection.held == 0
    assert not worker.tpool.futures

    client.settimeout(10)
    for _ in range(19):
        send(worker, client, b"x" * 1_000_000)

    assert len(worker.tpool.futures) == 1
    assert b"\r\nConnection: close\r\n" in responses(client)[0]


def test_huge_body_is_refused_at_once(worker, client):
    send(worker, client, POST + b"Content-Length: 9999999999\r\n\r\n")

    assert b"\r\nConnection: close\r\n" in responses(client)[0]


def test_chunked_body_ends_the_connection(worker, client):
    send(worker, client, POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + GET)

    data, is_closed = responses(client)
    assert data.count(b"200 OK") == 1
    assert is_closed


def test_head_over_the_limit_is_431(worker, client):
    send(worker, client, GET[:-2] + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 8000) for n in range(10)))

    assert responses(client)[0].startswith(b"HTTP/1.1 431 ")
    assert max(connection.held for connection in worker.connections) < MAX_HEAD_SIZE


def test_response_that_fails_half_way_is_500_and_logged(worker, client, caplog):
    def fail(environ, start_response):
        start_response("200 OK", [("Content-Length", "10")])
        yield b"hello"
        raise ZeroDivisionError

    worker.wsgi = fail
    send(worker, client, GET)

    data, is_closed = responses(client)
    assert data.startswith(b"HTTP/1.1 500 ")
    assert b"200 OK" not in data
    assert is_closed
    assert [record for record in caplog.records if record.exc_info and record.levelno == logging.ERROR]


def test_full_worker_counts_the_wait_of_an_idle_connection_from_its_last_response(worker, connect, clock):
    worker.worker_connections = 3
    active = connect()
    clock.now += 1
    silent = connect()
    clock.now += 1
    send(worker, active, GET)

    connect()

    assert responses(silent) == (b"", True)
    assert not responses(active)[1]


def test_full_worker_makes_room_for_a_new_client(worker, connect, clock):
    """It drops the connection that has been waiting for the longest, even if others have an earlier deadline."""
    worker.worker_connections = 3
    first = connect()
    send(worker, first, POST + b"Content-Length: 1000\r\n\r\n")
    clock.now += 1
    second = connect()
    clock.now += 1

    third = connect()

    assert worker.nr_conns == 2
    assert responses(first) == (b"", True)
    send(worker, second, GET)
    send(worker, third, GET)
    assert b"200 OK" in responses(second)[0]
    assert b"200 OK" in responses(third)[0]


def test_client_who_is_served_is_not_dropped_for_room(worker, connect):
    worker.tpool.are_busy = True
    first = connect()
    send(worker, first, GET)
    worker.worker_connections = 2
    connect()

    assert responses(first) == (b"", False)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS])
def test_worker_out_of_files_makes_room(worker, client, number):
    def refuse():
        raise OSError(number, "too many open files")

    worker.accept(SimpleNamespace(accept=refuse))

    assert responses(client) == (b"", True)


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN])
def test_accept_errors_are_ignored(worker, client, number):
    def refuse():
        raise OSError(number, "gone")

    worker.accept(SimpleNamespace(accept=refuse))

    assert responses(client) == (b"", False)


def test_closed_listener_ends_worker(worker):
    def refuse():
        raise OSError(errno.EBADF, "closed")

    with pytest.raises(OSError, match="closed"):
        worker.accept(SimpleNamespace(accept=refuse))


def test_memory_for_requests_is_bounded(worker, connect, monkeypatch):
    monkeypatch.setattr(module, "MAX_BUFFERED_BYTES", 250_000)
    clients = []
    for size in (50_000, 100_000, 60_000, 80_000):
        clients.append(connect())
        send(worker, clients[-1], POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * size)

    assert worker.held <= 250_000
    assert [responses(client)[1] for client in clients] == [False, True, False, False]


def test_idle_connections_are_not_dropped_for_memory(worker, connect, monkeypatch):
    monkeypatch.setattr(module, "MAX_BUFFERED_BYTES", 150_000)
    worker.tpool.are_busy = True
    idle = connect()
    body = POST + b"Content-Length: 60000\r\n\r\n" + b"x" * 60_000
    clients = [connect() for _ in range(4)]
    for client in clients:
        send(worker, client, body)

    assert [responses(client)[0][:12] for client in clients] == [b"", b"", b"HTTP/1.1 503", b"HTTP/1.1 503"]
    assert responses(idle) == (b"", False)
    assert worker.held <= 150_000
    monkeypatch.setattr(module, "MAX_BUFFERED_BYTES", 100_000)
    send(worker, idle, GET)
    assert len(worker.tpool.queue) == 3


def test_memory_for_responses_is_bounded(worker, connect, monkeypatch):
    monkeypatch.setattr(module, "MAX_BUFFERED_BYTES", 60_000_000)
    worker.wsgi = lambda environ, start: start("200 OK", [("Content-Length", "50000000")]) and [b"x" * 50_000_000]
    for _ in range(2):
        send(worker, connect(), GET)

    assert worker.held <= 60_000_000
    assert len(worker.connections) == 1


def test_buffers_are_empty_after_requests(worker, client, clock):
    send(worker, client, POST + b"Content-Length: 5\r\n\r\nhello" + GET)

    assert worker.held == 0


def test_idle_connections_get_short_deadline_on_shutdown(worker, client, clock):
    send(worker, client, GET)
    worker.alive = False
    worker._cap_keepalive(clock.now + 2)
    pass_time(worker, clock, 1)
    send(worker, client, GET)
    assert b"\r\nConnection: close\r\n" in responses(client)[0]


def test_shutdown_shortens_client_deadlines(worker, client, clock):
    send(worker, client, POST + b"Content-Length: 1000\r\n\r\n")
    worker.alive = False
    worker._cap_keepalive(clock.now + 2)

    pass_time(worker, clock, 2)

    assert responses(client)[0].startswith(b"HTTP/1.1 408 ")


def test_tls_is_refused_at_the_start():
    config = Config()
    config.set("certfile", "certificate.pem")

    with pytest.raises(module.ConfigError, match="TLS"):
        module.Worker.check_config(config, None)


def test_connection_accepted_by_other_worker_is_ignored(worker, listener):
    worker.accept(listener)

    assert not worker.connections


# The size of a large file: more than the buffers of both sockets hold.
SIZE = 40 * FILE_BUFFER_SIZE


def file_of(size):
    """Return an application whose response is a file of this size."""

    def application(environ, start_response):
        file = TemporaryFile()  # noqa: SIM115  (the response closes it)
        file.write(os.urandom(1000) * (size // 1000) + b"x" * (size % 1000))
        file.seek(0)
        application.contents.append(os.pread(file.fileno(), size, 0))
        start_response("200 OK", [("Content-Length", str(size))])
        return environ["wsgi.file_wrapper"](file)

    application.contents = []
    return application


def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def read_all(worker, client, size):
    received = b""
    while len(received) < size:
        data, _ = responses(client)
        received += data
        run(worker)
    return received


def test_large_file_stays_on_disk_until_the_client_reads(worker, client):
    worker.wsgi = application = file_of(SIZE)
    send(worker, client, GET)
    [connection] = worker.connections
    number = connection.file.number
    assert worker.held <= 2 * FILE_BUFFER_SIZE

    head, _, body = read_all(worker, client, SIZE).partition(b"\r\n\r\n")
    body += read_all(worker, client, SIZE - len(body))

    assert f"Content-Length: {SIZE}".encode() in head
    assert body == application.contents[0]
    assert not is_open(number)
    assert worker.held == 0


def test_rest_of_a_large_file_wakes_the_event_loop(worker, client):
    worker.wsgi = file_of(SIZE)
    worker.tpool.are_busy = True
    send(worker, client, GET)

    worker.tpool.serve()

    [connection] = worker.connections
    assert connection.file
    assert not connection.unsent
    assert worker.poller.select(0)


def test_configuration_has_the_values_of_gunicorn(monkeypatch):
    monkeypatch.setenv("SENDFILE", "no")
    config = Config()

    snapshot = module.ConfigSnapshot(config)

    assert snapshot.sendfile is False
    assert {name: getattr(snapshot, name) for name in config.settings} == {
        name: getattr(config, name) for name in config.settings
    }


def test_connection_is_kept_after_a_large_file(worker, client):
    worker.wsgi = file_of(SIZE)
    send(worker, client, GET)
    while worker.held:
        responses(client)
        run(worker)
    responses(client)
    worker.wsgi = file_of(5)

    send(worker, client, GET)

    assert responses(client)[0].endswith(b"xxxxx")


@pytest.mark.parametrize("size", [0, 5, FILE_BUFFER_SIZE])
def test_small_file_is_not_kept_open(worker, client, size):
    worker.wsgi = application = file_of(size)

    send(worker, client, GET)

    [connection] = worker.connections
    assert connection.file is None
    assert read_all(worker, client, size).partition(b"\r\n\r\n")[2] == application.contents[0]


def test_head_has_no_body(worker, client):
    worker.wsgi = file_of(SIZE)

    send(worker, client, GET.replace(b"GET", b"HEAD"))

    head, _, body = responses(client)[0].partition(b"\r\n\r\n")
    assert f"Content-Length: {SIZE}".encode() in head
    assert body == b""


def test_file_of_a_dropped_client_is_closed(worker, client):
    worker.wsgi = file_of(SIZE)
    send(worker, client, GET)
    [connection] = worker.connections
    number = connection.file.number

    worker.drop(connection)

    assert not is_open(number)


def test_number_of_open_files_is_bounded(worker, connect, monkeypatch):
    monkeypatch.setattr(module, "MAX_BUFFERED_BYTES", 3 * FILE_BUFFER_SIZE)
    worker.wsgi = file_of(SIZE)

    for _ in range(5):
        send(worker, connect(), GET)

    assert sum(connection.file is not None for connection in worker.connections) <= 3
    assert len(worker.connections) <= 3


def test_file_that_has_become_shorter_ends_the_connection(worker, client):
    def application(environ, start_response):
        file = TemporaryFile()  # noqa: SIM115  (the response closes it)
        file.write(b"x" * FILE_BUFFER_SIZE)
        file.seek(0)
        start_response("200 OK", [("Content-Length", str(SIZE))])
        return environ["wsgi.file_wrapper"](file)

    worker.wsgi = application

    send(worker, client, GET)

    while worker.connections:
        responses(client)
        run(worker)

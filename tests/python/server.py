"""A python-socketio node on uvicorn for the tests.

Prints a ready line, then one JSON line for each event worth asserting. SIGTERM closes in order; a
closed stdin ends at once, since then the test is gone.
"""

import argparse
import os
import socket
import sys
import threading

import socketio
import uvicorn
from engineio.payload import Payload

from application import Application
from report import report


class Node(uvicorn.Server):
    """A uvicorn that says when it is ready."""

    def __init__(self, config, name):
        super().__init__(config)
        self.name = name

    async def startup(self, sockets=None):
        await super().startup(sockets=sockets)
        port = sockets[0].getsockname()[1]
        report("ready", ready=True, port=port, pid=os.getpid(), name=self.name)


def main():
    options = read_arguments()
    io = socketio.AsyncServer(
        async_mode="asgi",
        cors_allowed_origins="*",
        ping_interval=options.ping_interval / 1000,
        ping_timeout=options.ping_timeout / 1000,
        max_http_buffer_size=options.max_payload,
        http_compression=True,
        compression_threshold=options.threshold,
    )
    for namespace in ["/", "/chat"]:
        io.register_namespace(Application(namespace, options.name))
    application = socketio.ASGIApp(io, socketio_path=options.path.strip("/"))
    config = uvicorn.Config(
        application, log_level="warning", lifespan="off", timeout_graceful_shutdown=STOP_SECONDS
    )

    threading.Thread(target=end_with_stdin, daemon=True).start()
    Node(config, options.name).run(sockets=[listen(options.port)])


def read_arguments():
    parser = argparse.ArgumentParser(description="A python-socketio node for the tests")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 lets the system choose")
    parser.add_argument("--name", default="p1", help="what whoami answers as node")
    parser.add_argument("--path", default="/socket.io/", help="path of Socket.IO")
    parser.add_argument("--threshold", type=int, default=1024, help="bytes from which answers are compressed")
    parser.add_argument("--ping-interval", type=int, default=25_000, help="milliseconds")
    parser.add_argument("--ping-timeout", type=int, default=20_000, help="milliseconds")
    parser.add_argument("--max-payload", type=int, default=1_000_000, help="bytes")
    return parser.parse_args()


def listen(port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(BACKLOG)
    return listener


def end_with_stdin():
    """Waits for the end of stdin, which comes even when the test is killed."""
    sys.stdin.buffer.read()
    os._exit(0)


BACKLOG = 1024
# What pending polls may take at SIGTERM.
STOP_SECONDS = 2

# Packets in one polling body. The library's 16 ends a session that sends faster than it polls.
Payload.max_decode_packets = 10_000

if __name__ == "__main__":
    main()

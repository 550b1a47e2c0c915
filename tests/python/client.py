"""A python-socketio client for the tests: `basics` as in `tests/node/scenarios/basics.js`.

Prints its result as the last JSON line. Ends with 0 only when the scenario held, 1 when it did not,
2 on a wrong command line.
"""

import argparse
import asyncio
import sys

import socketio
from engineio.payload import Payload

from report import report


class Basics:
    """One client that does everything that an application does."""

    def __init__(self, options):
        self.options = options
        self.transports = options.transports.split(",")
        self.client = socketio.AsyncClient(reconnection=False)
        self.failures = []
        self.facts = {}
        self.numbers = []
        self.numbers_complete = asyncio.Event()
        self.disconnects = []
        self.client.on("number", self.number)
        self.client.on("disconnect", self.disconnected)

    async def run(self):
        await self.client.connect(
            self.options.url,
            transports=self.transports,
            namespaces=["/", "/chat"],
            socketio_path=self.options.path,
            wait_timeout=ANSWER_SECONDS,
        )
        await self.identity("/")
        await self.identity("/chat")
        await self.acknowledgements()
        await self.binary()
        await self.large_messages()
        await self.stream()
        await self.transport()
        await asyncio.sleep(self.options.quiet)
        self.equal(self.disconnects, [], "disconnects")

    async def identity(self, namespace):
        """Both sides must call the session by one name, since applications pass it around."""
        seen = await self.call("whoami", namespace=namespace)
        self.equal(seen["namespace"], namespace, "namespace")
        self.equal(seen["id"], self.client.get_sid(namespace), f"socket id in {namespace}")

    async def acknowledgements(self):
        for number in range(ROUND_TRIPS):
            sent = {"number": number, "text": "h\u00e9llo \U0001f41f", "nested": [None, True, {"deep": "yes"}]}
            self.equal(await self.call("echo", sent), sent, f"echo {number}")

    async def binary(self):
        sent = {"name": "all bytes", "parts": [bytes(range(256)), b"\0"]}
        self.equal(await self.call("echo", sent), sent, "binary next to text")

    async def large_messages(self):
        text = "0123456789abcdef" * (LARGE_TEXT // 16)
        self.expect(await self.call("echo", text) == text, "a large text came back changed")
        binary = b"sockeye!" * (LARGE_BINARY // 8)
        self.expect(await self.call("echo", binary) == binary, "a large binary came back changed")

    async def stream(self):
        await self.client.emit("numbers", NUMBERS)
        await asyncio.wait_for(self.numbers_complete.wait(), ANSWER_SECONDS)
        self.equal(self.numbers, list(range(1, NUMBERS + 1)), "numbers")

    async def transport(self):
        """python-engineio upgrades before `connect` returns, so there is nothing to wait for."""
        expected = "websocket" if "websocket" in self.transports else "polling"
        self.equal(self.client.transport(), expected, "transport")
        seen = await self.call("whoami")
        self.equal(seen["transport"], expected, "transport as the node sees it")
        self.facts = {
            "node": seen["node"],
            "transport": self.client.transport(),
            "forwarded_for": seen["forwarded_for"],
            "engine_id": self.client.eio.sid,
        }

    async def call(self, event, value=None, namespace="/"):
        return await self.client.call(event, value, namespace=namespace, timeout=ANSWER_SECONDS)

    async def number(self, number):
        self.numbers.append(number)
        if len(self.numbers) == NUMBERS:
            self.numbers_complete.set()

    async def disconnected(self, reason):
        self.disconnects.append(reason)

    def equal(self, actual, expected, what):
        self.expect(actual == expected, f"{what}: {actual!r:.80} instead of {expected!r:.80}")

    def expect(self, holds, words):
        if not holds:
            self.failures.append(words)


async def main():
    options = read_arguments()
    basics = Basics(options)
    try:
        await asyncio.wait_for(basics.run(), options.deadline)
    except Exception as error:
        # A timeout has no text of its own.
        basics.failures.append(f"{type(error).__name__}: {error}")
    held = not basics.failures
    report("result", scenario=options.scenario, held=held, failures=basics.failures, **basics.facts)
    await basics.client.disconnect()
    return 0 if held else 1


def read_arguments():
    parser = argparse.ArgumentParser(description="A python-socketio client for the tests")
    parser.add_argument("--url", required=True)
    parser.add_argument("--scenario", choices=["basics"], default="basics")
    parser.add_argument("--transports", default="polling,websocket", help="in the order of trying")
    parser.add_argument("--path", default="/socket.io/", help="path of Socket.IO")
    parser.add_argument("--quiet", type=float, default=0, help="seconds to say nothing before the end")
    parser.add_argument("--deadline", type=float, default=60, help="seconds for the whole scenario")
    return parser.parse_args()


ROUND_TRIPS = 20
NUMBERS = 100
# Bytes; the servers' limit is 1,000,000 for a message, and polling writes binary in base64.
LARGE_TEXT = 900_000
LARGE_BINARY = 600_000
# Generous, since tests share two cores with compilers.
ANSWER_SECONDS = 20

# Packets in one polling body. The library's 16 ends a session that sends faster than it polls.
Payload.max_decode_packets = 10_000

if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

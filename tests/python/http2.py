"""Scenarios over HTTP/2 with a client that is not ours, the library `h2`: see README.md of tests/node.

Prints a line for each step that the test waits for, and its result as the last one. Ends with 0 only
when the scenario held, 1 when it did not, 2 on a wrong command line.
"""

import argparse
import select
import sys

from h2.errors import ErrorCodes
from h2.events import DataReceived, StreamEnded

from http2_client import Connection, frame
from report import report


def conversations(options):
    """Real nodes: Socket.IO, ws, polls; the ends that either side makes, while others go on."""
    connection = Connection(options.port, options.ca)
    socketio = connection.websocket("/socket.io/?EIO=4&transport=websocket")
    expect(socketio.text().startswith("0{"), "no open packet")
    socketio.send("40")
    expect(socketio.text().startswith("40"), "no CONNECT packet")
    stays = connection.websocket("/raw")
    for text in ["", "h\u00e9llo", "x" * 200_000]:
        socketio.send(f'421["echo","{text}"]')
        equal(socketio.text(), f'431["{text}"]', "echo of Socket.IO")
        stays.send(text)
        equal(stays.text(), text, "echo of ws")

    stream, head = connection.request("GET", "/socket.io/?EIO=4&transport=polling")
    equal(head[":status"], "200", "status of a poll")
    expect(connection.body(stream).startswith(b"0{"), "no open packet by polling")

    half = connection.websocket("/raw")
    half.end()
    half.until_ended()
    connection.websocket("/raw").reset()
    closes = connection.websocket("/raw")
    closes.send("please close 4002")
    equal(closes.message(), (8, (4002).to_bytes(2, "big")), "Close frame")
    closes.send_bytes(frame(8, (4002).to_bytes(2, "big")))
    closes.until_ended()
    echo(stays)


def cookies(options):
    """Fields that compression splits (RFC 9113, section 8.2.3)."""
    connection = Connection(options.port, options.ca)
    fields = [("cookie", "a=1"), ("cookie", "b=2; c=3"), ("accept", "*/*"), ("cookie", "d=4")]
    _, head = connection.request("GET", "/held", fields)
    equal(head[":status"], "200", "status")


def ends(options):
    """Ends of one side while the other goes on: END_STREAM and RST_STREAM of the client, a reset by the node."""
    connection = Connection(options.port, options.ca)
    stays = connection.websocket("/raw")
    half = connection.websocket("/held")
    half.send("before the end")
    half.end()
    equal(half.text(), "after the end", "what the node says to a client that has ended")
    half.until_ended()
    reset = connection.websocket("/held")
    report("opened")
    equal(reset.text(), "before the reset", "what the node said before it reset its connection")
    report("heard")
    equal(reset.until_reset(), ErrorCodes.CANCEL, "code of the reset")
    expect(not connection.has(StreamEnded, reset.stream), "END_STREAM before the reset")
    gone = connection.websocket("/held")
    gone.reset()
    echo(stays)


def closed_window(options):
    """A client that gives a stream no window until stdin is closed, and uses another stream meanwhile."""
    connection = Connection(options.port, options.ca, window=0)
    floods = connection.websocket("/held")
    other = connection.websocket("/raw", receives=1 << 20)
    report("opened")
    while not options.stdin_is_closed():
        echo(other)
    expect(not connection.has(DataReceived, floods.stream), "DATA without a window")
    report("opens_window")
    floods.is_closed_window = False
    floods.give(1 << 16)
    for number in range(options.messages):
        opcode, payload = floods.message()
        expect(opcode == 2 and payload == bytes([number % 251]) * options.length, f"message {number}")
    echo(other)


def small_messages(options):
    """Messages of 8 bytes, each in a DATA frame of its own, that nobody reads: of the client and of the node."""
    connection = Connection(options.port, options.ca, window=0)
    other = connection.websocket("/raw", receives=1 << 20)
    unread = connection.websocket("/held")
    sent = 0
    while True:
        while connection.h2.local_flow_control_window(unread.stream) >= 8:
            # Two bytes of payload, two of head, four of mask.
            connection.h2.send_data(unread.stream, frame(2, (sent % 65_536).to_bytes(2, "big")))
            sent += 1
        connection.flush()
        echo(other)
        if connection.h2.local_flow_control_window(unread.stream) < 8 and not connection.receive(1):
            break
    report("unread", messages=sent)
    silent = connection.websocket("/held")
    for _ in range(50):
        echo(other)
    silent.is_closed_window = False
    silent.give(1 << 16)
    for number in range(options.messages):
        equal(silent.message(), (2, f"{number:06}".encode()), "message of the node")
    echo(other)


def echo(websocket):
    """Another stream lives."""
    websocket.send("alive")
    equal(websocket.text(), "alive", "echo of another stream")


def equal(actual, expected, what):
    expect(actual == expected, f"{what}: {actual!r:.80} instead of {expected!r:.80}")


def expect(holds, words):
    if not holds:
        raise AssertionError(words)


def main():
    options = read_arguments()
    failures = []
    try:
        SCENARIOS[options.scenario](options)
    except Exception as error:
        # Some have no text of their own.
        failures.append(f"{type(error).__name__}: {error}")
        # For a test that waits for a step that never comes.
        print(f"{options.scenario}: {failures[0]}", file=sys.stderr)
    report("result", scenario=options.scenario, held=not failures, failures=failures)
    return 1 if failures else 0


def read_arguments():
    parser = argparse.ArgumentParser(description="A client of HTTP/2 for the tests")
    parser.add_argument("--port", type=int, required=True, help="of the proxy at 127.0.0.1")
    parser.add_argument("--ca", required=True, help="file of the authority to trust")
    parser.add_argument("--scenario", choices=SCENARIOS, required=True)
    parser.add_argument("--messages", type=int, default=5_000, help="that the node sends")
    parser.add_argument("--length", type=int, default=0, help="of each of these messages")
    options = parser.parse_args()
    options.stdin_is_closed = lambda: bool(select.select([sys.stdin], [], [], 0)[0])
    return options


SCENARIOS = {
    function.__name__: function
    for function in [conversations, cookies, ends, closed_window, small_messages]
}

if __name__ == "__main__":
    sys.exit(main())

"""A client of HTTP/2 by TLS on the library `h2`, with WebSockets by extended CONNECT (RFC 8441)."""

import os
import socket
import ssl
import struct
import time

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RemoteSettingsChanged, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import StreamClosedError
from h2.settings import SettingCodes, Settings


class Connection:
    """One connection. `window` is what a new stream may receive before it is given more."""

    def __init__(self, port, ca, window=None):
        context = ssl.create_default_context(cafile=ca)
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain, server_hostname="localhost")
        if self.socket.selected_alpn_protocol() != "h2":
            raise RuntimeError("the server does not choose h2")
        # The library checks what is received; what RFC 8441 adds to CONNECT it does not know.
        self.h2 = H2Connection(H2Configuration(header_encoding="utf-8", validate_outbound_headers=False))
        if window is not None:
            initial = {SettingCodes.INITIAL_WINDOW_SIZE: window}
            self.h2.local_settings = Settings(client=True, initial_values=initial)
        self.h2.initiate_connection()
        self.flush()
        self.events = []
        self.event(RemoteSettingsChanged)
        if self.h2.remote_settings.enable_connect_protocol != 1:
            raise RuntimeError("no SETTINGS_ENABLE_CONNECT_PROTOCOL")

    def flush(self):
        """Sends what the library has for the server."""
        self.socket.sendall(self.h2.data_to_send())

    def receive(self, seconds):
        """Takes what comes first within so many seconds; whether something came."""
        self.socket.settimeout(max(seconds, 0.001))
        try:
            data = self.socket.recv(65_536)
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(ANSWER_SECONDS)
        if not data:
            raise EOFError("the server closed the connection")
        self.events += self.h2.receive_data(data)
        self.flush()
        return True

    def event(self, kind, stream=None):
        """The next event of this kind, of this stream if one is given."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            for event in self.events:
                if isinstance(event, kind) and stream in (None, getattr(event, "stream_id", None)):
                    self.events.remove(event)
                    return event
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {kind.__name__} of stream {stream}")
            self.receive(deadline - time.monotonic())

    def has(self, kind, stream):
        """Whether an event of this kind has come."""
        return any(isinstance(event, kind) and event.stream_id == stream for event in self.events)

    def request(self, method, path, fields=(), end=True):
        """Sends a request and gives its stream and the head of the response."""
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        self.h2.send_headers(stream, [*head, *fields], end_stream=end)
        self.flush()
        return stream, dict(self.event(ResponseReceived, stream).headers)

    def websocket(self, path, receives=None):
        """An open WebSocket."""
        fields = [(":protocol", "websocket"), ("sec-websocket-version", "13")]
        stream, head = self.request("CONNECT", path, fields, end=False)
        if head[":status"] != "200":
            raise RuntimeError(f"a WebSocket was answered {head[':status']}")
        for name in ["sec-websocket-accept", "connection", "upgrade"]:
            if name in head:
                raise RuntimeError(f"the response has {name}")
        return WebSocket(self, stream, receives)

    def body(self, stream):
        """All of a response."""
        body = b""
        while True:
            event = self.event((DataReceived, StreamEnded), stream)
            if isinstance(event, StreamEnded):
                return body
            self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
            self.flush()
            body += event.data


class WebSocket:
    """A WebSocket in a stream. With `receives`, its window gets so many bytes now, and no others."""

    def __init__(self, connection, stream, receives):
        self.connection = connection
        self.stream = stream
        self.is_closed_window = connection.h2.local_settings.initial_window_size == 0
        self.buffer = b""
        if receives:
            self.give(receives)

    def give(self, window):
        """Opens the window of the stream for more bytes."""
        try:
            self.connection.h2.increment_flow_control_window(window, self.stream)
        except StreamClosedError:
            # Its end came with the last bytes.
            return
        self.connection.flush()

    def send(self, text):
        """Sends a text in one frame of HTTP/2, or several if it is long."""
        self.send_bytes(frame(1, text.encode()))

    def send_bytes(self, data):
        h2 = self.connection.h2
        while data:
            length = min(h2.local_flow_control_window(self.stream), h2.max_outbound_frame_size, len(data))
            if length == 0:
                if not self.connection.receive(ANSWER_SECONDS):
                    raise TimeoutError("no WINDOW_UPDATE")
                continue
            h2.send_data(self.stream, data[:length])
            self.connection.flush()
            data = data[length:]

    def message(self):
        """Opcode and payload of the next frame."""
        while (parsed := parse(self.buffer)) is None:
            event = self.connection.event(DataReceived, self.stream)
            self.connection.h2.increment_flow_control_window(event.flow_controlled_length)
            if not self.is_closed_window:
                self.give(event.flow_controlled_length)
            self.connection.flush()
            self.buffer += event.data
        opcode, payload, length = parsed
        self.buffer = self.buffer[length:]
        return opcode, payload

    def text(self):
        """The next message, which is a text."""
        opcode, payload = self.message()
        if opcode != 1:
            raise RuntimeError(f"a frame has opcode {opcode}: {payload!r:.40}")
        return payload.decode()

    def end(self):
        """Sends END_STREAM."""
        self.connection.h2.end_stream(self.stream)
        self.connection.flush()

    def reset(self):
        """Sends RST_STREAM."""
        self.connection.h2.reset_stream(self.stream, ErrorCodes.CANCEL)
        self.connection.flush()

    def until_ended(self):
        """Waits for END_STREAM."""
        self.connection.event(StreamEnded, self.stream)

    def until_reset(self):
        """Waits for RST_STREAM and gives its code."""
        return self.connection.event(StreamReset, self.stream).error_code


def frame(opcode, payload):
    """A whole frame of a WebSocket, as a client sends it."""
    mask = os.urandom(4)
    length = len(payload)
    if length < 126:
        head = bytes([0x80 | opcode, 0x80 | length])
    elif length < 65_536:
        head = bytes([0x80 | opcode, 0xFE]) + struct.pack(">H", length)
    else:
        head = bytes([0x80 | opcode, 0xFF]) + struct.pack(">Q", length)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def parse(data):
    """Opcode, payload and whole length of the first frame, if all of it is there."""
    if len(data) < 2:
        return None
    short = data[1] & 0x7F
    start = {126: 4, 127: 10}.get(short, 2)
    if len(data) < start:
        return None
    length = short if start == 2 else int.from_bytes(data[2:start], "big")
    if len(data) < start + length:
        return None
    return data[0] & 0x0F, data[start : start + length], start + length


# Generous, since tests share two cores with compilers.
ANSWER_SECONDS = 20

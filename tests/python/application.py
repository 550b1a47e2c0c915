"""What the server's sockets answer to: the same events as `tests/node/lib/application.js`.

Each event with an answer is acknowledged by it.
"""

import socketio

from report import report


class Application(socketio.AsyncNamespace):
    """The events of one namespace."""

    def __init__(self, namespace, node):
        super().__init__(namespace)
        self.node = node
        self.collected = {}

    async def on_connect(self, sid, environ):
        self.collected[sid] = []

    async def on_disconnect(self, sid, reason):
        self.collected.pop(sid, None)
        report("disconnect", id=sid, reason=reason)

    async def on_echo(self, sid, value):
        return value

    async def on_whoami(self, sid):
        environ = self.server.get_environ(sid, self.namespace)
        return {
            "node": self.node,
            "id": sid,
            "namespace": self.namespace,
            "transport": self.server.transport(sid, self.namespace),
            "address": environ.get("REMOTE_ADDR"),
            "forwarded_for": environ.get("HTTP_X_FORWARDED_FOR"),
        }

    async def on_collect(self, sid, number):
        self.collected[sid].append(number)

    async def on_collected(self, sid):
        return self.collected[sid]

    async def on_numbers(self, sid, count):
        for number in range(1, count + 1):
            await self.emit("number", number, to=sid)

    async def on_join(self, sid, room):
        await self.enter_room(sid, room)
        return room

    async def on_say(self, sid, message):
        await self.emit("said", message["id"], room=message["room"])
        return message["id"]

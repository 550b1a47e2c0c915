'use strict';
/** What an application adds for `sockeye doctor --rooms`, as docs/doctor.md shows it. */

/** Gives `io` the namespace that the doctor speaks to. */
function answerDoctor(io) {
  io.of('/sockeye-doctor').on('connection', (socket) => {
    socket.on('sockeye:join', (room, answer) => {
      socket.join(room);
      answer({ node: `${require('node:os').hostname()}:${process.pid}`, fields: socket.handshake.headers });
    });
    socket.on('sockeye:say', (room, id) => {
      socket.nsp.to(room).emit('sockeye:said', id);
    });
  });
}

module.exports = { answerDoctor };

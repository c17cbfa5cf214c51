"""Both ends of a bulk transfer, each a process of its own.

python -m bench._bulk sink PORT                      prints `ready`
python -m bench._bulk source PORT CONNECTIONS SECONDS    prints bytes and seconds, until the sink has all
"""

import select
import socket
import sys
import time

CHUNK = 1 << 20


def sink(port: int) -> None:
    """Takes all that comes, and lets the kernel throw it away; answers with one byte when a connection has ended.

    Where the ends copy, too, they are what is measured, and not what is between them.
    """
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    listener.setblocking(False)
    poll, connections = select.epoll(), {}
    poll.register(listener, select.EPOLLIN)
    buffer = bytearray(CHUNK)
    print("ready", flush=True)
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                one, _ = listener.accept()
                connections[one.fileno()] = one
                poll.register(one, select.EPOLLIN)
            elif _over(connections[fd], buffer):
                poll.unregister(fd)
                connections.pop(fd).close()


def _over(one: socket.socket, buffer: bytearray) -> bool:
    try:
        if one.recv_into(buffer, CHUNK, socket.MSG_TRUNC):
            return False
        one.sendall(b"!")
    except OSError:
        pass  # whoever only looked whether somebody listens
    return True


def source(port: int, count: int, seconds: float) -> None:
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    poll, by_fd = select.epoll(), {one.fileno(): one for one in connections}
    data = memoryview(bytes(CHUNK // 4))
    for one in connections:
        one.setblocking(False)
        poll.register(one, select.EPOLLOUT)
    sent, start = 0, time.monotonic()
    while time.monotonic() < start + seconds:
        for fd, _ in poll.poll(0.1):
            sent += by_fd[fd].send(data)
    for one in connections:
        one.setblocking(True)
        one.shutdown(socket.SHUT_WR)
    for one in connections:
        if one.recv(1) != b"!":
            raise SystemExit("the sink did not get everything")
    print(sent, time.monotonic() - start)


if __name__ == "__main__":
    if sys.argv[1] == "sink":
        sink(int(sys.argv[2]))
    else:
        source(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))

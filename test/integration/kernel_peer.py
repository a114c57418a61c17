"""Linux's TCP as the peer, through sockets: who closes first, who resets, and what gets lost."""

import concurrent.futures
import random
import signal
import socket
import struct
import sys

from harness import (NO_LEAKS, SYNFIN_ADDRESS, Acceptor, Wire, case, expect, expect_equal,
                     http_body, main, require_root, require_tools, sha256, wait_until)
from nginx import Nginx

MANY = 100
MEGABYTE = 1024 * 1024


def world(lab, wire=None):
    require_root()
    require_tools("ip", "ethtool", "ss")
    return lab.synfin_and_kernel(wire)


def reset_on_close(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_to_end(connection):
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def expect_ends(lab, server, **expected):
    """How the server says its connections ended; all have ended before it is asked to."""
    wait_until(lambda: "ESTAB" not in lab.synfin("ss").stdout, "no connection is open")
    result = lab.finish(server)
    ends = {name: result["server"][name]
            for name in ("accepted", "closed", "reset", "timed_out", "failed", "abandoned")}
    wanted = dict.fromkeys(ends, 0) | expected
    expect_equal(ends, wanted, "how connections ended")
    expect_equal(result["leaks"], NO_LEAKS, "leaks")
    return result


def expect_all_closed(lab, load):
    load.expect_success()
    result = lab.result_of(load)
    expect_equal(result["connections"]["closed"], MANY, "closed")
    expect_equal(result["leaks"], NO_LEAKS, "leaks")
    return result


# ---- closing, with synfin as the server


@case("server: the kernel closes first, and keeps TIME_WAIT")
def kernel_closes_first(lab):
    synfin, kernel = world(lab)
    server = lab.serve(synfin, "--mode", "discard")
    for _ in range(MANY):
        client = kernel.connect(SYNFIN_ADDRESS, 80)
        client.sendall(b"x" * 1000)
        client.shutdown(socket.SHUT_WR)
        expect_equal(client.recv(1), b"", "what comes after our FIN")
        client.close()
    expect_equal(len(kernel.sockets("time-wait")), MANY, "the kernel's connections in TIME-WAIT")
    result = expect_ends(lab, server, accepted=MANY, closed=MANY)
    expect_equal(result["server"]["bytes_in"], 1000 * MANY, "bytes that arrived")
    expect_equal(result["time_wait"]["server"], 0, "TIME_WAIT at our side")


@case("server: we close first, and keep TIME_WAIT")
def we_close_first(lab):
    synfin, kernel = world(lab)
    server = lab.serve(synfin, "--mode", "close")
    for _ in range(MANY):
        client = kernel.connect(SYNFIN_ADDRESS, 80)
        expect_equal(client.recv(1), b"", "what comes before the FIN")
        client.close()
    expect_equal(kernel.sockets("time-wait"), set(), "the kernel's connections in TIME-WAIT")
    result = expect_ends(lab, server, accepted=MANY, closed=MANY)
    expect_equal(result["time_wait"]["server"], MANY, "TIME_WAIT at our side")


@case("server: both close at once, and each acknowledges the other's FIN")
def both_close_at_once(lab):
    wire = Wire(lab)
    synfin, kernel = world(lab, wire)
    # Our FIN stays on the way until the kernel, which cannot know of it, has sent its own.
    wire.treat(from_synfin="tcp flags & fin == fin drop")
    server = lab.serve(synfin, "--mode", "close")
    clients = [kernel.connect(SYNFIN_ADDRESS, 80) for _ in range(MANY)]

    def ours_in(state):
        return lab.synfin("ss", "--state", state).stdout.count(state)
    wait_until(lambda: ours_in("FIN-WAIT-1") == MANY, "all our FINs are sent")
    for client in clients:
        client.shutdown(socket.SHUT_WR)
    wait_until(lambda: ours_in("CLOSING") == MANY, "all the kernel's FINs have arrived")
    wire.treat()
    for client in clients:
        expect_equal(client.recv(1), b"", "what comes before the FIN")
    wait_until(lambda: len(kernel.sockets("time-wait")) == MANY, "TIME-WAIT at the kernel's side")
    wait_until(lambda: ours_in("TIME-WAIT") == MANY, "TIME_WAIT at our side, too")
    expect_ends(lab, server, accepted=MANY, closed=MANY)


@case("server: the kernel's process is killed while it echoes")
def process_killed(lab):
    require_tools("nc")
    synfin, kernel = world(lab)
    server = lab.serve(synfin, "--mode", "echo")
    for _ in range(10):
        process = kernel.start("nc", "nc", SYNFIN_ADDRESS, "80", stdin=-1)
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        process.wait_for_output("hello")
        process.send_signal(signal.SIGKILL)
        process.wait()
    # With nothing unread its sockets are closed in order.
    expect_ends(lab, server, accepted=10, closed=10)


NEVER_READS = """
import socket, sys, time
connection = socket.create_connection(sys.argv[1:3])
connection.recv(1)
print("reading no more", flush=True)
time.sleep(3600)
"""


@case("server: the kernel's process is killed with data unread, which resets the connection")
def process_killed_with_data_unread(lab):
    synfin, kernel = world(lab)
    server = lab.serve(synfin, "--mode", "chargen")
    for _ in range(10):
        process = kernel.start("reader", sys.executable, "-c", NEVER_READS, SYNFIN_ADDRESS, "80")
        process.wait_for_output("reading no more")
        process.send_signal(signal.SIGKILL)
        process.wait()
    expect_ends(lab, server, accepted=10, reset=10)


@case("server: the kernel resets by linger 0")
def kernel_resets(lab):
    synfin, kernel = world(lab)
    server = lab.serve(synfin, "--mode", "echo")
    for _ in range(MANY):
        client = kernel.connect(SYNFIN_ADDRESS, 80)
        client.sendall(b"hello")
        expect_equal(client.recv(5, socket.MSG_WAITALL), b"hello", "the echo")
        reset_on_close(client)
    expect_ends(lab, server, accepted=MANY, reset=MANY)


@case("server: we reset by linger 0")
def we_reset(lab):
    synfin, kernel = world(lab)
    server = lab.serve(synfin, "--mode", "close", "--close", "rst")
    resets = 0
    for _ in range(MANY):
        client = kernel.socket()
        try:
            client.connect((SYNFIN_ADDRESS, 80))
            client.recv(1)
        except ConnectionResetError:
            resets += 1
    expect_equal(resets, MANY, "resets that the kernel saw")
    result = expect_ends(lab, server, accepted=MANY, closed=MANY)
    expect_equal(result["time_wait"]["server"], 0, "TIME_WAIT at our side")


@case("server: nc -N closes its half, and still receives all of 5 MB")
def half_close(lab):
    require_tools("nc")
    synfin, kernel = world(lab)
    server = lab.serve(synfin, "--mode", "echo")
    sent = random.Random(1).randbytes(5 * MEGABYTE)
    (lab.folder / "sent").write_bytes(sent)
    with open(lab.folder / "sent", "rb") as file:
        process = kernel.start("nc", "nc", "-N", SYNFIN_ADDRESS, "80", stdin=file)
    process.expect_success()
    expect_equal(sha256(process.output_bytes), sha256(sent), "SHA-256 of what came back")
    expect_ends(lab, server, accepted=1, closed=1)


# ---- closing, with synfin as the client


@case("client: the kernel closes first, and keeps TIME_WAIT")
def kernel_server_closes_first(lab):
    synfin, kernel = world(lab)
    # A listener that hands TIME_WAIT to nobody: the connection is closed as soon as it is there.
    acceptor = Acceptor(lab, kernel, 80, lambda connection: connection.close())
    load = lab.load(synfin, "--connections", MANY, "--concurrency", 10, "--first", "server")
    result = expect_all_closed(lab, load)
    expect_equal(acceptor.accepted, MANY, "accepted by the kernel")
    expect_equal(result["time_wait"]["client"], 0, "TIME_WAIT at our side")


@case("client: we close first, and keep TIME_WAIT")
def client_closes_first(lab):
    synfin, kernel = world(lab)

    def answer_the_end(connection):
        with connection:
            connection.recv(1)
    acceptor = Acceptor(lab, kernel, 80, answer_the_end)
    load = lab.load(synfin, "--connections", MANY, "--concurrency", 10)
    result = expect_all_closed(lab, load)
    expect_equal(acceptor.accepted, MANY, "accepted by the kernel")
    expect_equal(result["time_wait"]["client"], MANY, "TIME_WAIT at our side")


@case("client: the kernel resets by linger 0, and the report says so")
def kernel_server_resets(lab):
    synfin, kernel = world(lab)
    Acceptor(lab, kernel, 80, reset_on_close)
    load = lab.load(synfin, "--connections", MANY, "--concurrency", 10, "--first", "server")
    expect_equal(load.wait(), 1, "exit code of a run that is not clean")
    result = lab.result_of(load)
    expect_equal(result["connections"]["reset"], MANY, "reset")
    expect_equal(result["leaks"], NO_LEAKS, "leaks")


@case("client: we reset by linger 0")
def client_resets(lab):
    synfin, kernel = world(lab)
    resets = []

    def read_until_reset(connection):
        with connection:
            try:
                connection.recv(1)
            except ConnectionResetError:
                resets.append(connection)
    acceptor = Acceptor(lab, kernel, 80, read_until_reset)
    load = lab.load(synfin, "--connections", MANY, "--concurrency", 1, "--close", "rst")
    result = expect_all_closed(lab, load)
    wait_until(lambda: acceptor.accepted == MANY, "the kernel has accepted all")
    wait_until(lambda: len(resets) == MANY, "all were reset")
    expect_equal(result["time_wait"]["client"], 0, "TIME_WAIT at our side")


@case("client: a closed port refuses, and the report says so")
def refused(lab):
    synfin, _ = world(lab)
    load = lab.load(synfin, "--connections", MANY, "--concurrency", 10)
    expect_equal(load.wait(), 1, "exit code of a run that is not clean")
    result = lab.result_of(load)
    expect_equal(result["connections"]["established"], 0, "established")
    expect_equal(result["connections"]["failed"] + result["connections"]["reset"], MANY,
                 "refused")
    expect_equal(result["leaks"], NO_LEAKS, "leaks")


@case("server: a closed port answers the kernel with a reset")
def closed_port(lab):
    synfin, kernel = world(lab)
    lab.serve(synfin, "--listen", 80)
    try:
        kernel.connect(SYNFIN_ADDRESS, 81)
    except ConnectionRefusedError:
        return
    expect(False, "the connection to a port without a listener came about")


# ---- loss


def lossy_world(lab):
    """Three of a hundred packets are lost on the wire, in each direction."""
    wire = Wire(lab)
    synfin, kernel = world(lab, wire)
    three_percent = "numgen random mod 100 < 3 counter drop"
    wire.treat(from_synfin=three_percent, from_kernel=three_percent)
    return synfin, kernel, wire


def expect_loss(wire):
    lost = wire.counters()
    expect(len(lost) == 2 and min(lost) > 0, f"packets lost in each direction: {lost}")


def transfer_all(kernel, transfer, count):
    """Runs transfer(socket, number) for so many connections, many at a time; all must be intact."""
    sockets = [kernel.socket(timeout=200) for _ in range(count)]
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        done = list(pool.map(transfer, sockets, range(count)))
    expect_equal(sum(done), count, "transfers that were intact")


@case("3 % loss both ways: 200 downloads of 1 MB arrive intact")
def downloads_with_loss(lab):
    synfin, kernel, wire = lossy_world(lab)
    server = lab.serve(synfin, "--body", "1MB")
    expected = sha256(http_body(MEGABYTE))

    def download(connection, _number):
        connection.connect((SYNFIN_ADDRESS, 80))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: synfin\r\nConnection: close\r\n\r\n")
        body = read_to_end(connection).partition(b"\r\n\r\n")[2]
        connection.close()
        return sha256(body) == expected
    transfer_all(kernel, download, 200)
    expect_loss(wire)
    expect_ends(lab, server, accepted=200, closed=200)


@case("3 % loss both ways: 200 echoes of 1 MB arrive intact")
def echoes_with_loss(lab):
    synfin, kernel, wire = lossy_world(lab)
    server = lab.serve(synfin, "--mode", "echo")

    def echo(connection, number):
        sent = random.Random(number).randbytes(MEGABYTE)
        connection.connect((SYNFIN_ADDRESS, 80))
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            received = pool.submit(read_to_end, connection)
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            intact = sha256(received.result()) == sha256(sent)
        connection.close()
        return intact
    transfer_all(kernel, echo, 200)
    expect_loss(wire)
    expect_ends(lab, server, accepted=200, closed=200)


@case("3 % loss both ways: 5,000 connections of the load generator all complete")
def load_with_loss(lab):
    require_tools("nginx")
    synfin, kernel, wire = lossy_world(lab)
    nginx = Nginx(lab, kernel)
    load = lab.load(synfin, "--mode", "request", "--connections", 5000, "--concurrency", 500,
                    "--grace", "60s")
    load.expect_success(timeout=180)
    result = lab.result_of(load)
    expect_equal(result["connections"]["closed"], 5000, "closed")
    expect_equal(result["requests"]["answered"], 5000, "answers")
    expect(int(result["tcp"]["client"]["RetransSegs"]) > 0, "something was sent again")
    expect_equal(nginx.accepted(), 5000, "connections by nginx's count")
    expect_loss(wire)


if __name__ == "__main__":
    main()

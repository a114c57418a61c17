"""Long transfers over links that lose and links that are slow, between synfin and Linux.

Each case moves the same bytes both ways at once, under one algorithm of congestion control, and
asks for nothing but that they arrive: bench/goodput says how fast. SYNFIN_MEGABYTES says how many
megabytes, by default few enough for every run of the tests; 100 is a good number for a long one.
"""

import concurrent.futures
import hashlib
import os
import random
import socket

from harness import (SYNFIN_ADDRESS, Failure, Skip, Wire, case, expect, expect_equal, main,
                     require_root, require_tools)

MEGABYTE = 1024 * 1024
PIECE = 256 * 1024
LINUX_NAMES = {"newreno": "reno"}
# Slower than this no transfer may be, or something waits for a timer all the time.
SECONDS_PER_MEGABYTE = 5


def megabytes():
    return int(os.environ.get("SYNFIN_MEGABYTES", "4"))


def lose(wire, percent):
    rule = f"numgen random mod 1000 < {10 * percent} counter drop"
    wire.treat(from_synfin=rule, from_kernel=rule)


def slow_down(wire, megabits):
    """A bottleneck in each direction, with a queue that holds some milliseconds."""
    require_tools("tc")
    for interface in ("w0", "w1"):
        done = wire.host.run("tc", "qdisc", "replace", "dev", interface, "root", "tbf", "rate",
                             f"{megabits}mbit", "burst", "32k", "limit", "128k", check=False)
        if done.returncode != 0:
            raise Skip(f"this kernel has no tbf: {done.stderr.strip()}")


def use_congestion_control(connection, algorithm):
    name = LINUX_NAMES.get(algorithm, algorithm)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
    except OSError as error:
        raise Skip(f"this kernel has no {name}") from error


def send_all(connection, total, digest):
    source = random.Random(total)
    for _ in range(total // PIECE):
        piece = source.randbytes(PIECE)
        digest.update(piece)
        connection.sendall(piece)
    connection.shutdown(socket.SHUT_WR)


def echo_intact(kernel, total, algorithm):
    sent, received = hashlib.sha256(), hashlib.sha256()
    connection = kernel.socket(timeout=60)
    use_congestion_control(connection, algorithm)
    connection.connect((SYNFIN_ADDRESS, 80))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send_all, connection, total, sent)
        count = 0
        while piece := connection.recv(PIECE):
            received.update(piece)
            count += len(piece)
        sending.result(60)
    connection.close()
    expect_equal(count, total, "bytes that came back")
    expect_equal(received.hexdigest(), sent.hexdigest(), "SHA-256 of what came back")


def transfer(lab, algorithm, treat):
    require_root()
    require_tools("ip", "ethtool", "nft")
    wire = Wire(lab)
    synfin, kernel = lab.synfin_and_kernel(wire)
    treat(wire)
    server = lab.serve(synfin, "--mode", "echo", "--congestion", algorithm)
    total = megabytes() * MEGABYTE
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        echo = pool.submit(echo_intact, kernel, total, algorithm)
        try:
            echo.result(60 + megabytes() * SECONDS_PER_MEGABYTE)
        except concurrent.futures.TimeoutError as late:
            raise Failure(f"{megabytes()} MB each way took too long") from late
    result = lab.finish(server)
    expect_equal(result["server"]["bytes_in"], total, "bytes that synfin took")
    expect_equal(result["server"]["closed"], 1, "connections that ended in order")
    return result, wire


def lossy(lab, algorithm, percent):
    result, wire = transfer(lab, algorithm, lambda w: lose(w, percent))
    lost = wire.counters()
    expect(min(lost) > 0, f"packets lost in each direction: {lost}")
    expect(int(result["tcp"]["server"]["RetransSegs"]) > 0, "something was sent again")


def add_cases():
    for algorithm in ("cubic", "newreno", "bbr"):
        for percent in (1, 5):
            case(f"{algorithm}: {percent} % loss both ways, all bytes arrive intact")(
                lambda lab, a=algorithm, p=percent: lossy(lab, a, p))
        case(f"{algorithm}: a bottleneck of 100 Mbit/s both ways, all bytes arrive intact")(
            lambda lab, a=algorithm: transfer(lab, a, lambda w: slow_down(w, 100)))


add_cases()

if __name__ == "__main__":
    main()

"""Segments that a router divides on their way to several workers: of the parts of a datagram only
the first bears ports, so no device puts them where the whole would have gone."""

import concurrent.futures
import random

from harness import (KERNEL_ADDRESS, NO_LEAKS, PREFIX_LENGTH, SYNFIN_ADDRESS, Acceptor, case, expect,
                     expect_equal, http_body, main, require_root, require_tools, wait_until,
                     without_offloads)

WORKERS = 2
# Enough for each worker to have some, by whatever a device spreads them.
CONNECTIONS = 16
BYTES = 50_000
NARROW_MTU = 296
FAR_ADDRESS = "203.0.113.2"
ROUTER_FAR_ADDRESS = "203.0.113.1"


def world(lab):
    """A router with a narrow tap to synfin, and a host behind it whose packets may be divided."""
    require_root()
    require_tools("ip", "ethtool")
    router, far = lab.host("router"), lab.host("far")
    lab.link(router, "far0", far, "far1")
    router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    router.ip("address", "add", f"{ROUTER_FAR_ADDRESS}/24", "dev", "far0")
    far.ip("address", "add", f"{FAR_ADDRESS}/24", "dev", "far1")
    # What synfin sends passes whole.
    far.ip("route", "add", "default", "via", ROUTER_FAR_ADDRESS, "advmss", NARROW_MTU - 60)
    far.run("sysctl", "-qw", "net.ipv4.ip_no_pmtu_disc=1")
    return router, far


def address_the_tap(router):
    wait_until(lambda: router.run("ip", "link", "show", "tap0", check=False).returncode == 0,
               "the tap is there")
    without_offloads(router, "tap0")
    router.ip("address", "add", f"{KERNEL_ADDRESS}/{PREFIX_LENGTH}", "dev", "tap0")
    router.ip("link", "set", "tap0", "mtu", NARROW_MTU, "up")


def counters_of_workers(lab, name):
    """What each worker of the running synfin has counted under a name."""
    return [int(line.split()[1]) for line in lab.synfin("counters").stdout.splitlines()
            if line.startswith(name + " ")]


def is_echoed(connection, number):
    sent = random.Random(number).randbytes(BYTES)
    with connection, concurrent.futures.ThreadPoolExecutor(1) as pool:
        connection.bind(("0.0.0.0", 40000 + number))
        connection.connect((SYNFIN_ADDRESS, 80))
        sending = pool.submit(connection.sendall, sent)
        received = b""
        while len(received) < BYTES and (piece := connection.recv(BYTES)):
            received += piece
        sending.result()
    return received == sent


@case("a server's worker gets what came in fragments wherever the device puts them")
def serve(lab):
    router, far = world(lab)
    server = lab.serve(router, "--mode", "echo", "--workers", WORKERS, "--gateway", KERNEL_ADDRESS,
                       device="tap:tap0", prepare=lambda: address_the_tap(router))
    intact = [is_echoed(far.socket(), number) for number in range(CONNECTIONS)]
    expect_equal(sum(intact), CONNECTIONS, "echoes that were intact")
    expect(min(counters_of_workers(lab, "PassiveOpens")) > 0, "each worker has connections")
    expect(sum(counters_of_workers(lab, "DatagramsReassembled")) > CONNECTIONS, "divided segments")
    expect(min(counters_of_workers(lab, "SegmentsToColleagues")) > 0,
           "each worker has left segments to the other")
    result = lab.finish(server)
    expect_equal(result["tcp"]["server"]["OutRsts"], 0, "resets")
    expect_equal(result["server"]["closed"], CONNECTIONS, "closed")
    expect_equal(result["leaks"], NO_LEAKS, "leaks")


@case("a client's worker gets what came in fragments wherever they are put together")
def load(lab):
    router, far = world(lab)
    body = http_body(BYTES)

    def answer(connection):
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            connection.recv(4096)
    acceptor = Acceptor(lab, far, 80, answer)
    load = lab.load(router, "--mode", "request", "--workers", WORKERS, "--connections", CONNECTIONS,
                    "--concurrency", WORKERS, "--gateway", KERNEL_ADDRESS, "--on-link",
                    f"{KERNEL_ADDRESS}/32", "--grace", "30s",
                    device="tap:tap0",
                    target=f"{FAR_ADDRESS}:80")
    address_the_tap(router)
    load.expect_success(timeout=120)
    result = lab.result_of(load)
    expect_equal(result["requests"]["answered"], CONNECTIONS, "answers")
    expect_equal(acceptor.accepted, CONNECTIONS, "accepted by the kernel")
    expect_equal(result["tcp"]["client"]["OutRsts"], 0, "resets")
    expect_equal(result["leaks"], NO_LEAKS, "leaks")


if __name__ == "__main__":
    main()

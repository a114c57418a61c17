"""SIGINT and SIGTERM: what is open is closed in order, and a second signal does not wait for it."""

import signal
import socket
import time

from harness import (NO_LEAKS, SYNFIN_ADDRESS, Acceptor, case, expect, expect_equal, main,
                     require_root, require_tools, wait_until)

BOTH = (signal.SIGINT, signal.SIGTERM)


def world(lab):
    require_root()
    require_tools("ip", "ethtool")
    return lab.synfin_and_kernel()


def established(lab, count):
    wait_until(lambda: lab.synfin("ss", "--state", "ESTAB", check=False).stdout.count("ESTAB")
               == count, f"{count} connections are established")


def pair_ends_in_order(which):
    def test(lab):
        pair = lab.start_here("pair", *lab.command("pair", "--duration", "10m", "--json",
                                                   lab.folder / "pair.json"))
        pair.result = lab.folder / "pair.json"
        pair.wait_for_output("opened/s")
        pair.send_signal(which)
        pair.expect_success()
        expect("left behind: 0 connections, 0 buffers, 0 timers" in pair.output, "the report")
        connections = lab.result_of(pair)["connections"]
        expect(connections["opened"] > 0, "connections were opened")
        expect_equal(connections["closed"], connections["opened"], "closed")
        expect_equal(pair.errors, "", "stderr")
    return test


def server_closes_what_is_open(which):
    def test(lab):
        synfin, kernel = world(lab)
        server = lab.serve(synfin, "--mode", "discard", "--grace", "50s")
        clients = [kernel.connect(SYNFIN_ADDRESS, 80) for _ in range(20)]
        established(lab, 20)
        server.send_signal(which)
        for client in clients:
            expect_equal(client.recv(1), b"", "a FIN, and no reset")
            client.close()
        server.expect_success()
        result = lab.result_of(server)
        expect_equal(result["server"]["closed"], 20, "closed")
        expect_equal(result["leaks"], NO_LEAKS, "leaks")
    return test


for signal_ in BOTH:
    case(f"{signal_.name}: pair closes what is open, reports, and exits with 0")(
        pair_ends_in_order(signal_))
    case(f"{signal_.name}: serve closes what is open, reports, and exits with 0")(
        server_closes_what_is_open(signal_))


@case("a reader of the connections that stops reading keeps nobody from ending")
def stopped_reader(lab):
    pair = lab.start_here("pair", *lab.command("pair", "--duration", "10m"))
    pair.wait_for_output("opened/s")
    reader = lab.closing(socket.socket(socket.AF_UNIX))
    reader.connect(str(lab.runtime / "synfin" / f"{pair.pid}.sock"))
    reader.sendall(b"ss TIME-WAIT\n")
    expect(reader.recv(1) != b"", "the list begins")
    pair.send_signal(signal.SIGINT)
    pair.expect_success()


@case("after the signal a server accepts no more")
def no_more_accepted(lab):
    synfin, kernel = world(lab)
    server = lab.serve(synfin, "--mode", "discard", "--grace", "50s")
    client = kernel.connect(SYNFIN_ADDRESS, 80)
    established(lab, 1)
    server.send_signal(signal.SIGTERM)
    expect_equal(client.recv(1), b"", "the FIN that says that the server is ending")
    try:
        kernel.connect(SYNFIN_ADDRESS, 80)
    except ConnectionRefusedError:
        refused = True
    else:
        refused = False
    expect(refused, "a new connection is refused")
    client.close()
    server.expect_success()


@case("after the signal the load generator opens no more, and closes what it has opened")
def load_ends_in_order(lab):
    synfin, kernel = world(lab)
    acceptor = Acceptor(lab, kernel, 80, lambda connection: (connection.recv(1),
                                                             connection.close()))
    load = lab.load(synfin, "--rate", 200, "--concurrency", 50, "--duration", "10m")
    wait_until(lambda: acceptor.accepted >= 100, "connections come")
    load.send_signal(signal.SIGINT)
    load.expect_success()
    result = lab.result_of(load)
    expect_equal(result["connections"]["closed"], result["connections"]["opened"], "closed")
    wait_until(lambda: acceptor.accepted == result["connections"]["opened"],
               "the kernel has seen as many")
    expect_equal(result["leaks"], NO_LEAKS, "leaks")


@case("what does not end within the grace period is reset, and the report says so")
def grace_period(lab):
    synfin, kernel = world(lab)
    server = lab.serve(synfin, "--mode", "discard", "--grace", "300ms")
    client = kernel.connect(SYNFIN_ADDRESS, 80)
    established(lab, 1)
    server.send_signal(signal.SIGTERM)
    server.expect_success()  # the peer's silence is no fault of the server
    expect_equal(client.recv(1), b"", "the FIN")
    result = lab.result_of(server)
    expect_equal(result["server"]["abandoned"], 1, "abandoned")
    expect_equal(result["leaks"], NO_LEAKS, "leaks")
    wait_until(lambda: not kernel.sockets("close-wait"), "the kernel's side is reset")


def second_signal(first, second):
    def test(lab):
        synfin, kernel = world(lab)
        server = lab.serve(synfin, "--mode", "discard", "--grace", "1h")
        client = kernel.connect(SYNFIN_ADDRESS, 80)
        established(lab, 1)
        server.send_signal(first)
        expect_equal(client.recv(1), b"", "the FIN that says that the server is ending")
        expect(server.running(), "the server waits for the peer")
        begun = time.monotonic()
        server.send_signal(second)
        server.expect_success()
        expect(time.monotonic() - begun < 30, "the server does not wait any more")
        result = lab.result_of(server)
        expect_equal(result["server"]["abandoned"], 1, "abandoned")
        expect_equal(result["leaks"], NO_LEAKS, "leaks")
    return test


case("a second SIGINT stops at once")(second_signal(signal.SIGINT, signal.SIGINT))
case("SIGTERM after SIGINT stops at once")(second_signal(signal.SIGINT, signal.SIGTERM))


@case("a load generator that waits for a link ends at the first signal")
def while_waiting_for_a_link(lab):
    path = lab.folder / "lonely.sock"
    load = lab.load(None, "--connections", 1, "--concurrency", 1,
                    device=f"memif:{path},role=server")
    load.wait_for_output("memory:")
    load.send_signal(signal.SIGINT)
    expect(load.wait() in (0, 1), "it ends by itself")
    expect("no link" not in load.errors, "it does not wait for its patience to end")


if __name__ == "__main__":
    main()

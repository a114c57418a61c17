"""synfin ss: every state that a connection can be kept in, brought about on demand.

A rule of nftables on the wire between the two sides holds back just the packets whose absence
keeps a connection where it is.
"""

import socket

from harness import (KERNEL_ADDRESS, SYNFIN_ADDRESS, Acceptor, Wire, case, expect, expect_equal, main,
                     require_root, require_tools, wait_until)

HEADING = ["State", "Recv-Q", "Send-Q", "Local", "Address:Port", "Peer", "Address:Port", "Timer"]


class World:
    """A synfin, a Linux, and a wire between the two on which packets can be held back."""

    def __init__(self, lab):
        require_root()
        require_tools("ip", "ethtool", "ss")
        self.lab = lab
        self.wire = Wire(lab)
        self.synfin_host, self.kernel = lab.synfin_and_kernel(self.wire)

    def serve(self, *arguments):
        # What is held back cannot end in order: no use in waiting for it.
        return self.lab.serve(self.synfin_host, "--grace", "100ms", *arguments)

    def load(self):
        """One connection, held for as long as a slow machine needs to ask about it."""
        process = self.lab.load(self.synfin_host, "--hold", "--concurrency", 1,
                                "--duration", "60s", "--grace", "100ms")
        wait_until(lambda: self.lab.synfin("ss", check=False).returncode == 0, "synfin ss answers")
        return process

    def ss(self, *arguments):
        """What synfin ss prints, as a list of words for each line."""
        return [line.split() for line in self.lab.synfin("ss", *arguments).stdout.splitlines()]

    def expect_one(self, state):
        """The one connection in this state, when there is one. No other state is shown with it."""
        def shown():
            lines = self.ss("--state", state)
            expect_equal(lines[0], HEADING, "heading")
            return lines[1:]
        lines = wait_until(shown, f"synfin ss shows a connection in {state}")
        expect_equal(len(lines), 1, f"connections in {state}")
        expect_equal(lines[0][0], state, "state")
        expect(any(line == lines[0][:5] or line[:1] == [state] for line in self.ss()),
               f"{state} is in the list of all connections")
        return lines[0]


def endpoint(address_and_port):
    return "{}:{}".format(*address_and_port)


NOTHING_COMES_BACK = "ip protocol tcp drop"


@case("LISTEN is shown with the port that is listened on")
def listen(lab):
    world = World(lab)
    world.serve("--listen", 8080)
    expect_equal(world.expect_one("LISTEN")[3:], ["*:8080", "*:*"], "endpoints")


@case("ESTAB is shown with the endpoints that the kernel sees from its side")
def established(lab):
    world = World(lab)
    world.serve("--mode", "discard")
    client = world.kernel.connect(SYNFIN_ADDRESS, 80)
    line = world.expect_one("ESTAB")
    expect_equal(line[1:5], ["0", "0", f"{SYNFIN_ADDRESS}:80", endpoint(client.getsockname())],
                 "queues and endpoints")
    expect_equal(world.kernel.sockets("established"),
                 {(endpoint(client.getsockname()), f"{SYNFIN_ADDRESS}:80")}, "the kernel's list")


@case("ESTAB is shown with bytes that the peer does not read in Send-Q")
def send_queue(lab):
    world = World(lab)
    world.serve("--mode", "chargen")
    world.kernel.connect(SYNFIN_ADDRESS, 80)
    wait_until(lambda: int(world.expect_one("ESTAB")[2]) > 0, "Send-Q is not empty")


@case("FIN-WAIT-1 is shown while our FIN is not acknowledged")
def fin_wait_1(lab):
    world = World(lab)
    world.wire.treat(from_synfin="tcp flags & fin == fin drop")
    world.serve("--mode", "close")
    world.kernel.connect(SYNFIN_ADDRESS, 80)
    expect(world.expect_one("FIN-WAIT-1")[5].startswith("timer:(on,"), "the FIN is on a timer")


@case("FIN-WAIT-2 is shown while the peer does not close")
def fin_wait_2(lab):
    world = World(lab)
    world.serve("--mode", "close")
    client = world.kernel.connect(SYNFIN_ADDRESS, 80)
    world.expect_one("FIN-WAIT-2")
    expect_equal(world.kernel.sockets("close-wait"),
                 {(endpoint(client.getsockname()), f"{SYNFIN_ADDRESS}:80")}, "the kernel's list")


@case("CLOSE-WAIT is shown while the peer has closed and we have not sent all")
def close_wait(lab):
    world = World(lab)
    world.serve("--body", "10MB")
    client = world.kernel.connect(SYNFIN_ADDRESS, 80)
    client.sendall(b"GET / HTTP/1.1\r\nHost: synfin\r\n\r\n")
    client.shutdown(socket.SHUT_WR)  # and read nothing
    line = world.expect_one("CLOSE-WAIT")
    expect(int(line[2]) > 0, "what is not sent is in Send-Q")
    wait_until(lambda: len(world.kernel.sockets("fin-wait-2")) == 1, "the kernel's list")


@case("LAST-ACK is shown while the FIN with which we answer is not acknowledged")
def last_ack(lab):
    world = World(lab)
    world.serve("--mode", "echo")
    client = world.kernel.connect(SYNFIN_ADDRESS, 80)
    world.expect_one("ESTAB")
    world.wire.treat(from_synfin="tcp flags & fin == fin drop")
    client.shutdown(socket.SHUT_WR)
    world.expect_one("LAST-ACK")


@case("CLOSING is shown when both have closed and neither has the other's acknowledgment")
def closing(lab):
    world = World(lab)
    world.wire.treat(from_synfin="tcp flags & fin == fin drop")
    world.serve("--mode", "close")
    client = world.kernel.connect(SYNFIN_ADDRESS, 80)
    world.expect_one("FIN-WAIT-1")
    world.wire.treat(from_synfin=NOTHING_COMES_BACK)
    client.shutdown(socket.SHUT_WR)
    world.expect_one("CLOSING")
    expect_equal(len(world.kernel.sockets("fin-wait-1")), 1, "the kernel's list")
    # Given back to one another, both come to their end.
    world.wire.treat()
    world.expect_one("TIME-WAIT")
    wait_until(lambda: not world.kernel.sockets("fin-wait-1"), "the kernel's FIN is acknowledged")


@case("TIME-WAIT is shown with its timer after we have closed first")
def time_wait(lab):
    world = World(lab)
    world.serve("--mode", "close")
    client = world.kernel.connect(SYNFIN_ADDRESS, 80)
    client.recv(1)
    client.close()
    # A reader may see the connection just before its timer is set.
    wait_until(lambda: "timer:(timewait," in "".join(world.expect_one("TIME-WAIT")[5:]),
               "its timer is shown")


@case("SYN-SENT is shown while nobody answers")
def syn_sent(lab):
    world = World(lab)
    world.wire.treat(from_synfin=NOTHING_COMES_BACK)
    world.load()
    line = world.expect_one("SYN-SENT")
    expect_equal(line[4], f"{KERNEL_ADDRESS}:80", "peer")

    def on_a_timer():  # not before the next hop's address is known: until then nothing was sent
        lines = world.ss("--state", "SYN-SENT")
        return len(lines) == 2 and len(lines[1]) > 5 and lines[1][5].startswith("timer:(on,")
    wait_until(on_a_timer, "the SYN is on a timer")


@case("SYN-RECV is shown while our SYN-ACK is not acknowledged")
def syn_received(lab):
    world = World(lab)
    world.wire.treat(from_synfin="tcp flags & (syn | ack) == syn | ack drop")
    world.serve()
    client = world.kernel.socket()
    client.setblocking(False)
    client.connect_ex((SYNFIN_ADDRESS, 80))
    world.expect_one("SYN-RECV")
    expect_equal(len(world.kernel.sockets("syn-sent")), 1, "the kernel's list")


@case("the connections of a client are shown, too")
def client_side(lab):
    world = World(lab)
    Acceptor(lab, world.kernel, 80, lambda connection: lab.closing(connection))
    world.load()
    line = world.expect_one("ESTAB")
    wait_until(lambda: world.kernel.sockets("established") == {(line[4], line[3])},
               "the kernel shows the same connection")


@case("the summary counts the connections of each state")
def summary(lab):
    world = World(lab)
    world.serve("--mode", "discard", "--listen", 80, "--listen", 81)
    for _ in range(20):
        world.kernel.connect(SYNFIN_ADDRESS, 81)

    def counts():
        return {line[0]: line[1] for line in world.ss("--summary")}
    wait_until(lambda: counts()["ESTAB"] == "20", "20 connections in ESTAB")
    expect_equal(counts()["LISTEN"], "2", "listeners")
    expect_equal({state for state, count in counts().items() if count == "0"},
                 {"SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING",
                  "LAST-ACK", "TIME-WAIT"}, "states without a connection")


@case("connections can be listed while thousands a second come and go")
def at_full_speed(lab):
    world = World(lab)
    server = lab.start_here("pair", lab.synfin_for_everyone(), "pair", "--duration", "5m",
                            "--concurrency", 256)
    server.wait_for_output("opened/s")
    states = {"ESTAB", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING",
              "LAST-ACK", "TIME-WAIT", "LISTEN"}
    for _ in range(5):
        # Without TIME-WAIT, of which there are millions.
        lines = world.ss(*(word for state in sorted(states - {"TIME-WAIT"})
                           for word in ("--state", state)))
        expect({line[0] for line in lines[1:]} <= states, "only states that exist are shown")
        expect(all(line[3].startswith("198.1") for line in lines[1:]), "addresses are whole")
    expect(server.running(), "the process goes on")


if __name__ == "__main__":
    main()

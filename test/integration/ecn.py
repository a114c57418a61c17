"""ECN (RFC 3168) with Linux, over a wire that marks: agreement, echo, CWR, and nothing lost."""

import socket

from harness import (PATIENCE, SYNFIN_ADDRESS, Capture, Wire, case, expect, expect_equal, http_body,
                     main, require_root, require_tools, sha256)
from nginx import Nginx

MARK = "ip ecn ect0 numgen random mod 20 == 0 ip ecn set ce"
TO_SYNFIN = f"ip.dst == {SYNFIN_ADDRESS}"
FROM_SYNFIN = f"ip.src == {SYNFIN_ADDRESS}"
MEGABYTE = 1024 * 1024


def world(lab):
    require_root()
    require_tools("curl", "dumpcap", "tshark", "nft")
    wire = Wire(lab)
    synfin, kernel = lab.synfin_and_kernel(wire)
    kernel.run("sysctl", "-qw", "net.ipv4.tcp_ecn=1")
    return wire, synfin, kernel, Capture(kernel, "v1")


def expect_some(capture, display_filter, what):
    expect(len(capture.fields(display_filter, "frame.number")) > 0, what)


def expect_none(capture, display_filter, what):
    expect_equal(capture.fields(display_filter, "frame.number"), [], what)


def expect_agreement(capture, question, answer):
    both = "tcp.flags.ece == 1 && tcp.flags.cwr == 1"
    expect_some(capture, f"{question} && tcp.flags == 0x0c2", "a SYN that asks")
    expect_some(capture, f"{answer} && tcp.flags == 0x052", "a SYN,ACK that agrees")
    expect_none(capture, f"tcp.flags.syn == 1 && tcp.flags.ack == 1 && {both}", "reflected flags")
    expect_none(capture, "tcp.flags.syn == 1 && ip.dsfield.ecn != 0", "SYNs with ECT")
    expect_none(capture, f"{FROM_SYNFIN} && tcp.len == 0 && ip.dsfield.ecn != 0", "ACKs with ECT")


@case("Linux asks, and what is marked on its way to Linux makes us slower, not send again")
def download(lab):
    wire, synfin, kernel, capture = world(lab)
    wire.treat(from_synfin=MARK)
    server = lab.serve(synfin, "--body", "2MB")
    received = lab.folder / "body"
    kernel.run("curl", "--silent", "--show-error", "--fail", "--max-time", 50, "--output", received,
               f"http://{SYNFIN_ADDRESS}/")
    expect_equal(sha256(received.read_bytes()), sha256(http_body(2 * MEGABYTE)), "the body")
    counters = lab.finish(server)["tcp"]["server"]
    capture.finish()
    expect_agreement(capture, TO_SYNFIN, FROM_SYNFIN)
    expect_some(capture, f"{FROM_SYNFIN} && ip.dsfield.ecn == 3", "segments marked")
    expect_some(capture, f"{TO_SYNFIN} && tcp.flags.ece == 1 && tcp.flags.syn == 0", "echoes")
    expect_some(capture, f"{FROM_SYNFIN} && tcp.flags.cwr == 1 && tcp.len > 0", "answers to them")
    expect(counters["TCPECNReductions"] > 0, "the window gives way")
    expect_equal(counters["TCPTimeouts"], 0, "timeouts")


@case("what is marked on its way from Linux is echoed until Linux has heard it")
def upload(lab):
    wire, synfin, kernel, capture = world(lab)
    wire.treat(from_kernel=MARK)
    server = lab.serve(synfin, "--mode", "discard")
    with kernel.connect(SYNFIN_ADDRESS, 80, PATIENCE) as connection:
        connection.sendall(bytes(5 * MEGABYTE))
        connection.shutdown(socket.SHUT_WR)
        expect_equal(connection.recv(1), b"", "what a discarding server says")
    result = lab.finish(server)
    capture.finish()
    expect_agreement(capture, TO_SYNFIN, FROM_SYNFIN)
    expect(result["tcp"]["server"]["InCEPkts"] > 0, "marks arrive")
    expect_some(capture, f"{FROM_SYNFIN} && tcp.flags.ece == 1 && tcp.flags.syn == 0", "echoes")
    expect_some(capture, f"{TO_SYNFIN} && tcp.flags.cwr == 1 && tcp.len > 0", "Linux's answers")


@case("we ask, and nginx's Linux agrees")
def ask(lab):
    require_tools("nginx")
    _, synfin, kernel, capture = world(lab)
    Nginx(lab, kernel)
    load = lab.load(synfin, "--mode", "request", "--ecn", "ask", "--connections", 20,
                    "--concurrency", 4)
    load.expect_success()
    capture.finish()
    expect_agreement(capture, "ip.src == 198.18.1.0/24", "ip.dst == 198.18.1.0/24")
    expect_some(capture, "ip.src == 198.18.1.0/24 && tcp.len > 0 && ip.dsfield.ecn == 2",
                "requests with ECT")


if __name__ == "__main__":
    main()

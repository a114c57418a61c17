"""Handshakes with Linux that are not the usual one: SYN cookies, and data on the SYN."""

import sys

from harness import (KERNEL_ADDRESS, KERNEL_ADDRESS6, PREFIX_LENGTH, PREFIX_LENGTH6,
                     SYNFIN_ADDRESS, SYNFIN_ADDRESS6, Capture, case, expect, expect_equal, main,
                     require_root, require_tools)

ECHO_BY_FAST_OPEN = """
import signal, socket, sys
signal.alarm(20)
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
for text in sys.argv[2:]:
    with socket.socket(family) as client:
        client.sendto(text.encode(), socket.MSG_FASTOPEN, (sys.argv[1], 80))
        echoed = b""
        while len(echoed) < len(text):
            echoed += client.recv(4096)
        print(echoed.decode())
"""

SERVE_BY_FAST_OPEN = """
import socket
RESPONSE = b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok"
with socket.create_server(("", 80), family=socket.AF_INET6, dualstack_ipv6=True) as server:
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    print("listening", flush=True)
    while True:
        connection, _ = server.accept()
        with connection:
            request = b""
            while b"\\r\\n\\r\\n" not in request:
                request += connection.recv(4096)
            connection.sendall(RESPONSE)
            connection.recv(1)
"""


@case("curl is served through SYN cookies alone, with all of TCP's options")
def cookies(lab):
    require_root()
    require_tools("curl", "dumpcap", "tshark")
    synfin, kernel = lab.synfin_and_kernel()
    capture = Capture(kernel, "v1")
    server = lab.serve(synfin, "--syn-cookies", "always", "--body", "1MB")
    for _ in range(5):
        kernel.run("curl", "--silent", "--show-error", "--fail", "--output", "/dev/null",
                   f"http://{SYNFIN_ADDRESS}/")
    result = lab.finish(server)
    expect_equal(result["server"]["accepted"], 5, "accepted")
    expect_equal(result["server"]["failed"], 0, "failed")
    capture.finish()
    options = capture.fields(f"ip.src == {SYNFIN_ADDRESS} && tcp.flags.syn == 1",
                             "tcp.options.mss_val", "tcp.options.wscale.shift",
                             "tcp.options.sack_perm", "tcp.options.timestamp.tsecr")
    expect(len(options) >= 5, "each connection has got a SYN,ACK")
    expect_equal([bool(all(fields)) for fields in options], [True] * len(options),
                 "MSS, scale, SACK and time")
    expect_equal(capture.fields("tcp.flags.reset == 1", "frame.number"), [], "resets")


def lengths_and_acknowledgments(capture, family, server):
    """Of the SYNs to `server` their data's lengths, and what its SYN,ACKs acknowledge."""
    syns = capture.fields(f"{family}.dst == {server} && tcp.flags.syn == 1", "tcp.len")
    answers = capture.fields(f"{family}.src == {server} && tcp.flags.syn == 1", "tcp.ack")
    return [int(length) for length, in syns], [int(ack) for ack, in answers]


def fast_open_server(family, address):
    def test(lab):
        require_root()
        require_tools("dumpcap", "tshark")
        synfin, kernel = lab.synfin_and_kernel6()
        capture = Capture(kernel, "v1")
        server = lab.serve(synfin, "--mode", "echo", "--fast-open", 16,
                           address=f"{SYNFIN_ADDRESS6}/{PREFIX_LENGTH6}"
                           if family == "ipv6" else None)
        done = kernel.run(sys.executable, "-c", ECHO_BY_FAST_OPEN, address, "one", "two!", "three")
        expect_equal(done.stdout.split(), ["one", "two!", "three"], "what came back")
        counters = lab.finish(server)["tcp"]["server"]
        capture.finish()
        lengths, acknowledged = lengths_and_acknowledgments(capture, family, address)
        expect_equal(lengths, [0, 4, 5], "bytes on the SYNs")
        expect_equal(acknowledged, [1, 5, 6], "what the SYN,ACKs acknowledge")
        expect_equal(counters["TCPFastOpenPassive"], 2, "TCPFastOpenPassive")
    return test


def fast_open_client(family, source, address, prefix_length):
    def test(lab):
        require_root()
        require_tools("dumpcap", "tshark")
        synfin, kernel = lab.synfin_and_kernel6()
        kernel.run("sysctl", "-qw", "net.ipv4.tcp_fastopen=3")
        server = kernel.start("server", sys.executable, "-c", SERVE_BY_FAST_OPEN)
        server.wait_for_output("listening")
        capture = Capture(kernel, "v1")
        load = lab.load(synfin, "--mode", "request", "--early-data", "--connections", 3,
                        "--concurrency", 1, "--on-link", f"{address}/{prefix_length}",
                        source=source,
                        target=f"[{address}]:80" if family == "ipv6" else f"{address}:80")
        load.expect_success()
        counters = lab.result_of(load)["tcp"]["client"]
        capture.finish()
        lengths, acknowledged = lengths_and_acknowledgments(capture, family, address)
        expect_equal(lengths[0], 0, "bytes on the first SYN, which asks for a cookie")
        expect(lengths[1] > 0, "the second SYN brings the request")
        expect_equal(acknowledged, [length + 1 for length in lengths], "what is acknowledged")
        expect_equal(counters["TCPFastOpenActive"], 2, "TCPFastOpenActive")
        expect_equal(counters["TCPFastOpenActiveFail"], 0, "TCPFastOpenActiveFail")
    return test


for in_words, of_packets, ours, theirs, length_of_prefix in (
        ("IPv4", "ip", SYNFIN_ADDRESS, KERNEL_ADDRESS, PREFIX_LENGTH),
        ("IPv6", "ipv6", SYNFIN_ADDRESS6, KERNEL_ADDRESS6, PREFIX_LENGTH6)):
    case(f"Linux's data on the SYN is taken and answered over {in_words}")(
        fast_open_server(of_packets, ours))
    case(f"a request goes to Linux on the SYN over {in_words}")(
        fast_open_client(of_packets, ours, theirs, length_of_prefix))


if __name__ == "__main__":
    main()

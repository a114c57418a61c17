"""A judge that does not know us: what tshark says of everything that a clean run put on the wire."""

from collections import Counter

from harness import (KERNEL_ADDRESS, SYNFIN_ADDRESS, Capture, case, expect, expect_equal, main,
                     require_root, require_tools)
from nginx import Nginx

OURS = f"ip.src != {KERNEL_ADDRESS}"

# Each of these would be a flaw of ours or a loss, and a clean run over a cable has neither. The
# checksums that are judged are ours: those of the kernel's packets our own side has verified.
FLAWS = {
    "retransmissions": "tcp.analysis.retransmission || tcp.analysis.fast_retransmission || "
                       "tcp.analysis.spurious_retransmission",
    "segments out of order": "tcp.analysis.out_of_order",
    "lost or unseen segments": "tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment",
    "TCP checksums that are not good": f"{OURS} && tcp && !(tcp.checksum.status == 1)",
    "IPv4 checksums that are not good": f"{OURS} && ip && !(ip.checksum.status == 1)",
    "malformed packets": "_ws.malformed",
    "reused ports": "tcp.analysis.reused_ports",
    "resets": "tcp.flags.reset == 1",
    "full windows": "tcp.analysis.window_full && tcp.len == 0",
}

# tcp.completeness: SYN 1, SYN-ACK 2, ACK 4, data 8, FIN 16, RST 32.
HANDSHAKE_AND_FIN = 1 | 2 | 4 | 16
DATA = 8


def judge(capture, conversations, completeness, allowed=()):
    """Every packet is without flaw, every conversation complete, and there are so many of them."""
    flaws = {name: flaw for name, flaw in FLAWS.items() if name not in allowed}
    any_flaw = " || ".join(f"({flaw})" for flaw in flaws.values())
    if capture.fields(any_flaw, "frame.number"):
        found = {name: len(capture.fields(flaw, "frame.number")) for name, flaw in flaws.items()}
        examples = capture.fields(any_flaw, "frame.number", "tcp.stream", "_ws.col.Info")[:10]
        expect(False, f"tshark finds {({n: c for n, c in found.items() if c})}: {examples}")
    last_words = dict(capture.fields("tcp", "tcp.stream", "tcp.completeness"))
    expect_equal(len(last_words), conversations, "conversations")
    expect_equal(Counter(last_words.values()), Counter({str(completeness): conversations}),
                 "how complete they are")


def capture_of_a_clean_world(lab):
    require_root()
    require_tools("dumpcap", "tshark", "ip", "ethtool")
    synfin, kernel = lab.synfin_and_kernel()
    # A side that the machine leaves waiting for its turn is not to be taken for a loss: neither by
    # the kernel, which probes for a lost tail after two round trips, nor by us. What is really lost
    # still has to be sent again, and is seen.
    kernel.run("sysctl", "-qw", "net.ipv4.tcp_early_retrans=0")
    kernel.ip("route", "change", "198.18.0.0/15", "dev", "v1", "src", KERNEL_ADDRESS, "rto_min",
              "5s")
    return synfin, kernel, Capture(kernel, "v1")


PATIENT = ("--rto-min", "5s", "--rto-initial", "5s")


def served(body, connections, header=()):
    def test(lab):
        require_tools("curl")
        synfin, kernel, capture = capture_of_a_clean_world(lab)
        server = lab.serve(synfin, "--body", body, *PATIENT)
        for _ in range(connections):
            kernel.run("curl", "--silent", "--show-error", "--fail", *header, "--output",
                       "/dev/null", f"http://{SYNFIN_ADDRESS}/")
        result = lab.finish(server)
        expect_equal(result["server"]["accepted"], connections, "accepted")
        capture.finish()
        judge(capture, connections, HANDSHAKE_AND_FIN | DATA)
    return test


case("tshark finds no flaw where curl closes first")(served("1KB", 30))
case("tshark finds no flaw where synfin closes first")(
    served("1KB", 30, ("--header", "Connection: close")))
case("tshark finds no flaw in a transfer of 1 MB")(served("1MB", 3))


def loaded(connections, completeness, *arguments, allowed=()):
    def test(lab):
        require_tools("nginx")
        synfin, kernel, capture = capture_of_a_clean_world(lab)
        Nginx(lab, kernel)
        # So few at once that no queue of the kernel overflows: a loss would not be our flaw.
        load = lab.load(synfin, "--connections", connections, "--concurrency", 8, *arguments, *PATIENT)
        load.expect_success(timeout=120)
        capture.finish()
        judge(capture, connections, completeness, allowed)
    return test


case("tshark finds no flaw in 2,000 connections of the load generator")(
    loaded(2000, HANDSHAKE_AND_FIN, "--mode", "connect"))
case("tshark finds no flaw in 1,000 connections with three requests each")(
    loaded(1000, HANDSHAKE_AND_FIN | DATA, "--mode", "request", "--requests", 3))
# TIME_WAIT is then the other side's, so our port is free again and may be drawn again (RFC 6056).
case("tshark finds no flaw in 1,000 connections that nginx closes")(
    loaded(1000, HANDSHAKE_AND_FIN | DATA, "--mode", "request", "--first", "server",
           allowed=("reused ports",)))


@case("tshark finds nothing in our packets that it cannot explain")
def no_expert_warning(lab):
    """Everything that its expert calls a warning or an error, whatever it is."""
    require_tools("curl")
    synfin, kernel, capture = capture_of_a_clean_world(lab)
    server = lab.serve(synfin, "--body", "100KB", *PATIENT)
    for _ in range(10):
        kernel.run("curl", "--silent", "--show-error", "--fail", "--output", "/dev/null",
                   f"http://{SYNFIN_ADDRESS}/")
    lab.finish(server)
    capture.finish()
    severities = {"warning": 0x600000, "error": 0x800000}
    for name, severity in severities.items():
        found = capture.fields(f"ip.src == {SYNFIN_ADDRESS} && _ws.expert.severity == {severity}",
                               "frame.number", "_ws.expert.message")
        expect_equal(found, [], f"packets with an expert's {name}")


if __name__ == "__main__":
    main()

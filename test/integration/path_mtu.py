"""A path that takes less than the links at its ends: a router with a small MTU behind it, which says
so or is not heard, between synfin and Linux, over both families."""

from harness import (KERNEL_ADDRESS, KERNEL_ADDRESS6, PREFIX_LENGTH, PREFIX_LENGTH6, SYNFIN_ADDRESS,
                     SYNFIN_ADDRESS6, case, expect, expect_equal, http_body, main, require_root,
                     require_tools, sha256)

MEGABYTE = 1024 * 1024
LINK_MTU = 1500
NARROW_MTU = 1300
# Below what synfin makes of its segments: the router has to divide them.
TINY_MTU = 296
IPV6_MTU_MIN = 1280
FAR_ADDRESS = "203.0.113.2"
FAR_ADDRESS6 = "fd00:1::2"
ROUTER_FAR_ADDRESS = "203.0.113.1"
ROUTER_FAR_ADDRESS6 = "fd00:1::1"
# What a large segment that vanishes costs: three expiries of a timer that begins at 200 ms or, on a
# busy machine, later.
PATIENT = "120"

SILENCE = """
table inet silence {
    chain output {
        type filter hook output priority 0;
        ip protocol icmp icmp type destination-unreachable icmp code frag-needed counter drop
        icmpv6 type packet-too-big counter drop
    }
}
"""


def world(lab, silent, mtu):
    """synfin -- router == client: the link behind the router takes less."""
    require_root()
    require_tools("ip", "ethtool", "curl", "nft")
    synfin, router = lab.synfin_and_kernel6()
    client = lab.host("client")
    lab.link(router, "far0", client, "far1")
    router.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
               "net.ipv6.conf.far0.disable_ipv6=0", "net.ipv6.conf.v1.disable_ipv6=0",
               # A test wants every message, as fast as they come.
               "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
    client.run("sysctl", "-qw", "net.ipv6.conf.far1.disable_ipv6=0")
    for host, interface, address, address6 in (
            (router, "far0", ROUTER_FAR_ADDRESS, ROUTER_FAR_ADDRESS6),
            (client, "far1", FAR_ADDRESS, FAR_ADDRESS6)):
        host.ip("address", "add", f"{address}/24", "dev", interface)
        host.ip("address", "add", f"{address6}/64", "dev", interface, "nodad")
    # The client takes whatever comes; only the router's way to it is narrow.
    router.ip("link", "set", "far0", "mtu", mtu)
    client.ip("route", "add", "default", "via", ROUTER_FAR_ADDRESS)
    if mtu >= IPV6_MTU_MIN:
        client.ip("-6", "route", "add", "default", "via", ROUTER_FAR_ADDRESS6)
    if silent:
        router.nft(SILENCE)
    return synfin, router, client


def fetched(six, silent, mtu=NARROW_MTU):
    def test(lab):
        synfin, router, client = world(lab, silent, mtu)
        own, prefix_length, gateway, host = (
            (SYNFIN_ADDRESS6, PREFIX_LENGTH6, KERNEL_ADDRESS6, f"[{SYNFIN_ADDRESS6}]") if six else
            (SYNFIN_ADDRESS, PREFIX_LENGTH, KERNEL_ADDRESS, SYNFIN_ADDRESS))
        server = lab.serve(synfin, "--body", "10MB", "--gateway", gateway,
                           address=f"{own}/{prefix_length}")
        received = lab.folder / "body"
        for _ in range(2):
            client.run("curl", "--silent", "--show-error", "--fail", "--max-time", PATIENT,
                       "--output", received, f"http://{host}/", timeout=180)
            expect_equal(sha256(received.read_bytes()), sha256(http_body(10 * MEGABYTE)),
                         "SHA-256 of the body")
        result = lab.finish(server)
        expect_equal(result["server"]["accepted"], 2, "accepted connections")
        tcp = result["tcp"]["server"]
        if silent:
            expect(sum(router.packet_counts("inet", "silence")) > 0, "the router had something to say")
            expect_equal(tcp["TCPPathBlackHoles"], 1, "black holes found")
        else:
            expect_equal(tcp["TCPPathReductions"], 1, "words of the router that were followed")
            expect_equal(tcp.get("TCPPathBlackHoles", 0), 0, "black holes found")
    return test


case("what a router says of the size of IPv4 packets is followed")(fetched(False, False))
case("what a router says of the size of IPv6 packets is followed")(fetched(True, False))
case("a black hole for large IPv4 packets is found and left")(fetched(False, True))
case("a black hole for large IPv6 packets is found and left")(fetched(True, True))
case("a path below the smallest IPv4 packets divides them")(fetched(False, False, TINY_MTU))


@case("an echo reply that is too large for its path comes divided")
def pinged(lab):
    require_tools("ping")
    synfin, router, client = world(lab, False, LINK_MTU)
    # The question comes by the wide link, for an address on a narrow one.
    lab.link(router, "narrow0", client, "narrow1")
    router.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.far0.rp_filter=0",
               "net.ipv6.conf.narrow0.disable_ipv6=0")
    client.run("sysctl", "-qw", "net.ipv6.conf.narrow1.disable_ipv6=0")
    for host, interface, last in ((router, "narrow0", 1), (client, "narrow1", 2)):
        host.ip("address", "add", f"198.51.100.{last}/24", "dev", interface)
        host.ip("address", "add", f"fd00:2::{last}/64", "dev", interface, "nodad")
    router.ip("link", "set", "narrow0", "mtu", NARROW_MTU)
    for own, prefix_length, gateway, source in (
            (SYNFIN_ADDRESS, PREFIX_LENGTH, KERNEL_ADDRESS, "198.51.100.2"),
            (SYNFIN_ADDRESS6, PREFIX_LENGTH6, KERNEL_ADDRESS6, "fd00:2::2")):
        server = lab.serve(synfin, "--gateway", gateway, address=f"{own}/{prefix_length}")
        # Neighbors are found first: a router that has to ask keeps all three questions until then.
        client.run("ping", "-c", 1, "-W", 5, "-I", source, own)
        # The first answer is lost, and the router's word about it divides the others.
        ping = client.run("ping", "-c", 3, "-i", "0.3", "-W", 5, "-s", 1400, "-I", source, own,
                          check=False)
        expect(" 2 received" in ping.stdout, f"two echoes, not\n{ping.stdout}{ping.stderr}")
        lab.finish(server)


if __name__ == "__main__":
    main()

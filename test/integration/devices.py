"""Several devices in one run: each is a port of its own, and every worker polls them all."""

from harness import (KERNEL_ADDRESS, PREFIX_LENGTH, case, expect, expect_equal, http_body, main,
                     require_root, require_tools, wait_until, without_offloads)
from nginx import Nginx


@case("a server on two devices answers each network on its own")
def server_on_two_networks(lab):
    require_root()
    require_tools("curl", "ip", "ethtool")
    synfin = lab.host("synfin")
    networks = []
    for number in (0, 1):
        kernel = lab.host(f"kernel{number}")
        lab.link(synfin, f"v{number}", kernel, "eth0")
        kernel.ip("address", "add", f"198.18.{number}.2/24", "dev", "eth0")
        networks.append(kernel)
    server = lab.serve(synfin, "--dev", "af_packet:v1", "--address", "198.18.1.1/24", "--body",
                       "100KB", address="198.18.0.1/24")
    for number, kernel in enumerate(networks):
        body = kernel.run("curl", "--silent", "--show-error", "--fail", "--max-time", 50,
                          f"http://198.18.{number}.1/").stdout
        expect(body.encode() == http_body(100 * 1024), f"the body is intact in network {number}")
    result = lab.finish(server)
    expect_equal(result["server"]["accepted"], 2, "accepted")
    expect_equal(result["link"], "af_packet:v0 af_packet:v1", "link")


@case("a load over two devices sends from each what belongs to it")
def load_over_two_links(lab):
    require_root()
    require_tools("nginx", "ip", "ethtool")
    synfin, kernel = lab.host("synfin"), lab.host("kernel")
    kernel.ip("link", "add", "bridge0", "type", "bridge")
    for number in (0, 1):
        lab.link(synfin, f"v{number}", kernel, f"k{number}")
        kernel.ip("link", "set", f"k{number}", "master", "bridge0")
    without_offloads(kernel, "bridge0")
    kernel.ip("address", "add", f"{KERNEL_ADDRESS}/{PREFIX_LENGTH}", "dev", "bridge0")
    kernel.ip("link", "set", "bridge0", "up")
    kernel.nft("""
        table netdev count {
            chain k0 {
                type filter hook ingress device k0 priority 0;
                ip saddr 198.18.1.0/24 tcp flags syn counter
                ip saddr 198.18.2.0/24 tcp flags syn counter
            }
            chain k1 {
                type filter hook ingress device k1 priority 0;
                ip saddr 198.18.1.0/24 tcp flags syn counter
                ip saddr 198.18.2.0/24 tcp flags syn counter
            }
        }
        """)
    nginx = Nginx(lab, kernel)
    load = lab.load(synfin, "--dev", "af_packet:v1", "--source", "198.18.2.0/24", "--mode",
                    "request", "--connections", 2000, "--concurrency", 16)
    load.expect_success(timeout=120)
    result = lab.result_of(load)
    expect_equal(result["connections"]["closed"], 2000, "closed")
    wait_until(lambda: nginx.accepted() >= 2000, "nginx has accepted them all")
    counted = kernel.packet_counts("netdev", "count")
    expect(counted[0] >= 900 and counted[3] >= 900, f"each device has its half of {counted}")
    expect_equal(counted[1] + counted[2], 0, "SYNs that left by the other device")


if __name__ == "__main__":
    main()

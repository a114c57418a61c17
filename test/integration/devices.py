"""Several devices in one run: each is a port of its own, and every worker polls them all."""

import struct

from harness import (KERNEL_ADDRESS, PREFIX_LENGTH, SYNFIN_ADDRESS, case, expect, expect_equal,
                     first_core, http_body, last_core, main, require_root, require_tools,
                     wait_until, without_offloads)
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


@case("requests across virtio, between vhost and virtio_user, are answered")
def virtio(lab):
    # No namespace: the link is shared memory.
    socket = lab.folder / "vhost.sock"
    server = lab.serve(None, "--cores", first_core(), "--body", "100", device=f"vhost:{socket}")
    load = lab.load(None, "--cores", last_core(), "--mode", "request", "--connections", 2000,
                    "--concurrency", 32, device=f"virtio_user:{socket}",
                    target=f"{SYNFIN_ADDRESS}:80")
    load.expect_success(timeout=120)
    result = lab.result_of(load)
    expect_equal(result["connections"]["closed"], 2000, "closed")
    expect_equal(result["requests"]["answered"], 2000, "answers")
    expect_equal(lab.finish(server)["server"]["accepted"], 2000, "accepted")


def write_syns(path, ports):
    """A capture of SYNs from 198.18.1.1, which has the Ethernet address 02:00:00:00:00:02."""
    def internet_checksum(data):
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        while total >> 16:
            total = (total & 0xffff) + (total >> 16)
        return ~total & 0xffff

    addresses = bytes([198, 18, 1, 1, 198, 18, 0, 1])
    capture = struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1)
    for port in ports:
        tcp = struct.pack("!HHIIBBHHH", port, 80, 1000, 0, 5 << 4, 2, 65535, 0, 0)
        checksum = internet_checksum(addresses + struct.pack("!HH", 6, len(tcp)) + tcp)
        tcp = tcp[:16] + struct.pack("!H", checksum) + tcp[18:]
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 40, 1, 0x4000, 64, 6, 0) + addresses
        ip = ip[:10] + struct.pack("!H", internet_checksum(ip)) + ip[12:]
        frame = bytes.fromhex("020000000001" "020000000002" "0800") + ip + tcp
        capture += struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame
    path.write_bytes(capture)


@case("the SYNs of a capture are answered into another")
def capture_files(lab):
    require_tools("tshark")
    ports = [4000, 4001, 4002]
    before, after = lab.folder / "in.pcap", lab.folder / "out.pcap"
    write_syns(before, ports)
    server = lab.serve(None, "--mac", "02:00:00:00:00:01", "--neighbor",
                       "198.18.1.1=02:00:00:00:00:02", "--grace", "100ms",
                       device=f"pcap:{before},{after}")
    half_open = ("ss", "--state", "SYN-RECV")
    wait_until(lambda: len(lab.synfin(*half_open).stdout.splitlines()) == 1 + len(ports),
               "all SYNs have been read")
    lab.finish(server)
    read = lab.run("tshark", "-n", "-r", after, "-Y", "tcp.flags == 0x12", "-T", "fields",
                       "-e", "tcp.dstport", "-e", "tcp.ack_raw").stdout
    answered = {tuple(int(field) for field in line.split()) for line in read.splitlines()}
    expect_equal(answered, {(port, 1001) for port in ports}, "ports and acknowledgments")


if __name__ == "__main__":
    main()

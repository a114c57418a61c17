"""A VLAN against an interface of Linux in it: tagged both ways, over both families."""

import sys

from harness import (KERNEL_ADDRESS, KERNEL_ADDRESS6, PREFIX_LENGTH, PREFIX_LENGTH6, SYNFIN_ADDRESS,
                     SYNFIN_ADDRESS6, case, expect_equal, main, require_root, require_tools,
                     without_offloads)

VLAN = 100

SWITCH = """
import fcntl, os, select, socket, struct, sys
name, tap_name, vlan = sys.argv[1], sys.argv[2], int(sys.argv[3])
ETH_P_ALL, SOL_PACKET, PACKET_AUXDATA, VLAN_VALID = 3, 263, 8, 0x10
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454ca, 2, 0x1000
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
link.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
link.bind((name, ETH_P_ALL))
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH", tap_name.encode(), IFF_TAP | IFF_NO_PI))
print("switching", flush=True)
while True:
    for ready in select.select([link, tap], [], [])[0]:
        if ready is tap:
            frame = os.read(tap, 65536)
            link.send(frame[:12] + struct.pack("!HH", 0x8100, vlan) + frame[12:])
            continue
        frame, auxiliary, _, address = link.recvmsg(65536, 256)
        if address[2] == socket.PACKET_OUTGOING or not auxiliary:
            continue
        # The kernel has taken the tag off and tells of it.
        status, _, _, _, _, tag, _ = struct.unpack("IIIHHHH", auxiliary[0][2])
        if status & VLAN_VALID and tag & 0xfff == vlan:
            try:
                os.write(tap, frame)
            except OSError:
                pass  # not up yet
"""


def make_interface(lab, kernel):
    """An interface in the VLAN over v1: the kernel's own, or where it has none, a tap behind a
    switch of ours that puts on and takes off tags."""
    made = kernel.run("ip", "link", "add", "link", "v1", "name", "tagged", "type", "vlan", "id",
                      VLAN, check=False)
    if made.returncode == 0:
        return
    switch = kernel.start("switch", sys.executable, "-c", SWITCH, "v1", "tagged", VLAN)
    switch.wait_for_output("switching")


def world(lab):
    require_root()
    require_tools("ip", "ethtool", "curl")
    synfin, kernel = lab.synfin_and_kernel6()
    kernel.ip("address", "flush", "dev", "v1")
    kernel.ip("link", "set", "v1", "promisc", "on")
    make_interface(lab, kernel)
    kernel.run("sysctl", "-qw", "net.ipv6.conf.tagged.disable_ipv6=0")
    without_offloads(kernel, "tagged")
    kernel.ip("address", "add", f"{KERNEL_ADDRESS}/{PREFIX_LENGTH}", "dev", "tagged")
    kernel.ip("address", "add", f"{KERNEL_ADDRESS6}/{PREFIX_LENGTH6}", "dev", "tagged", "nodad")
    kernel.ip("link", "set", "tagged", "up")
    return synfin, kernel


def fetched(host, address, prefix_length):
    def test(lab):
        synfin, kernel = world(lab)
        server = lab.serve(synfin, "--vlan", VLAN, "--body", "100KB",
                           address=f"{address}/{prefix_length}")
        kernel.run("curl", "--silent", "--show-error", "--fail", "--max-time", 50, "--output",
                   "/dev/null", f"http://{host}/")
        expect_equal(lab.finish(server)["server"]["accepted"], 1, "accepted connections")
    return test


case("curl on a VLAN interface is served over IPv4")(
    fetched(SYNFIN_ADDRESS, SYNFIN_ADDRESS, PREFIX_LENGTH))
case("curl on a VLAN interface is served over IPv6")(
    fetched(f"[{SYNFIN_ADDRESS6}]", SYNFIN_ADDRESS6, PREFIX_LENGTH6))

if __name__ == "__main__":
    main()

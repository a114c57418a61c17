"""IPv6 against Linux: neighbor discovery both ways, ping, curl, nginx, and what ss shows."""

import json
import re

from harness import (KERNEL_ADDRESS6, NO_LEAKS, PREFIX_LENGTH, PREFIX_LENGTH6, SYNFIN_ADDRESS,
                     SYNFIN_ADDRESS6, Wire, case, expect, expect_equal, http_body, main,
                     require_root, require_tools, sha256, wait_until)
from nginx import Nginx

MEGABYTE = 1024 * 1024


def world(lab):
    require_root()
    require_tools("ip", "ethtool")
    return lab.synfin_and_kernel6()


def serve(lab, host, *arguments):
    return lab.serve(host, *arguments, address=f"{SYNFIN_ADDRESS6}/{PREFIX_LENGTH6}")


@case("Linux finds our Ethernet address by neighbor discovery, and ping is answered")
def ping(lab):
    require_tools("ping")
    synfin, kernel = world(lab)
    serve(lab, synfin)
    kernel.run("ping", "-6", "-c", 3, "-i", "0.2", "-W", 10, SYNFIN_ADDRESS6)
    neighbor = kernel.ip("-6", "neighbor", "show", SYNFIN_ADDRESS6, "dev", "v1").stdout
    own = re.search(r"link/ether (\S+)", synfin.ip("link", "show", "v0").stdout).group(1)
    expect(own in neighbor, f"the kernel knows {neighbor!r}, but we are at {own}")


@case("a bridge that watches multicast lets neighbors find us")
def watched_multicast(lab):
    require_root()
    require_tools("ip", "ethtool", "ping")
    # Times in hundredths of a second: the bridge asks who listens, and then hands on only that.
    bridge = Wire(lab, "mcast_snooping", "1", "mcast_querier", "1", "mcast_query_interval", "100",
                  "mcast_query_response_interval", "50", "mcast_startup_query_interval", "100")
    synfin, kernel = lab.synfin_and_kernel6(bridge)
    bridge.host.run("sysctl", "-qw", "net.ipv6.conf.bridge0.disable_ipv6=0",
                    "net.ipv6.conf.bridge0.accept_dad=0")
    bridge.host.ip("address", "add", "fe80::b/64", "dev", "bridge0", "nodad")

    def received():
        link = json.loads(synfin.ip("-json", "-statistics", "link", "show", "v0").stdout)[0]
        return link["stats64"]["rx"]["packets"]

    def keeps_back_what_nobody_wants():
        before = received()
        kernel.run("ping", "-6", "-c", 1, "-W", "0.1", "ff02::1:ffaa:aaaa%v1", check=False)
        return received() == before

    wait_until(keeps_back_what_nobody_wants, "the bridge to hand on only what is listened to")
    server = serve(lab, synfin)
    kernel.run("ping", "-6", "-c", 3, "-i", "0.2", "-W", 10, SYNFIN_ADDRESS6)
    expect_equal(lab.finish(server)["leaks"], NO_LEAKS, "leaks")


def downloaded(size, count):
    def test(lab):
        require_tools("curl")
        synfin, kernel = world(lab)
        server = serve(lab, synfin, "--body", size)
        received = lab.folder / "body"
        done = kernel.run("curl", "--silent", "--show-error", "--max-time", 50, "--output", received,
                          "--write-out", "%{http_code} %{size_download}",
                          f"http://[{SYNFIN_ADDRESS6}]/")
        expect_equal(done.stdout, f"200 {count}", "status and size")
        expect_equal(sha256(received.read_bytes()), sha256(http_body(count)), "SHA-256 of the body")
        result = lab.finish(server)
        expect_equal(result["server"]["accepted"], 1, "accepted connections")
        expect_equal(result["leaks"], NO_LEAKS, "leaks")
    return test


case("curl gets 1 KB intact over IPv6")(downloaded("1KB", 1024))
case("curl gets 10 MB intact over IPv6")(downloaded("10MB", 10 * MEGABYTE))


@case("one server answers curl over both families")
def both_families(lab):
    require_tools("curl")
    synfin, kernel = world(lab)
    server = serve(lab, synfin, "--address", f"{SYNFIN_ADDRESS}/15")
    for host in (f"[{SYNFIN_ADDRESS6}]", SYNFIN_ADDRESS):
        kernel.run("curl", "--silent", "--show-error", "--fail", "--output", "/dev/null",
                   f"http://{host}/")
    expect_equal(lab.finish(server)["server"]["accepted"], 2, "accepted connections")


@case("a closed port answers with a reset over IPv6")
def closed_port(lab):
    require_tools("curl")
    synfin, kernel = world(lab)
    serve(lab, synfin)
    refused = kernel.run("curl", "--silent", f"http://[{SYNFIN_ADDRESS6}]:81/", check=False)
    expect_equal(refused.returncode, 7, "curl's code for a refused connection")


@case("a block of source addresses finds nginx by neighbor discovery, and is found")
def block_of_sources(lab):
    require_tools("nginx")
    synfin, kernel = world(lab)
    nginx = Nginx(lab, kernel)
    load = lab.load(synfin, "--mode", "request", "--connections", 2000, "--concurrency", 50,
                    "--on-link", "fd00::/64",
                    source="fd00::1:0/118",
                    target=f"[{KERNEL_ADDRESS6}]:80")
    load.expect_success(timeout=120)
    result = lab.result_of(load)
    expect_equal(result["connections"]["closed"], 2000, "closed")
    expect_equal(result["requests"]["answered"], 2000, "answers")
    expect_equal(result["leaks"], NO_LEAKS, "leaks")
    expect_equal(nginx.accepted(), 2000, "connections by nginx's count")


@case("ss shows IPv6 connections and those in TIME_WAIT")
def shown_by_ss(lab):
    require_tools("nc")
    synfin, kernel = world(lab)
    serve(lab, synfin, "--mode", "echo")
    process = kernel.start("nc", "nc", "-6", SYNFIN_ADDRESS6, "80", stdin=-1)
    process.stdin.write(b"hello\n")
    process.stdin.flush()
    process.wait_for_output("hello")
    shown = lab.synfin("ss").stdout
    expect(f"[{SYNFIN_ADDRESS6}]:80" in shown and f"[{KERNEL_ADDRESS6}]:" in shown,
           f"the addresses are in {shown}")


def refused(own, prefix_length, *options):
    def test(lab):
        synfin, kernel = world(lab)
        kernel.ip("address", "add", f"{own}/32" if ":" not in own else f"{own}/{prefix_length}",
                  "dev", "v1", *options)
        server = lab.serve(synfin, address=f"{own}/{prefix_length}")
        expect_equal(server.wait(), 1, "exit code")
        other = re.search(r"link/ether (\S+)", kernel.ip("link", "show", "v1").stdout).group(1)
        expect(f"{own} is also the address of another host on the link, {other}"
               in server.errors, f"the conflict is named in {server.errors!r}")
    return test


case("an IPv6 address that Linux has already is refused with a word at the start")(
    refused(SYNFIN_ADDRESS6, PREFIX_LENGTH6, "nodad"))
case("an IPv4 address that Linux has already is refused with a word at the start")(
    refused(SYNFIN_ADDRESS, PREFIX_LENGTH))


@case("both sides of pair speak IPv6")
def pair(lab):
    done = lab.synfin("pair", "--ipv6", "--connections", 20000, "--huge", "off")
    expect_equal(done.returncode, 0, "exit code")


if __name__ == "__main__":
    main()

"""ping of Linux, over both families: whole packets, and echoes in fragments."""

from harness import (PREFIX_LENGTH6, SYNFIN_ADDRESS, SYNFIN_ADDRESS6, case, expect, main,
                     require_root, require_tools)


def expect_echoes(kernel, option, address, size):
    # One after the other: on a busy machine two large ones at once are more than is kept of replies.
    # ping compares what comes back, byte by byte, and says so if it differs.
    for _ in range(3):
        done = kernel.run("ping", option, "-c", 1, "-W", 10, "-s", size, address)
        expect("1 received" in done.stdout and "wrong data" not in done.stdout
               and f"{size + 8} bytes from {address}" in done.stdout,
               f"an echo of {size + 8} bytes, not\n{done.stdout}")


def answered4(size):
    """By a tap: behind af_packet Linux itself puts IPv4 fragments together."""
    def test(lab):
        require_root()
        require_tools("ip", "ethtool", "ping")
        kernel = lab.host("kernel")
        lab.serve_by_tap(kernel)
        expect_echoes(kernel, "-4", SYNFIN_ADDRESS, size)
    return test


def answered6(size):
    def test(lab):
        require_root()
        require_tools("ip", "ethtool", "ping")
        synfin, kernel = lab.synfin_and_kernel6()
        lab.serve(synfin, address=f"{SYNFIN_ADDRESS6}/{PREFIX_LENGTH6}")
        expect_echoes(kernel, "-6", SYNFIN_ADDRESS6, size)
    return test


for payload in (56, 3000, 65507):
    case(f"ping with {payload} bytes is answered over IPv4")(answered4(payload))
for payload in (56, 3000, 65527):
    case(f"ping with {payload} bytes is answered over IPv6")(answered6(payload))


if __name__ == "__main__":
    main()

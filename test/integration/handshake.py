"""How synfin serve takes connections of Linux while it is flooded: with SYN cookies."""

from harness import (SYNFIN_ADDRESS, Capture, case, expect, expect_equal, main, require_root,
                     require_tools)


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


if __name__ == "__main__":
    main()

"""synfin serve against Linux's own clients: curl for what arrives, wrk for many connections."""

import json
import time

from harness import (SYNFIN_ADDRESS, case, expect, expect_equal, http_body, main, require_root,
                     require_tools, sha256)

# What it is called, how it is asked for, and how many bytes that is.
SIZES = (("0 B", "0", 0), ("1 B", "1", 1), ("1 KB", "1KB", 1024), ("10 MB", "10MB", 10 * 1024**2))

# How wrk says what it saw; its own text leaves out what is zero.
WRK_SUMMARY = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('SUMMARY {"requests":%d,"connect":%d,"read":%d,"write":%d,' ..
    '"status":%d,"timeout":%d}\\n', summary.requests, e.connect, e.read, e.write, e.status,
    e.timeout))
end
"""


def start_server(lab, kind, *arguments):
    """synfin serve on a device of this kind, and the host whose kernel it serves."""
    if kind != "tap":
        synfin, kernel = lab.synfin_and_kernel()
        return lab.serve(synfin, *arguments, device=f"{kind}:v0"), kernel
    kernel = lab.host("kernel")
    return lab.serve_by_tap(kernel, *arguments), kernel


def answers_curl(kind, size, bytes_):
    def test(lab):
        require_root()
        require_tools("curl", "ip", "ethtool")
        server, kernel = start_server(lab, kind, "--body", size)
        received = lab.folder / "body"
        done = kernel.run("curl", "--silent", "--show-error", "--max-time", 50, "--output", received,
                          "--write-out", "%{http_code} %{size_download}",
                          f"http://{SYNFIN_ADDRESS}/")
        expect_equal(done.stdout, f"200 {bytes_}", "status and size")
        body = received.read_bytes() if received.exists() else b""
        expect_equal(sha256(body), sha256(http_body(bytes_)), "SHA-256 of the body")
        result = lab.finish(server)
        expect_equal(result["server"]["accepted"], 1, "accepted connections")
        expect_equal(result["server"]["requests"], 1, "requests")
    return test


def answers_wrk(kind, close):
    def test(lab):
        require_root()
        require_tools("wrk", "ip", "ethtool")
        server, kernel = start_server(lab, kind, "--body", "128")
        script = lab.folder / "summary.lua"
        script.write_text(WRK_SUMMARY)
        header = ["--header", "Connection: close"] if close else []
        requests = 0
        deadline = time.monotonic() + 120
        while requests < 10_000:
            expect(time.monotonic() < deadline, f"only {requests} requests in 120 s")
            done = kernel.run("wrk", "--threads", 1, "--connections", 50, "--duration", "2s",
                              "--timeout", "30s", "--script", script, *header,
                              f"http://{SYNFIN_ADDRESS}/")
            line = next(line for line in done.stdout.splitlines() if "SUMMARY" in line)
            summary = json.loads(line.removeprefix("SUMMARY "))
            requests += summary.pop("requests")
            expect_equal(summary, dict.fromkeys(summary, 0), "wrk's errors")
        result = lab.finish(server)
        # wrk leaves in the middle of its last requests, so the server may have seen a few more.
        expect(result["server"]["requests"] >= requests,
               f"wrk has {requests} answers, the server gave {result['server']['requests']}")
        if close:
            expect(result["server"]["accepted"] >= requests,
                   f"{requests} requests, each on a connection of its own, but "
                   f"{result['server']['accepted']} accepted")
        expect_equal(result["server"]["failed"] + result["server"]["timed_out"], 0, "failures")
    return test


for device in ("af_packet", "af_xdp", "tap"):
    for human, text, count in SIZES:
        case(f"{device} answers curl with {human} intact")(answers_curl(device, text, count))
    case(f"{device} answers 10,000 requests of wrk")(answers_wrk(device, False))
    case(f"{device} answers 10,000 connections of wrk")(answers_wrk(device, True))

if __name__ == "__main__":
    main()

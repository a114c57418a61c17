"""synfin load against nginx, whose count of accepted connections must be ours."""

from harness import case, expect, expect_equal, main, require_root, require_tools, wait_until
from nginx import Nginx


def load_against_nginx(lab, *arguments):
    """The result of a clean run, after nginx has counted as many connections as we have opened."""
    require_root()
    require_tools("nginx", "ip", "ethtool")
    synfin, kernel = lab.synfin_and_kernel()
    nginx = Nginx(lab, kernel)
    load = lab.load(synfin, *arguments)
    load.expect_success(timeout=120)
    result = lab.result_of(load)
    opened = result["connections"]["opened"]
    wait_until(lambda: nginx.accepted() >= opened, f"nginx has accepted {opened} connections")
    expect_equal(nginx.accepted(), opened, "connections by nginx's count")
    for trouble in ("failed", "reset", "timed_out", "abandoned", "violations", "unreachable"):
        expect_equal(result["connections"][trouble], 0, trouble)
    expect_equal(result["connections"]["established"], opened, "established")
    expect_equal(result["connections"]["closed"], opened, "closed")
    return result


@case("nginx counts as many connections as were opened at 20,000 a second for 10 seconds")
def connect_at_rate(lab):
    # What a busy machine cannot open in time is missed, not failed; nothing that began may fail.
    result = load_against_nginx(lab, "--mode", "connect", "--rate", "20k", "--duration", "10s",
                                "--concurrency", "1000")
    started = result["connections"]["opened"] + result["connections"]["missed"]
    expect(0.95 * 200_000 <= started <= 1.05 * 200_000, f"{started} starts at 20,000/s for 10 s")


@case("nginx answers a request on each of 20,000 connections")
def one_request_each(lab):
    result = load_against_nginx(lab, "--mode", "request", "--connections", "20000",
                                "--concurrency", "64")
    expect_equal(result["connections"]["opened"], 20_000, "opened")
    expect_equal(result["requests"]["answered"], 20_000, "answers")
    expect_equal(result["requests"]["body_bytes"], 20_000 * len(Nginx.BODY), "bytes of bodies")


@case("nginx answers 100 requests on each of 200 connections")
def many_requests_each(lab):
    result = load_against_nginx(lab, "--mode", "request", "--requests", "100", "--connections",
                                "200", "--concurrency", "32")
    expect_equal(result["requests"]["answered"], 20_000, "answers")


@case("nginx closes first on each of 10,000 connections")
def server_closes_first(lab):
    result = load_against_nginx(lab, "--mode", "request", "--first", "server", "--connections",
                                "10000", "--concurrency", "64")
    expect_equal(result["requests"]["answered"], 10_000, "answers")
    expect_equal(result["time_wait"]["client"], 0, "connections in TIME_WAIT at our side")


if __name__ == "__main__":
    main()

"""synfin pair, as a user without any privilege runs it: what it writes, and that it adds up."""

from harness import NO_LEAKS, case, expect, expect_equal, main

LATENCY = {"p50", "p90", "p99", "p999", "max"}

# What is promised; a report may have more.
NAMES = {
    "": {"tool", "version", "mode", "link", "seconds", "connections", "packets", "latency_us",
         "cycles_per_connection", "stalls", "leaks", "tcp"},
    "connections": {"opened", "established", "closed", "failed", "reset", "timed_out",
                    "per_second"},
    "packets": {"client_tx", "client_rx", "server_tx", "server_rx", "per_connection"},
    "latency_us": {"handshake", "first_byte", "close"},
    "latency_us.handshake": LATENCY,
    "latency_us.first_byte": LATENCY,
    "latency_us.close": LATENCY,
    "cycles_per_connection": {"client", "server"},
    "stalls": {"client", "server"},
    "stalls.client": {"count", "us", "longest_us", "share"},
    "leaks": {"connections", "buffers", "timers"},
    "tcp": {"client", "server"},
}

# RFC 4022, section 3: the counters that do not depend on a particular connection.
RFC_4022 = {"ActiveOpens", "PassiveOpens", "AttemptFails", "EstabResets", "CurrEstab", "InSegs",
            "OutSegs", "RetransSegs", "InErrs", "OutRsts"}


def run_pair(lab, *arguments):
    """The result of a run without privileges and without huge pages, whose sums must be right."""
    user = lab.as_nobody()
    file = user["cwd"] / "pair.json"
    pair = lab.start_here("pair", lab.synfin_for_everyone(), "pair", "--huge", "off", *arguments,
                          "--json", file, **user)
    pair.result = file
    pair.expect_success()
    expect_equal(pair.errors, "", "stderr")
    result = lab.result_of(pair)
    connections = result["connections"]
    expect(connections["opened"] > 0, "connections were opened")
    for number in ("established", "closed"):
        expect_equal(connections[number], connections["opened"], number)
    for number in ("failed", "reset", "timed_out"):
        expect_equal(connections[number], 0, number)
    expect_equal(result["leaks"], NO_LEAKS, "leaks")
    expect_equal(result["tcp"]["client"]["ActiveOpens"], connections["opened"], "ActiveOpens")
    expect_equal(result["tcp"]["server"]["PassiveOpens"], connections["opened"], "PassiveOpens")
    return result


def at(result, path):
    for name in path.split(".") if path else []:
        result = result[name]
    return result


@case("the result has the names that are promised, each with a number where one belongs")
def names(lab):
    result = run_pair(lab, "--seconds", 2)
    for path, promised in NAMES.items():
        missing = promised - at(result, path).keys()
        expect_equal(missing, set(), f"names missing in '{path}'")
    for path in ("connections", "packets", "latency_us.handshake", "latency_us.close",
                 "cycles_per_connection", "stalls.client", "leaks"):
        for name in NAMES[path]:
            value = at(result, path)[name]
            expect(isinstance(value, (int, float)) and not isinstance(value, bool),
                   f"{path}.{name} is {value!r}, no number")
    for side in ("client", "server"):
        missing = RFC_4022 - result["tcp"][side].keys()
        expect_equal(missing, set(), f"counters of RFC 4022 missing for the {side}")
    expect_equal((result["tool"], result["mode"], result["link"]),
                 ("synfin pair", "connect", "ring"), "tool, mode, link")


@case("a run of two seconds takes two seconds and counts itself right")
def sums(lab):
    result = run_pair(lab, "--seconds", 2)
    expect(1.9 <= result["seconds"] < 20.0, f"it took {result['seconds']} s")
    rate = result["connections"]["closed"] / result["seconds"]
    expect(abs(result["connections"]["per_second"] - rate) <= 0.01 * rate, "per_second")
    packets = result["packets"]
    # Nothing is lost on a link in memory, but the run may end with the last packets on it.
    expect_equal(packets["client_tx"], packets["server_rx"], "packets to the server")
    expect_equal(packets["server_tx"], packets["client_rx"], "packets to the client")
    for stage in ("handshake", "close"):
        steps = [result["latency_us"][stage][p] for p in ("p50", "p90", "p99", "p999", "max")]
        expect(steps == sorted(steps) and steps[0] > 0, f"percentiles of {stage}: {steps}")
    expect_equal(result["time_wait"]["server"], 0, "TIME_WAIT at the side that closes last")
    expect_equal(result["time_wait"]["client"], result["connections"]["closed"],
                 "TIME_WAIT, kept for real at the side that closes first")


@case("mode request: each connection has one answer")
def request(lab):
    result = run_pair(lab, "--connections", 20_000, "--mode", "request", "--body", 500)
    expect_equal(result["mode"], "request", "mode")
    expect_equal(result["connections"]["opened"], 20_000, "opened")
    expect_equal(result["requests"]["answered"], 20_000, "answers")
    expect_equal(result["requests"]["body_bytes"], 20_000 * 500, "bytes of bodies")
    expect(result["latency_us"]["first_byte"]["p50"] > 0, "time to the first byte")


@case("requests=10: each connection has ten answers")
def requests(lab):
    result = run_pair(lab, "--connections", 2_000, "--mode", "request", "--requests", 10)
    expect_equal(result["mode"], "requests=10", "mode")
    expect_equal(result["requests"]["answered"], 20_000, "answers")


@case("first server: TIME_WAIT is at the server")
def server_first(lab):
    result = run_pair(lab, "--connections", 20_000, "--first", "server")
    expect_equal(result["time_wait"]["client"], 0, "TIME_WAIT at the client")
    # The client, which remembers nothing, may choose the same ports again: then the new connection
    # takes the place of the old one's TIME_WAIT (RFC 6191).
    expect(19_000 <= result["time_wait"]["server"] <= 20_000, "TIME_WAIT at the server")


@case("close rst: no side keeps TIME_WAIT")
def close_by_reset(lab):
    result = run_pair(lab, "--connections", 20_000, "--close", "rst")
    expect_equal(result["server"]["reset"], 20_000, "resets that the server saw")
    expect_equal(result["time_wait"], {"client": 0, "server": 0}, "TIME_WAIT")
    expect(result["tcp"]["client"]["OutRsts"] >= 20_000, "resets that the client sent")


@case("close rst, first server: the server resets")
def server_closes_by_reset(lab):
    result = run_pair(lab, "--connections", 20_000, "--close", "rst", "--first", "server")
    expect_equal(result["time_wait"], {"client": 0, "server": 0}, "TIME_WAIT")


@case("an open loop opens at the rate that it is given")
def rate(lab):
    result = run_pair(lab, "--seconds", 2, "--rate", "2k")
    begun = result["connections"]["opened"] + result["connections"]["missed"]
    expect(3_800 <= begun <= 4_200, f"{begun} connections in 2 s at 2,000/s")


@case("what stands in a file has the same effect as on the command line")
def configuration(lab):
    file = lab.folder / "pair.toml"
    file.write_text('mode = "request"\nconnections = 1000\nrequests = 3\n')
    result = run_pair(lab, "--config", file)
    expect_equal(result["mode"], "requests=3", "mode")
    expect_equal(result["connections"]["opened"], 1000, "opened")


if __name__ == "__main__":
    main()

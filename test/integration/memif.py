"""synfin load against synfin serve: two processes that share memory and nothing else."""

from harness import NO_LEAKS, SYNFIN_ADDRESS, case, expect_equal, first_core, last_core, main


def ours(socket, role):
    return f"memif:{socket},role={role}"


def drivers(socket, role):
    """The same for DPDK's driver alone: as one of its virtual devices, of which we know nothing."""
    return f"vdev:net_memif0,role={role},socket={socket},socket-abstract=no"


def conversation(lab, serve_arguments, load_arguments, serve_device=ours, load_device=ours):
    """The results of a server and of a client across a memif; both must find their run clean."""
    # No namespace: a memif has no way out to any network, and needs no privilege.
    socket = lab.folder / "memif.sock"
    server = lab.serve(None, "--cores", first_core(), *serve_arguments,
                       device=serve_device(socket, "server"))
    client = lab.load(None, "--cores", last_core(), *load_arguments,
                      device=load_device(socket, "client"), target=f"{SYNFIN_ADDRESS}:80")
    client.expect_success(timeout=120)
    return lab.finish(server), lab.result_of(client)


def expect_agreement(served, loaded, count):
    expect_equal(loaded["connections"]["opened"], count, "opened")
    expect_equal(loaded["connections"]["closed"], count, "closed")
    expect_equal(served["server"]["accepted"], count, "accepted")
    expect_equal(served["server"]["closed"], count, "closed by the server")
    for result in (served, loaded):
        expect_equal(result["leaks"], NO_LEAKS, "leaks")


def expect_mover(result, mover):
    moved = [note for note in result["notes"] if note.startswith("memif: ")]
    expect_equal(moved, [f"memif: frames were moved {mover} DPDK's driver"], "who moved the frames")


@case("20,000 connections across memif go through their whole lives")
def connect(lab):
    served, loaded = conversation(lab, ("--mode", "discard"),
                                  ("--connections", "20000", "--concurrency", "128"))
    expect_agreement(served, loaded, 20_000)
    for result in (served, loaded):
        expect_mover(result, "without")


@case("20,000 requests across memif are answered, each on its own connection")
def request(lab):
    served, loaded = conversation(
        lab, ("--body", "100"),
        ("--mode", "request", "--connections", "20000", "--concurrency", "128"))
    expect_agreement(served, loaded, 20_000)
    expect_equal(served["server"]["requests"], 20_000, "requests that the server saw")
    expect_equal(loaded["requests"]["answered"], 20_000, "answers")
    expect_equal(loaded["requests"]["body_bytes"], 2_000_000, "bytes of bodies")


@case("bodies of 1 MB across memif arrive whole")
def large_bodies(lab):
    served, loaded = conversation(
        lab, ("--body", "1MB"),
        ("--mode", "request", "--requests", "5", "--connections", "20", "--concurrency", "4"))
    expect_agreement(served, loaded, 20)
    expect_equal(loaded["requests"]["body_bytes"], 100 * 1024 * 1024, "bytes of bodies")


@case("the server closes first on 10,000 connections across memif")
def server_first(lab):
    served, loaded = conversation(lab, ("--mode", "close"),
                                  ("--first", "server", "--connections", "10000",
                                   "--concurrency", "128"))
    expect_agreement(served, loaded, 10_000)


def with_a_driver(serve_device, load_device):
    """Either side may be one that leaves its frames to DPDK's driver."""
    def test(lab):
        served, loaded = conversation(
            lab, ("--body", "10KB"),
            ("--mode", "request", "--requests", "2", "--connections", "5000",
             "--concurrency", "64"), serve_device, load_device)
        expect_agreement(served, loaded, 5_000)
        expect_equal(loaded["requests"]["answered"], 10_000, "answers")
    return test


case("a client that leaves memif's frames to the driver is served")(with_a_driver(ours, drivers))
case("a server that leaves memif's frames to the driver answers")(with_a_driver(drivers, ours))


@case("a server across memif serves one client after the other")
def one_after_the_other(lab):
    socket = lab.folder / "memif.sock"
    server = lab.serve(None, "--cores", first_core(), "--mode", "discard",
                       device=ours(socket, "server"))
    for _ in range(3):
        # Always the same address, so that the server need not learn who its neighbors are now.
        client = lab.load(None, "--cores", last_core(), "--mac", "02:00:00:00:00:01",
                          "--connections", "2000", "--concurrency", "64",
                          device=ours(socket, "client"), target=f"{SYNFIN_ADDRESS}:80")
        client.expect_success(timeout=120)
    expect_equal(lab.finish(server)["server"]["closed"], 6_000, "closed by the server")


if __name__ == "__main__":
    main()

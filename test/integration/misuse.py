"""What is asked for wrongly, or cannot be had: one clear sentence each, and exit code 1 or 2."""

import resource

from harness import (NOBODY, SYNFIN_ADDRESS, Skip, case, expect, expect_equal, main,
                     require_root, require_tools)

USAGE, FAILURE = 2, 1
ADDRESS = ("--address", f"{SYNFIN_ADDRESS}/15")
SERVE = ("serve", "--dev", "af_packet:v0", *ADDRESS)
LOAD = ("load", "--dev", "af_packet:v0", "--connections", 1, "--concurrency", 1)


def expect_complaint(done, code, *words):
    """One sentence on stderr with all these words, nothing on stdout, and the exit code."""
    lines = done.stderr.splitlines()
    expect_equal(done.returncode, code, f"exit code, beside {lines}")
    expect_equal(len(lines), 1, f"lines on stderr: {lines}")
    expect(lines[0].startswith("synfin: "), f"it says who complains: {lines[0]}")
    for word in words:
        expect(str(word) in lines[0], f"'{word}' is in: {lines[0]}")
    expect_equal(done.stdout, "", "stdout")


def complaint(name, arguments, code, *words):
    """A case that needs nothing but the program."""
    case(name)(lambda lab: expect_complaint(lab.synfin(*arguments, check=False), code, *words))


def complaint_of_config(name, text, *words):
    def test(lab):
        file = lab.folder / "synfin.toml"
        file.write_text(text)
        done = lab.synfin("pair", "--config", file, check=False)
        expect_complaint(done, USAGE, file, *words)
    case(name)(test)


# ---- the command line

complaint("a device of no known kind", ("serve", "--dev", "floppy:a", *ADDRESS), USAGE, "floppy:a",
          "af_packet:IFACE")
complaint("no device at all", ("serve", *ADDRESS), USAGE, "--dev")
complaint("an unknown option", ("pair", "--frobnicate"), USAGE, "--frobnicate")
complaint("a value that is no number", ("pair", "--rate", "fast"), USAGE, "--rate", "fast")
complaint("a value out of range", ("pair", "--mtu", "70000"), USAGE, "--mtu", "70000", "9000")
complaint("a bad address", ("serve", "--dev", "af_packet:v0", "--address", "300.1.1.1/15"), USAGE,
          "--address", "300.1.1.1/15", "198.18.0.1/15")
complaint("a target without a port", (*LOAD, "--source", "198.18.1.0/24", "--target", "198.18.0.2"),
          USAGE, "--target", "198.18.0.2", "port")
complaint("a source range that cannot reach the target",
          (*LOAD, "--source", "192.0.2.0/24", "--target", "198.18.0.2:80"), USAGE,
          "198.18.0.2:80", "--gateway")
complaint("a source range without an address to spare",
          (*LOAD, "--source", "198.18.0.2", "--target", "198.18.0.2:80"), USAGE, "source")
complaint("the same port twice", (*SERVE, "--listen", "80", "--listen", "80"), USAGE, "--listen",
          "80")
complaint("a port that does not exist", (*SERVE, "--listen", "65536"), USAGE, "--listen", "65536")
complaint("a core that does not exist", ("pair", "--cores", "4000", "--connections", "1"), FAILURE,
          "4000")
complaint("a link whose length is no power of two", ("pair", "--ring-entries", "100"), USAGE,
          "--ring-entries", "100", "power of two")
complaint("a result that cannot be written, before the run",
          ("pair", "--json", "/nowhere/result.json"), USAGE, "--json", "/nowhere/result.json")
complaint("no subcommand", (), USAGE, "--help")
complaint("what is no process", ("ss", "--pid", "-3"), USAGE, "--pid", "-3")
complaint("an unknown state", ("ss", "--state", "OPEN"), USAGE, "OPEN", "ESTAB")
complaint("a process that is no synfin", ("ss", "--pid", "1"), FAILURE, "1")
complaint("no process to ask", ("ss",), FAILURE, "no synfin")
complaint("more connections than the tables can hold",
          ("pair", "--max-connections", "268435456"), USAGE, "--max-connections", "268435456")
complaint("more TIME_WAIT records than the table can hold",
          ("pair", "--max-time-wait", "268435456"), USAGE, "--max-time-wait", "268435456")

# ---- the configuration file

complaint_of_config("an unknown key in a file is named with its line",
                    "rate = 100\n\nfrequency = 3\n", ":3", "frequency")
complaint_of_config("a value out of range in a file is named with its line",
                    "rate = 100\nmtu = 70000\n", ":2", "mtu", "70000", "9000")
complaint_of_config("a value of the wrong kind in a file is named with its line",
                    "mtu = true\n", ":1", "mtu")
complaint_of_config("a file that is no TOML is named with the line",
                    "rate = 100\nmtu = = 3\n", ":2")
complaint("a configuration file that is not there", ("pair", "--config", "nowhere.toml"), USAGE,
          "nowhere.toml")


# ---- what the machine does not have


@case("an interface that does not exist")
def interface_gone(lab):
    done = lab.synfin("serve", "--dev", "af_packet:gone0", *ADDRESS, check=False)
    expect_complaint(done, FAILURE, "af_packet:gone0", "does not exist")


@case("an interface of this name exists already")
def interface_busy(lab):
    require_root()
    require_tools("ip")
    host = lab.host("alone")
    host.ip("link", "add", "tap0", "type", "veth", "peer", "name", "other")
    done = host.run(*lab.command("serve", "--dev", "tap:tap0", *ADDRESS), check=False)
    expect_complaint(done, FAILURE, "tap:tap0", "exists already")


@case("a memif's socket that no server has made")
def socket_missing(lab):
    socket = lab.folder / "nobody.sock"
    done = lab.synfin("serve", "--dev", f"memif:{socket},role=client", *ADDRESS, check=False)
    expect_complaint(done, FAILURE, socket, "role=server")


@case("a folder where no socket can be made")
def folder_missing(lab):
    done = lab.synfin("serve", "--dev", "memif:/nowhere/memif.sock,role=server", *ADDRESS,
                      check=False)
    expect_complaint(done, FAILURE, "/nowhere")


@case("nobody at the other end of a link")
def no_link(lab):
    socket = lab.folder / "lonely.sock"
    process = lab.load(None, "--connections", 1, "--concurrency", 1,
                       device=f"memif:{socket},role=server")
    expect_equal(process.wait(), FAILURE, "exit code")
    expect("synfin: no link after 10s" in process.errors, f"sentence: {process.errors}")


@case("no huge page, where none but they will do")
def no_huge_pages(lab):
    with open("/proc/meminfo") as info:
        free = next(int(line.split()[1]) for line in info if line.startswith("HugePages_Free:"))
    # The pages of a machine are not ours to take away; a mount namespace hides what tells of them.
    hidden = []
    if free > 0:
        require_root()
        hidden = ["unshare", "--mount", "sh", "-c",
                  "mount -t tmpfs none /sys/kernel/mm/hugepages && exec \"$@\"", "sh"]
    done = lab.run(*hidden, *lab.command("pair", "--huge", "on", "--connections", 1), check=False)
    expect_complaint(done, FAILURE, "huge page", "--huge")


@case("a concurrency that the machine's memory cannot hold")
def too_little_memory_in_the_machine(lab):
    with open("/proc/meminfo") as info:
        available = next(int(line.split()[1]) for line in info if line.startswith("MemAvail"))
    # Two ends of at least 128 bytes for each connection.
    workers, limit = 1, 1 << 27
    while workers * limit * 256 < available * 1024:
        workers += 1
    concurrency = min(workers * limit, 1 << 28)
    if concurrency * 256 < available * 1024:
        raise Skip("the memory of this machine holds all the connections that can be asked for")
    done = lab.synfin("pair", "--connections", 1, "--workers", workers, "--max-connections", limit,
                      "--concurrency", concurrency, check=False)
    expect_complaint(done, FAILURE, concurrency, "memory")


@case("a concurrency that the memory of the process cannot hold")
def too_little_memory_for_the_process(lab):
    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    done = lab.synfin("pair", "--connections", 1, "--max-connections", "8M", "--concurrency", "8M",
                      check=False, preexec_fn=limited)
    expect_complaint(done, FAILURE, "memory")


@case("more workers than the device has queues")
def too_many_workers(lab):
    require_root()
    require_tools("ip", "ethtool")
    synfin, _ = lab.synfin_and_kernel()
    done = synfin.run(*lab.command("serve", "--dev", "af_xdp:v0", "--workers", 2, *ADDRESS),
                      check=False)
    expect_equal(done.returncode in (USAGE, FAILURE), True, f"exit code of {done.stderr}")
    expect("queue" in done.stderr, f"the queues are named in: {done.stderr}")


# ---- what this user may not do


def without_permission(device, *words):
    def test(lab):
        require_root()
        require_tools("ip", "ethtool")
        synfin, _ = lab.synfin_and_kernel()
        done = synfin.run("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                          lab.synfin_for_everyone(), "serve", "--dev", device, *ADDRESS,
                          check=False)
        expect_complaint(done, FAILURE, device, "root", *words)
    return test


case("af_packet without the right to open packet sockets")(
    without_permission("af_packet:v0", "CAP_NET_RAW"))
case("af_xdp without the right to configure interfaces")(
    without_permission("af_xdp:v0", "CAP_NET_ADMIN"))
case("tap without the right to make interfaces")(without_permission("tap:tap9", "CAP_NET_ADMIN"))


if __name__ == "__main__":
    main()

"""What the integration tests stand on: hosts, links, captures, and results as TAP.

A test builds its own world in a Lab and leaves nothing behind. A Host is a network namespace that
has no name: it lives as long as the process that holds it, so it ends with the test even if the
test is killed. The same goes for every process that a Lab starts. No test sends a packet outside
the hosts that it made.
"""

import contextlib
import ctypes
import hashlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback

# Tests take these from here, too.
from processes import (PATIENCE, Failure, Process, Skip, expect, expect_equal, run_to_end,
                       wait_until)

SYNFIN_ADDRESS = "198.18.0.1"
KERNEL_ADDRESS = "198.18.0.2"
PREFIX_LENGTH = 15
SYNFIN_ADDRESS6 = "fd00::1"
KERNEL_ADDRESS6 = "fd00::2"
PREFIX_LENGTH6 = 64
NOBODY = 65534

# In a result, where nothing is left behind.
NO_LEAKS = {"connections": 0, "buffers": 0, "timers": 0}

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def require_root():
    if os.geteuid() != 0:
        raise Skip("needs root, to make network namespaces")


def require_tools(*names):
    for name in names:
        if shutil.which(name) is None:
            raise Skip(f"needs {name}, which is not installed")


def synfin_path():
    path = os.environ.get("SYNFIN")
    if not path:
        raise Failure("the environment variable SYNFIN does not name the synfin to test")
    return path


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def http_body(size):
    """The body that `synfin serve --body SIZE` sends: numbered lines of 64 characters.

    Written again here from its description, so that a test notices when any byte is another.
    """
    lines = []
    for line in range(size // 64 + 1):
        number = b"%015d " % line
        rest = bytes(ord("!") + ((64 * line + at) + line) % 94 for at in range(len(number), 63))
        lines.append(number + rest + b"\n")
    return b"".join(lines)[:size]


def first_core():
    return min(os.sched_getaffinity(0))


def last_core():
    """A core for a second synfin beside one on the first."""
    return max(os.sched_getaffinity(0))


# ---- hosts


class Host:
    """A network namespace of its own, held by a process that does nothing else."""

    def __init__(self, lab, name):
        self.lab = lab
        self.name = name
        own = os.readlink("/proc/self/ns/net")
        self._holder = lab.start_here(f"host-{name}", "unshare", "--net", "--", "sleep", "infinity")

        def is_there():
            if not self._holder.running():
                raise Skip(f"network namespaces cannot be made: {self._holder.errors.strip()}")
            return os.readlink(f"/proc/{self._holder.pid}/ns/net") != own
        wait_until(is_there, f"the network namespace of {name} is there")
        self.namespace = f"/proc/{self._holder.pid}/ns/net"
        self.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1",
                 "net.ipv6.conf.default.disable_ipv6=1")
        self.ip("link", "set", "lo", "up")

    @property
    def pid(self):
        return self._holder.pid

    def _enter(self, arguments):
        return ["nsenter", f"--net={self.namespace}", "--", *arguments]

    def start(self, name, *arguments, **options):
        """Starts a program here. It is stopped with the Lab."""
        return self.lab.start_here(name, *self._enter(arguments), **options)

    def run(self, *arguments, **options):
        """Runs a program here to its end: see run_to_end."""
        options.setdefault("env", self.lab.environment)
        return run_to_end(self._enter(arguments), **options)

    def ip(self, *arguments):
        return self.run("ip", *arguments)

    def nft(self, rules):
        require_tools("nft")
        self.run("nft", "-f", "-", input=rules)

    def packet_counts(self, family, table):
        """The packets that each `counter` of an nftables table has counted, in their order."""
        listed = self.run("nft", "list", "table", family, table).stdout
        return [int(packets) for packets in re.findall(r"counter packets (\d+)", listed)]

    @contextlib.contextmanager
    def entered(self):
        """This thread is here for a while: sockets that it makes belong here for good."""
        with open("/proc/thread-self/ns/net") as home, open(self.namespace) as there:
            if _libc.setns(there.fileno(), _CLONE_NEWNET) != 0:
                raise Failure(f"setns: {os.strerror(ctypes.get_errno())}")
            try:
                yield
            finally:
                if _libc.setns(home.fileno(), _CLONE_NEWNET) != 0:
                    os._exit(99)  # to go on in the wrong namespace could send packets elsewhere

    def socket(self, timeout=PATIENCE):
        """A TCP socket of this host's kernel. It is closed with the Lab."""
        with self.entered():
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.settimeout(timeout)
        return self.lab.closing(made)

    def connect(self, address, port, timeout=PATIENCE):
        made = self.socket(timeout)
        made.connect((address, port))
        return made

    def listen(self, port, backlog=1024):
        made = self.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("0.0.0.0", port))
        made.listen(backlog)
        return made

    def sockets(self, state):
        """The connections that the kernel here has in a state, as pairs of local and peer."""
        lines = self.run("ss", "--no-header", "-tan", "state", state).stdout.splitlines()
        return {tuple(line.split()[2:4]) for line in lines}


class Acceptor:
    """A thread that hands every connection to a port of a host's kernel to `handle`, in turn."""

    def __init__(self, lab, host, port, handle):
        self.accepted = 0
        self.errors = []
        self._handle = handle
        self._listener = host.listen(port)
        self._listener.settimeout(0.1)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        lab.closing(self)

    def _accept(self):
        while not self._ending.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            connection.settimeout(PATIENCE)
            self.accepted += 1
            try:
                self._handle(connection)
            except OSError as error:
                self.errors.append(error)

    def close(self):
        self._ending.set()
        self._thread.join()


class Wire:
    """The bridge between synfin and Linux: what it drops is lost, and neither side is told."""

    def __init__(self, lab, *bridge_options):
        require_tools("nft")
        self.host = lab.host("wire")
        self.bridge_options = bridge_options

    def treat(self, from_synfin="", from_kernel=""):
        """What nftables does, from now on, with the packets in each direction; else they pass."""
        # A table is made before it is deleted so that there is one to delete.
        self.host.nft(f"""
            table netdev wire {{
            }}
            delete table netdev wire
            table netdev wire {{
                chain from_synfin {{
                    type filter hook ingress device w0 priority 0;
                    {from_synfin}
                }}
                chain from_kernel {{
                    type filter hook ingress device w1 priority 0;
                    {from_kernel}
                }}
            }}
            """)

    def counters(self):
        """The packets that each `counter` of the treatment has counted, in their order."""
        return self.host.packet_counts("netdev", "wire")


def without_offloads(host, interface):
    """Every packet on the wire as it would be on a cable: checksums complete, no merged segments."""
    host.run("ethtool", "-K", interface, "rx", "off", "tx", "off", "sg", "off", "tso", "off",
             "gso", "off", "gro", "off", check=False)


# ---- the lab


class Lab:
    """One test's world. Everything in it ends when the `with` block does."""

    def __init__(self):
        self._stack = contextlib.ExitStack()
        self._processes = []
        self.folder = None

    def __enter__(self):
        self.folder = pathlib.Path(
            self._stack.enter_context(tempfile.TemporaryDirectory(prefix="synfin-test-")))
        self.folder.chmod(0o755)
        # Where running synfins can be found: here, none but this test's own.
        self.runtime = self.folder / "run"
        self.runtime.mkdir()
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": str(self.runtime)}
        return self

    def __exit__(self, *exception):
        return self._stack.__exit__(*exception)

    def describe(self):
        return "\n".join(p.describe() for p in self._processes if not p.name.startswith("host-"))

    def closing(self, thing):
        self._stack.callback(thing.close)
        return thing

    def start_here(self, name, *arguments, **options):
        unique = f"{name}-{sum(p.name.startswith(name) for p in self._processes)}"
        options.setdefault("env", self.environment)
        process = Process(unique, arguments, self.folder, **options)
        self._processes.append(process)
        self._stack.callback(process.stop)
        return process

    def host(self, name):
        return Host(self, name)

    def link(self, one, interface, other, other_interface):
        """A cable between two hosts."""
        one.ip("link", "add", interface, "type", "veth", "peer", "name", other_interface, "netns",
               str(other.pid))
        for host, name in ((one, interface), (other, other_interface)):
            without_offloads(host, name)
            host.ip("link", "set", name, "up")

    def synfin_and_kernel(self, wire=None):
        """A host for synfin, whose interface v0 has no address, and one for Linux, with v1.

        An unnumbered interface keeps Linux from answering in synfin's place. The two are linked
        directly, or through a Wire.
        """
        synfin, kernel = self.host("synfin"), self.host("kernel")
        if wire is None:
            self.link(synfin, "v0", kernel, "v1")
        else:
            self.link(synfin, "v0", wire.host, "w0")
            self.link(kernel, "v1", wire.host, "w1")
            wire.host.ip("link", "add", "bridge0", "type", "bridge", *wire.bridge_options)
            for interface in ("w0", "w1"):
                wire.host.ip("link", "set", interface, "master", "bridge0")
            wire.host.ip("link", "set", "bridge0", "up")
        kernel.ip("address", "add", f"{KERNEL_ADDRESS}/{PREFIX_LENGTH}", "dev", "v1")
        # Many short connections from one address need many ports.
        kernel.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535",
                   "net.core.somaxconn=4096", "net.ipv4.tcp_max_syn_backlog=8192")
        return synfin, kernel

    def synfin_and_kernel6(self, wire=None):
        """The same over IPv6."""
        synfin, kernel = self.synfin_and_kernel(wire)
        # Only the kernel's side speaks IPv6: synfin's interface has nobody but synfin.
        kernel.run("sysctl", "-qw", "net.ipv6.conf.v1.disable_ipv6=0",
                   "net.ipv6.conf.v1.accept_dad=0")
        kernel.ip("address", "add", f"{KERNEL_ADDRESS6}/{PREFIX_LENGTH6}", "dev", "v1", "nodad")
        return synfin, kernel

    def _start_synfin(self, host, name, arguments):
        result = self.folder / f"{name}-{len(self._processes)}.json"
        start = host.start if host else self.start_here
        process = start(name, synfin_path(), name, *arguments, "--json", result)
        process.result = result
        return process

    def serve(self, host, *arguments, device="af_packet:v0", address=None, prepare=None,
              ready="serving"):
        """A `synfin serve` that is ready for connections; without a host, where the test runs."""
        process = self._start_synfin(host, "serve", [
            "--dev", device, "--address", address or f"{SYNFIN_ADDRESS}/{PREFIX_LENGTH}",
            *arguments])
        process.wait_for_output(ready)
        if prepare:
            prepare()
        return process

    def serve_by_tap(self, host, *arguments):
        """The same on a tap, whose other end is an interface of the host that it runs on."""
        def address_the_other_end():
            without_offloads(host, "tap0")
            host.ip("address", "add", f"{KERNEL_ADDRESS}/{PREFIX_LENGTH}", "dev", "tap0")
            host.ip("link", "set", "tap0", "up")
        return self.serve(host, *arguments, device="tap:tap0", prepare=address_the_other_end)

    def load(self, host, *arguments, device="af_packet:v0", source="198.18.1.0/24",
             target=f"{KERNEL_ADDRESS}:80"):
        """A `synfin load` that has begun."""
        return self._start_synfin(host, "load", ["--dev", device, "--source", source,
                                                 "--target", target, *arguments])

    def result_of(self, process):
        return json.loads(process.result.read_text())

    def finish(self, process, timeout=PATIENCE):
        """The result of a synfin that is asked to end, which must find its own run clean."""
        process.send_signal(signal.SIGTERM)
        process.expect_success(timeout)
        return self.result_of(process)

    def run(self, *arguments, **options):
        """Runs a program to its end where the test runs: see run_to_end."""
        options.setdefault("env", self.environment)
        return run_to_end(arguments, **options)

    def command(self, *arguments):
        """The command line of a synfin."""
        return [synfin_path(), *arguments]

    def synfin(self, *arguments, **options):
        """Runs synfin to its end where the test runs."""
        return self.run(*self.command(*arguments), **options)

    def synfin_for_everyone(self):
        """A copy of synfin that any user can execute, wherever the build is."""
        copy = self.folder / "synfin"
        if not copy.exists():
            shutil.copy(synfin_path(), copy)
            copy.chmod(0o755)
        return copy

    def as_nobody(self):
        """Options for start_here: without any privilege, and with a folder of its own."""
        runtime = self.folder / "nobody"
        runtime.mkdir(exist_ok=True)
        if os.geteuid() != 0:
            return {"cwd": runtime}
        os.chown(runtime, NOBODY, NOBODY)
        return {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": runtime,
                "env": {**self.environment, "XDG_RUNTIME_DIR": str(runtime)}}


# ---- captures


class Capture:
    """What dumpcap saw on an interface, and what tshark says of it."""

    MARKER = b"synfin-test: the capture ends here"

    def __init__(self, host, interface):
        self._host = host
        self.file = host.lab.folder / f"{interface}.pcapng"
        self._process = host.start("dumpcap", "dumpcap", "-q", "-i", interface, "-B", "64",
                                   "-w", self.file)
        # The file is made after the interface is opened.
        wait_until(lambda: self.file.exists() and self.file.stat().st_size > 0, "dumpcap captures")

    def finish(self):
        """Ends the capture when it has everything that was sent before this call."""
        with self._host.entered():
            marker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with marker:
            marker.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)

            def is_in_the_file():
                marker.sendto(self.MARKER, ("198.19.255.255", 9))
                return self.MARKER in self.file.read_bytes()[-65536:]
            wait_until(is_in_the_file, "the capture reaches its end")
        self._process.send_signal(signal.SIGINT)
        self._process.expect_success()
        expect("0 packets dropped" in self._process.errors or
               "dropped" not in self._process.errors or
               "/0 (" in self._process.errors, "dumpcap lost packets: " + self._process.errors)

    def fields(self, display_filter, *names):
        """One tuple of fields for each packet that the filter lets through."""
        arguments = ["tshark", "-n", "-r", self.file, "-o", "tcp.check_checksum:TRUE",
                     "-o", "ip.check_checksum:TRUE", "-Y", display_filter, "-T", "fields"]
        for name in names:
            arguments += ["-e", name]
        done = run_to_end(arguments, timeout=300)
        return [tuple(line.split("\t")) for line in done.stdout.splitlines()]


# ---- results

_cases = []


def case(name):
    """Marks a function as a test case: it gets a Lab, and fails by raising."""
    def add(function):
        _cases.append((name, function))
        return function
    return add


def note(text):
    """Puts something into the record of the test."""
    for line in text.rstrip().splitlines():
        print("#   " + line, flush=True)


def _run_case(number, name, function):
    started = time.monotonic()
    lab = Lab()
    try:
        with lab:
            try:
                function(lab)
            except Skip:
                raise
            except BaseException:
                note(traceback.format_exc())
                note(lab.describe())
                raise
    except Skip as reason:
        print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        return True
    except Exception:  # everything that goes wrong in a test is its failure
        print(f"not ok {number} - {name}", flush=True)
        return False
    print(f"ok {number} - {name}", flush=True)
    note(f"{time.monotonic() - started:.1f} s")
    return True


def main():
    """Runs the cases of the file, or those whose name contains one of the arguments."""
    def end(which, _frame):
        raise SystemExit(128 + which)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    # AF_XDP's memory counts as locked memory.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY,) * 2)
    wanted = sys.argv[1:]
    chosen = [c for c in _cases if not wanted or any(w in c[0] for w in wanted)]
    if not chosen:
        sys.exit(f"no case has any of {wanted} in its name")
    print(f"1..{len(chosen)}", flush=True)
    results = [_run_case(number, *c) for number, c in enumerate(chosen, 1)]
    sys.exit(0 if all(results) else 1)

"""Processes of a test, with their output, and waiting: for a condition, and always bounded. The
bounds are generous, because they only decide how long a failure takes.
"""

import contextlib
import ctypes
import signal
import subprocess
import time

PATIENCE = 60  # seconds that a condition may take on a busy machine

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """What the test says is not so."""


class Skip(Exception):
    """The test cannot be done here, and why."""


# ---- conditions


def wait_until(condition, what, timeout=PATIENCE):
    """The first true value of condition(), or a Failure that says what did not come about."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {timeout} s")
        time.sleep(0.01)


def expect(condition, what):
    if not condition:
        raise Failure(what)


def expect_equal(actual, expected, what):
    if actual != expected:
        raise Failure(f"{what}: {actual!r}, but expected {expected!r}")


# ---- processes


def _end_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A program that a Lab started, with its output in files."""

    def __init__(self, name, arguments, folder, **options):
        self.name = name
        self.arguments = [str(a) for a in arguments]
        self._out = folder / f"{name}.out"
        self._err = folder / f"{name}.err"
        with open(self._out, "wb") as out, open(self._err, "wb") as err:
            self._process = subprocess.Popen(
                self.arguments, stdin=options.pop("stdin", subprocess.DEVNULL), stdout=out,
                stderr=err, preexec_fn=_end_with_parent, **options)
        self.pid = self._process.pid

    @property
    def stdin(self):
        return self._process.stdin

    @property
    def output(self):
        return self._out.read_text(errors="replace")

    @property
    def output_bytes(self):
        return self._out.read_bytes()

    @property
    def errors(self):
        return self._err.read_text(errors="replace")

    def running(self):
        return self._process.poll() is None

    def wait_for_output(self, text, timeout=PATIENCE):
        def said():
            if text in self.output or text in self.errors:
                return True
            if not self.running():
                raise Failure(f"{self.name} ended with {self._process.returncode} before it said "
                              f"'{text}'")
            return False
        wait_until(said, f"{self.name} says '{text}'", timeout)

    def wait(self, timeout=PATIENCE):
        """The exit code."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} still runs after {timeout} s") from None

    def expect_success(self, timeout=PATIENCE):
        code = self.wait(timeout)
        expect(code == 0, f"{self.name} ended with {code}: {self.errors.strip()[-500:]}")
        return self

    def send_signal(self, which):
        if self.running():
            self._process.send_signal(which)

    def stop(self):
        """Ends it, by force if it must be."""
        self.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.send_signal(signal.SIGKILL)
            self._process.wait(10)
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def describe(self):
        def tail(text):
            return "\n".join("    " + line for line in text.splitlines()[-25:])
        return (f"{self.name} ({'running' if self.running() else self._process.returncode}): "
                f"{' '.join(self.arguments)}\n{tail(self.output)}\n{tail(self.errors)}")


def run_to_end(arguments, timeout=PATIENCE, check=True, **options):
    """Runs a program to its end; its output is text. With `check` it must succeed."""
    arguments = [str(a) for a in arguments]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, errors="replace",
                              timeout=timeout, check=False,
                              **{"preexec_fn": _end_with_parent, **options})
    except subprocess.TimeoutExpired:
        raise Failure(f"{' '.join(arguments)}: still runs after {timeout} s") from None
    if check and done.returncode != 0:
        raise Failure(f"{' '.join(arguments)}: ended with {done.returncode}: {done.stderr.strip()}")
    return done

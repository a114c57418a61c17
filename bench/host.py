"""What the host gives while something is measured, and what can be done to have it give all."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time

# A sample counts if each core was at least as wide as this, of the widest that was seen before and
# after it, and at most as far away as this, of the least.
LEAST_WIDTH = 0.9
MOST_DISTANCE = 2
MOST_AWAY = 0.05


class Host:
    """Asks bench/cores, and remembers the best that it said."""

    def __init__(self, program):
        self.program = program
        self.least_distance = float("inf")
        self.greatest_width = 0

    def ask(self, patience=0):
        """The distance in ns and the widths of the cores, {} if unknown: at once, or as soon as the
        cores are as wide as they can be."""
        wanted = [str(patience), str(LEAST_WIDTH * self.greatest_width)] if patience else []
        try:
            ended = subprocess.run([self.program, *wanted], capture_output=True, text=True,
                                   timeout=30 + patience)
        except (OSError, subprocess.TimeoutExpired):
            return {}
        if ended.returncode != 0:
            return {}
        said = json.loads(ended.stdout)
        self.least_distance = min(self.least_distance, said.get("distance_ns", float("inf")))
        self.greatest_width = max(self.greatest_width, *said["widths"])
        return said

    def wait_until_calm(self, seconds):
        """What was said last: that the host is calm, or else after so many seconds."""
        end = time.monotonic() + seconds
        while True:
            said = self.ask(max(1, round(end - time.monotonic())))
            if self.was_calm(said, away=[]) or time.monotonic() >= end:
                return said

    def was_calm(self, *said, away):
        """Whether the host gave all, by what it said before and after and was away in between."""
        return (all(one.get("distance_ns", 0) <= MOST_DISTANCE * self.least_distance
                    and self.share(one) >= LEAST_WIDTH for one in said)
                and max(away, default=0) <= MOST_AWAY)

    def share(self, said):
        """The width of the narrower core, to the greatest that was seen."""
        return min(said["widths"]) / self.greatest_width if said else 1


def is_virtual():
    return " hypervisor" in pathlib.Path("/proc/cpuinfo").read_text()


@contextlib.contextmanager
def cores_awake(cores):
    """No core of a virtual machine is idle meanwhile, because one that wakes is put anywhere, often
    beside another that works. Whatever else wants to run there goes first (SCHED_IDLE)."""
    keepers = [keep_awake(core) for core in cores] if is_virtual() else []
    try:
        yield
    finally:
        for keeper in keepers:
            os.kill(keeper, signal.SIGKILL)
            os.waitpid(keeper, 0)


def keep_awake(core):
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.sched_setaffinity(0, {core})
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        while os.getppid() == parent:
            for _ in range(100_000):
                pass
        os._exit(0)
    return child

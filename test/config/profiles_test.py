#!/usr/bin/env python3
"""Every profile in config/ is one that synfin takes as it stands.

Each profile is run as its head comment says, but on a device that cannot exist. synfin reads the
whole file before it looks for devices, so the complaint must be about the device (exit 1), never
about a key or a value (exit 2). Profiles that need no device run for a moment and must succeed.
Prints TAP.
"""

import pathlib
import re
import subprocess
import sys

ABSENT_DEVICE = "absent0"


def run_profile(synfin, profile):
    """Returns the reason why the profile is no good, or None."""
    command = re.search(r"^#   synfin (\w+) --config config/(\S+)$", profile.read_text(), re.MULTILINE)
    if command is None:
        return "its head does not say how it is run: '#   synfin SUBCOMMAND --config config/NAME'"
    subcommand, named = command.groups()
    if named != profile.name:
        return f"its head speaks of config/{named}"
    arguments = [synfin, subcommand, "--config", str(profile)]
    if subcommand == "pair":
        arguments += ["--connections", "100"]
    else:
        arguments += ["--dev", f"af_packet:{ABSENT_DEVICE}"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    expected = 0 if subcommand == "pair" else 1
    said = done.stderr.strip() or done.stdout.strip()
    if done.returncode != expected:
        return f"exit status {done.returncode} instead of {expected}: {said}"
    if subcommand != "pair" and ABSENT_DEVICE not in said:
        return f"the complaint is not about the device: {said}"
    return None


def main():
    synfin, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    profiles = sorted(folder.glob("*.toml"))
    print(f"1..{len(profiles)}")
    for number, profile in enumerate(profiles, 1):
        problem = run_profile(synfin, profile)
        print(f"{'ok' if problem is None else 'not ok'} {number} - {profile.name}")
        if problem is not None:
            print(f"# {problem}")


if __name__ == "__main__":
    main()

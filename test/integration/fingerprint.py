"""How nmap rates us: what can be guessed of the next sequence number, and of the next IP ID."""

import re

from harness import SYNFIN_ADDRESS, case, expect, main, note, require_root, require_tools


@case("nmap finds our sequence numbers as hard to guess as it can say, and no counter in the IP ID")
def prediction(lab):
    require_root()
    require_tools("nmap")
    synfin, kernel = lab.synfin_and_kernel()
    lab.serve(synfin)
    # One open port and one closed one are what the probes need.
    said = kernel.run("nmap", "-T4", "-n", "-Pn", "-O", "-v", "-p", "80,81", "--max-os-tries", 1,
                      SYNFIN_ADDRESS).stdout
    sequence = re.search(r"TCP Sequence Prediction: Difficulty=(\d+) \((.*)\)", said)
    identification = re.search(r"IP ID Sequence Generation: (.*)", said)
    expect(sequence is not None and identification is not None, f"nmap judges: {said}")
    note(sequence.group(0))
    note(identification.group(0))
    expect(sequence.group(2) == "Good luck!", f"hard to guess, not {sequence.group(0)}")
    expect(identification.group(1) in ("All zeros", "Randomized"),
           f"nothing to guess, not {identification.group(0)}")


if __name__ == "__main__":
    main()

"""Names of tags and artifacts that one part of the project writes and another reads."""

CODE = "twinner.code"  # the digest of the code that made a run
UNCOMMITTED = "twinner.uncommitted"  # the files of that code that differed from the commit, if any did
REPRODUCES = "twinner.reproduces"  # the id of the run that a run repeats
MACHINE = "machine.json"  # what a run was computed with

"""Names of tags and artifacts that one part of the project writes and another reads."""

SWEEP = "twinner.sweep"  # the name of the sweep that a run belongs to
TESTED = "twinner.tested"  # `no` for a trial of a sweep, until `resume` scores it on test
PRUNED = "twinner.pruned"  # the epoch after which a trial was stopped, as it was behind the others
CODE = "twinner.code"  # the digest of the code that made a run
UNCOMMITTED = "twinner.uncommitted"  # the files of that code that differed from the commit, if any did
REPRODUCES = "twinner.reproduces"  # the id of the run that a run repeats
ERROR = "twinner.error"  # why a run failed, in one line
CALIBRATION = "calibration.json"  # whether the confidence of a run's model is right, on test
MACHINE = "machine.json"  # what a run was computed with
LONGEST_TAG = 5000  # characters that every store accepts

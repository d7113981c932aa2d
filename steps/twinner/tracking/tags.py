"""The names of tags that several modules write and read."""

SWEEP = "twinner.sweep"  # the name of the sweep that a run belongs to
CODE = "twinner.code"  # the digest of the code that made a run
TESTED = "twinner.tested"  # `no` for a trial of a sweep, until `resume` scores it on test
PRUNED = "twinner.pruned"  # the epoch after which a trial was stopped, as it was behind the others

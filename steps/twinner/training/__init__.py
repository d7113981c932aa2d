"""Train, track and export: the outline of a run, and what it leaves behind."""

"""Ways to make one change of many: one file each.

Each file has `Options`, a frozen dataclass; `aggregate(deltas, state, options)`, which gives a `Delta` and
the state for the next round; and says what it is:

- `STATEFUL`: remembers earlier rounds, so that one client alone is not given back as it is.
- `WEIGHTED`: a client counts by its clips.
- `ROBUST`: one client cannot move the result far.
- `LINEAR`: the mean of all changes is all it needs, so that it works behind secure aggregation.
"""

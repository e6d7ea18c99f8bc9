"""What lying clients do: one file each.

A file has `Options` and one or both of `poison_clips(target, n_labels, options, draw)`, which gives wrong
labels [N] and where a trigger is put in [N], and `poison_changes(deltas, options, draw)`, which alters
what all attackers of a round send.
"""

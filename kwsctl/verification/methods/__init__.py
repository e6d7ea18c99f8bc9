"""Ways to train verification across users, one per file.

A file has `targets(names, options, seed)`, what each user learns towards, [U, L]; `loss(outputs, target,
user, options)`, [B] of outputs [B, L]; `score(outputs, target, user)`, [B], higher for the user; and
`NEEDS_ROWS`, whether outputs are one for each user, so that the weight of the head holds an embedding of
every user in the open. Files with rows have `spread(rows, options, rate)`, what the server does to them after
a round, and `SOLE_ROWS`, whether a device moves its own row only.
"""

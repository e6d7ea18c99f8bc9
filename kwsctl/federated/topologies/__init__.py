"""Who talks to whom: one file each, with `Options` and `advance(session, state, options)`, a round."""

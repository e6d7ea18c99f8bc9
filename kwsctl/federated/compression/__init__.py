"""Ways to send a change in fewer bytes: one file each.

Each file has `Options`; `encode(changes, options) -> bytes`; `decode(payload, layout) -> changes`; and says:

- `BIASED`: what it leaves out has to be sent later, so it is kept and added to the next change (error
  feedback, Seide et al. 2014; Karimireddy et al. 2019, arXiv 1901.09847).
- `COMMON_GRID`: all clients send the same coordinates, as secure aggregation needs.

Both ends know names and shapes from the base bundle, so that a payload holds numbers only.
"""

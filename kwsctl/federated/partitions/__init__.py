"""Ways to give the clips of a corpus to clients: one file each, `assign(target, speakers, options, draw)`."""

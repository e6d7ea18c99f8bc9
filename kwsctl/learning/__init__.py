"""The training loop, the losses and what is built from them."""

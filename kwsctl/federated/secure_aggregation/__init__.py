"""The sum of what clients send, without seeing what any of them sends.

Bonawitz et al. 2017, "Practical Secure Aggregation for Privacy-Preserving Machine Learning" (CCS), with
the sparse graph of Bell et al. 2020, "Secure Single-Server Aggregation with (Poly)Logarithmic Overhead" (CCS,
SecAgg+). Every pair of neighbours agrees on a mask that one adds and the other subtracts; a mask of
its own keeps a late answer hidden; shares of both secrets let the others take the masks of a client away
that dropped out. The server is trusted to follow the protocol, not to keep secrets: keys are relayed by it
and not signed, so that a server that lies about keys is out of scope, as is one that works together with a
threshold of clients.
"""

"""Federations on Flower: the functions of `kwsctl.federated` in a ServerApp and a ClientApp.

`plan`, `device`, `credentials` and `deployment` work without flwr; the other files need it.
"""

"""What is kept about a person: the profile as a chain of links, its encryption, and the ledger."""

"""Who spoke, learned by users who share neither audio nor embeddings."""

"""What the Wikimedia projects say about the entities: their texts and where their images are."""

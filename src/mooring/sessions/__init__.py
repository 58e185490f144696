"""Session ids that carry their owner."""

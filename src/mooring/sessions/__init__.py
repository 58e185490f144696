"""Session ids that carry their owner, and bringing what a session sends to it."""

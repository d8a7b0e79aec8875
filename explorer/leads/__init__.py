"""A collector's screen: what the work queue offers, told in the reader's language. It never goes around the queue."""

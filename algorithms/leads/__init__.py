"""Who went silent, which number reaches them now, and why."""

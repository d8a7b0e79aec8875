"""Rings on the screen: the list in order of work, the picture of one, what a person says of it."""

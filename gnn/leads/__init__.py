"""Who will be in touch with whom next: a model of links learned from a contact graph's own past."""

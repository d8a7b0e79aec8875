"""Nodes that very many persons share for an honest reason: found, typed, explained, and kept from joining groups."""

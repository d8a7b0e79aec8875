"""Edge table in, table keyed by `id` out: communities, rings, features, leads."""

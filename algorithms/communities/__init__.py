"""Components and communities: one interface, a local engine for one machine and a Spark engine for a cluster."""

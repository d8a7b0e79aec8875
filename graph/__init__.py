"""The shared vocabulary: labels, tables, as-of, tokens, and the Neo4j that serves the graph."""

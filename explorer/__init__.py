"""The browser screens; reads `graph`, never Spark or torch."""

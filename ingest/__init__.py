"""Raw records in, node and edge tables out (Spark)."""

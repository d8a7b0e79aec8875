"""What the page of the model tells: the registry, the catalog of tables, the leak check, the watch."""

"""Whether tonight's rows, edges, features and rings still look like those of the nights before, and who is to blame."""

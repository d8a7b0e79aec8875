"""Graph features of loan applications as of the moment they were submitted."""

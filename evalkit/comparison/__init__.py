"""Which is better, did it get worse, since when."""

"""Pass or fail for schedulers."""

"""Published evaluators beside evalkit: seeded cases, what a checkout needs to run on them, and one function each."""

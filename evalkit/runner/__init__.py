"""Sample -> model -> ledger: plan, pace, budget, loop."""

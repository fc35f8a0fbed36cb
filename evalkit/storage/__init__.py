"""The run folder: manifest, samples, ledger, scores, locks."""

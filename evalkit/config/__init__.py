"""YAML -> checked configuration, prompts included."""

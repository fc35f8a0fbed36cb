"""``python -m evalkit`` is the command ``evalkit``."""

from evalkit.cli.app import main

if __name__ == "__main__":
    main()

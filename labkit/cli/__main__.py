"""``python -m labkit.cli`` is the same as ``labkit``."""

from labkit.cli.app import main

if __name__ == "__main__":
    main()

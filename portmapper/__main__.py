"""``python -m portmapper``."""

from portmapper.cli import main

if __name__ == "__main__":
    main()

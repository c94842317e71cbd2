"""``python -m hopcheck``."""

from hopcheck.cli import main

if __name__ == "__main__":
    main()

"""``python -m hopcheck``."""

from hopcheck.app.cli import main

if __name__ == "__main__":
    main()

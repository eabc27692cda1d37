"""`python -m manyfill` is the command `manyfill`."""

from manyfill.cli import main

if __name__ == "__main__":
    main()

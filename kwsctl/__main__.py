"""`python -m kwsctl` is `kwsctl`."""

from kwsctl.cli.app import main

if __name__ == "__main__":
    main()

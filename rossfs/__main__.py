"""`python -m rossfs`: the same as the command `rossfs`."""

from rossfs.cli.start import main

if __name__ == "__main__":
    main()

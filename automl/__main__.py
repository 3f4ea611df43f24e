"""`python -m automl` is the command line too."""

from automl.cli import main

if __name__ == "__main__":
    main()

"""`python -m hashmatch`: the same as the `hashmatch` command."""

from hashmatch.cli.main import main

if __name__ == "__main__":
    main()

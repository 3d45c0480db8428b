"""`python -m ledger`: the `metaledger` command."""

from ledger.cli import main

if __name__ == "__main__":
    main()

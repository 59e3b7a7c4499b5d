"""`python -m windowshop.cli`."""

from windowshop.cli import main

main()

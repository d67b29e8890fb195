"""`python -m spatioformer`."""

from spatioformer.cli import main

main()

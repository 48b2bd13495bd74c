"""What other programs left behind, as values of nicarbon."""

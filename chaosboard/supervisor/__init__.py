"""One command: starts every part of the board, keeps them running, heals and stops them all."""

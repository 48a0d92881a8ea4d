"""The repo's own tools, pressed through the buttons of the Makefile. Nothing imports them."""

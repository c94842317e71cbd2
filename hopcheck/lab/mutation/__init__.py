"""Random single edits of the objects on the healthy path, and what a diagnosis makes of them."""

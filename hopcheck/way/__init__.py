"""Pure knowledge of the way: what leads from one hop to the next. Used by collectors and judges."""

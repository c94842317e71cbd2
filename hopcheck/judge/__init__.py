"""Pure judges: a Snapshot in, a Judgement out. No I/O, no clock."""

"""The history of all runs below a reports directory: one embedded SQLite file, and what it tells.

It is an index of the run directories, which stay the truth: whatever is missing from it (a killed
run, a damaged file that was set aside) is read from their report.json again. It never stops a
diagnosis: what goes wrong is a `HistoryError` with one clear line.
"""

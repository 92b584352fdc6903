"""ctsftp side by side with what people would use instead: `python -m tests.bench`.

Every row is a ratio of two measurements of one run, taken in turns, so that a busy machine slows both. No test asserts
a time: this prints a table, for the README.
"""

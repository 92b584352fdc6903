"""Each step of the tables' history, in the order of its number."""

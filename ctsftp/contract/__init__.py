"""The file contract as pure functions: values in, values out; no clock, path, logger, await or disk."""

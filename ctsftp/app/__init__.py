"""Wires the parts together. Nothing below knows its neighbours; each is handed what it needs here."""

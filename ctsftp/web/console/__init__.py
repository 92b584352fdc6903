"""The console: what a person sees in a browser, and decides. Server-rendered; it needs no script but to be live."""

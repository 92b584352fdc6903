"""Several nodes over one database: their names and clocks, their signs of life, and what one does for a dead one."""

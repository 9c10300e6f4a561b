"""How the rehearsal and the stack commands show a request on a terminal. Knows no AWS."""

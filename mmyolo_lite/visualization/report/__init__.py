"""One HTML page about training runs, which needs no network and no server."""

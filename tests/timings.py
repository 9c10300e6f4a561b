"""How long AWS takes in lives in which it does not matter how long."""

# Virtual seconds: a few looks at each change, and not the thirty that the real service takes.
QUICK = {
    "create_cluster": 53,
    "create_hsm": 97,
    "initialize": 53,
    "activate": 23,
    "delete_hsm": 67,
    "delete_cluster": 37,
    "create_backup": 31,
    "connect": 131,
}

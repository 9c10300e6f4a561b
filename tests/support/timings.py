"""How long AWS takes in lives in which it does not matter how long."""

# Virtual seconds: each change is seen on its way once or twice, and not thirty times as with AWS.
# A change of the HSM type that fails outlasts the rollback of the stack, as it does there.
QUICK = {
    "create_cluster": 23,
    "create_hsm": 26,
    "initialize": 23,
    "activate": 23,
    "delete_hsm": 29,
    "delete_cluster": 22,
    "create_backup": 17,
    "change_hsm_type": 617,
    "connect": 26,
    "disconnect": 22,
    "instance_running": 11,
    "ssm_online": 13,
}

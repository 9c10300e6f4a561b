"""Short AWS timings for scenarios in which durations do not matter."""

# What only the benchmarks and scenarios about durations are to be charged.
FREE = {
    "create_role": 0,
    "create_policy": 0,
    "create_instance_profile": 0,
    "create_function": 0,
    "create_state_machine": 0,
    "download": 0,
    "install_package": 0,
    "cloudhsm_cli": 0,
}
# Virtual seconds. Pollers see each change in progress once or twice instead of about thirty times.
# As with AWS, a failed change of the HSM type outlasts the stack's rollback.
QUICK = {
    **FREE,
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

"""What a client's scripts call and this machine lacks, or must not be asked: dnf, cloudhsm-cli, ...

Each module is one command; `main` takes its arguments and returns its exit code. Two that do next
to nothing are shell scripts. They run inside a sandbox (sandbox.py), with the standard library and the
packages that are themselves the command, and are faithful in what a script can notice: exit codes,
messages and files. Most are run by a process that waits in the sandbox (command_server.py).
"""

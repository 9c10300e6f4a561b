"""What a client's scripts call and this machine lacks, or must not be asked: dnf, cloudhsm-cli, ...

Each module is one command; `main` takes its arguments and returns its exit code. Two that do next
to nothing are shell scripts. They run inside a box (box.py), with nothing but the standard library,
and are faithful in what a script can notice: exit codes, messages and files.
"""

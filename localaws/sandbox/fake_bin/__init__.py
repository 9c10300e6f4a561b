"""Commands of Amazon Linux that this machine lacks or must not run: dnf, cloudhsm-cli and others.

Each module is one command: `main` takes the arguments and returns the exit code. cloud-init and
uname are shell scripts. They run inside a sandbox and support exactly the options that the
templates' SSM documents, the rehearsal's operator and docs/using-the-cluster.md use, with the exit
codes, messages and files of the real command. Anything else is an error: exit code 2, and stderr
names the option.
"""

"""The lifecycle of AWS CloudHSM clusters and KMS key stores, in small idempotent steps."""

"""The lifecycle of a CloudHSM cluster and of a KMS key store on it, one small step at a time."""

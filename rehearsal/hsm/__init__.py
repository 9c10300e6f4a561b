"""AWS CloudHSM and KMS CloudHSM key stores: the model."""

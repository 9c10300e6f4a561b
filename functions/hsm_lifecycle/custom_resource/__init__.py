"""How CloudFormation's requests are taken, superseded and responded to."""

"""How a CloudFormation request becomes an execution, and its end the response.

Nothing here knows what the workflows manage.
"""

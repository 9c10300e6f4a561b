"""The Lambda handlers of the workflows. Each runs the steps listed in its module and no others."""

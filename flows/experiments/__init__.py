"""Other values of the parameters, tried in a copy beside the workspace."""

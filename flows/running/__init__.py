"""The stages of dvc.yaml as tasks in the workspace, which belongs to one run at a time."""

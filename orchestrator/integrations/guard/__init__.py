"""The guard: it refuses commits that touch what another agent works on, and links commits to tasks."""

"""Convoys: tasks that are followed together."""

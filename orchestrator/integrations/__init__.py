"""Tasks of other trackers: issues of beads and task files of Backlog.md, in and out, as far as the fields go.

Data without a place on the other side is counted in the report of every import and export.
"""

from orchestrator.integrations.backlog import export_backlog, import_backlog
from orchestrator.integrations.beads import export_beads, import_beads
from orchestrator.integrations.report import Report

__all__ = ["Report", "export_backlog", "export_beads", "import_backlog", "import_beads"]

"""The views of the index: frequent questions. They compare only times, with the present."""

import msgspec

NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"


class View(msgspec.Struct, frozen=True):
    """A view: a frequent question."""

    name: str
    about: str
    sql: str

    def create(self) -> str:
        """The statement that makes the view."""
        return f"CREATE VIEW {self.name} AS\n{self.sql}"


OPEN = "status NOT IN ('done', 'failed', 'cancelled')"

HAS_OPEN_PART = f"EXISTS (SELECT 1 FROM tasks p WHERE p.parent = t.id AND p.{OPEN})"
"""Whether a part of the task ``t`` has not ended, so that it is not taken itself."""

VIEWS = (
    View(
        "active_work",
        "Tasks that have not ended, the most urgent first, with their workstream's priority.",
        f"SELECT t.id, t.title, t.status, t.type, t.workstream, t.priority, t.assigned_to, t.labels,"
        f" t.created_at, t.updated_at, t.due, w.priority AS workstream_priority\n"
        f"FROM tasks t JOIN workstreams w ON w.name = t.workstream\n"
        f"WHERE t.{OPEN}\nORDER BY w.priority, t.priority, t.added",
    ),
    View(
        "ready",
        "Tasks that any agent may take now, in the order in which they are taken.",
        f"SELECT t.*\nFROM tasks t JOIN workstreams w ON w.name = t.workstream\n"
        f"WHERE t.archived_at IS NULL AND t.free_from <= {NOW} AND w.status = 'active'\n"
        f"  AND NOT {HAS_OPEN_PART}\n"
        f"ORDER BY w.priority, t.priority, t.added, t.id",
    ),
    View(
        "blocked",
        "Tasks that are blocked, or that other tasks or signals keep back; `waits_for` are needs that"
        " are not done.",
        f"SELECT t.id, t.title, t.status, t.workstream, t.reason, t.open_needs, t.updated_at,\n"
        f"  (SELECT group_concat(l.other, ' ') FROM links l JOIN tasks o ON o.id = l.other\n"
        f"   WHERE l.task = t.id AND l.kind = 'needs' AND o.status <> 'done') AS waits_for\n"
        f"FROM tasks t\nWHERE t.{OPEN} AND (t.status = 'blocked' OR NOT t.is_clear)\n"
        f"ORDER BY t.added",
    ),
    View(
        "stale",
        "Tasks that have not ended, with the days since they changed, longest first.",
        f"SELECT id, title, status, workstream, assigned_to, updated_at,\n"
        f"  round(julianday('now') - julianday(updated_at), 2) AS days\n"
        f"FROM tasks\nWHERE {OPEN}\nORDER BY updated_at",
    ),
    View(
        "agent_workload",
        "What each agent has, waits for in review, has done and failed, and its mail; least loaded"
        " first.",
        "SELECT n.agent, a.type, a.status,\n"
        "  coalesce(t.assigned, 0) AS assigned, coalesce(t.in_progress, 0) AS in_progress,\n"
        "  coalesce(t.in_review, 0) AS in_review, coalesce(t.done, 0) AS done,\n"
        "  coalesce(t.failed, 0) AS failed,\n"
        "  (SELECT count(*) FROM receipts r WHERE r.agent = n.agent\n"
        "   AND r.status IN ('new', 'unread')) AS unread_messages\n"
        "FROM (SELECT id AS agent FROM agents UNION SELECT assigned_to FROM tasks\n"
        "  WHERE assigned_to IS NOT NULL) n\n"
        "LEFT JOIN agents a ON a.id = n.agent\n"
        "LEFT JOIN (SELECT assigned_to, sum(status = 'assigned') AS assigned,\n"
        "  sum(status = 'in_progress') AS in_progress, sum(status = 'in_review') AS in_review,\n"
        "  sum(status = 'done') AS done, sum(status = 'failed') AS failed\n"
        "  FROM tasks GROUP BY assigned_to) t ON t.assigned_to = n.agent\n"
        "ORDER BY coalesce(t.assigned, 0) + coalesce(t.in_progress, 0), n.agent",
    ),
    View(
        "convoy_progress",
        "How far each convoy is.",
        "SELECT c.name, c.status, count(t.id) AS tasks, c.open_tasks,\n"
        "  coalesce(sum(t.status = 'done'), 0) AS done,\n"
        "  coalesce(sum(t.status = 'failed'), 0) AS failed,\n"
        "  coalesce(sum(t.status = 'cancelled'), 0) AS cancelled,\n"
        "  coalesce(sum(t.status IN ('assigned', 'in_progress')), 0) AS in_progress,\n"
        "  round(100.0 * sum(t.status = 'done') / nullif(count(t.id), 0), 1) AS percent\n"
        "FROM convoys c LEFT JOIN convoy_tasks m ON m.convoy = c.name\n"
        "LEFT JOIN tasks t ON t.id = m.task\nGROUP BY c.name",
    ),
    View(
        "task_statistics",
        "How many tasks each workstream has, by status and priority.",
        "SELECT workstream, status, priority, count(*) AS tasks\nFROM tasks\n"
        "GROUP BY workstream, status, priority",
    ),
    View(
        "daily_throughput",
        "How many tasks ended and were added each day (UTC), by workstream.",
        "SELECT day, workstream, sum(done) AS done, sum(failed) AS failed,\n"
        "  sum(cancelled) AS cancelled, sum(added) AS added\n"
        "FROM (SELECT substr(x.ts, 1, 10) AS day, t.workstream, x.after = 'done' AS done,\n"
        "  x.after = 'failed' AS failed, x.after = 'cancelled' AS cancelled,\n"
        "  x.before IS NULL AS added FROM transitions x JOIN tasks t ON t.id = x.task\n"
        "  WHERE x.before IS NULL OR x.after IN ('done', 'failed', 'cancelled'))\n"
        "GROUP BY day, workstream\nORDER BY day DESC, workstream",
    ),
    View(
        "lead_times",
        "Of tasks that are done: hours from added to done (lead), and from last claimed to done (cycle).",
        "SELECT id, title, workstream, type, assigned_to, created_at, claimed_at, ended_at,\n"
        "  round(24 * (julianday(ended_at) - julianday(created_at)), 3) AS lead_hours,\n"
        "  round(24 * (julianday(ended_at) - julianday(claimed_at)), 3) AS cycle_hours\n"
        "FROM tasks\nWHERE status = 'done'\nORDER BY ended_at",
    ),
    View(
        "time_in_status",
        "Each time that a task spent in a status; `seconds` until now if it is in it still.",
        "SELECT task, after AS status, agent, ts AS since,\n"
        "  lead(ts) OVER (PARTITION BY task ORDER BY event) AS until,\n"
        "  round(86400 * (julianday(coalesce(lead(ts) OVER (PARTITION BY task ORDER BY event), 'now'))"
        " - julianday(ts)), 3) AS seconds\nFROM transitions",
    ),
    View(
        "held_locks",
        "Locks that are held now.",
        f"SELECT resource, agent, shared, since, until, token\nFROM locks\n"
        f"WHERE ended_at IS NULL AND until > {NOW}\nORDER BY resource, since",
    ),
)

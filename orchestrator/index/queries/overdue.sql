-- Open tasks that are past their due time, the longest first.
-- :ws Only of this workstream.
SELECT id, title, status, assigned_to, due, round(julianday('now') - julianday(due), 2) AS days
FROM tasks
WHERE status NOT IN ('done', 'failed', 'cancelled') AND due < strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
  AND (:ws IS NULL OR workstream = :ws)
ORDER BY due

-- What failed and why, the newest first.
-- :ws Only of this workstream.
-- :since Only from this time on: 7d, monday, 2026-11-01.
SELECT x.ts, x.task, t.title, t.workstream, x.agent, x.reason, t.status AS status_now
FROM transitions x JOIN tasks t ON t.id = x.task
WHERE x.after = 'failed' AND (:ws IS NULL OR t.workstream = :ws) AND (:since IS NULL OR x.ts >= :since)
ORDER BY x.event DESC

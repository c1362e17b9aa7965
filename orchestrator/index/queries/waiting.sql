-- Which open tasks keep back the most others, counted through all needs.
-- :ws Only of this workstream.
WITH RECURSIVE kept (task, by) AS (
  SELECT l.task, l.other FROM links l JOIN tasks o ON o.id = l.other
  WHERE l.kind = 'needs' AND o.status NOT IN ('done', 'failed', 'cancelled')
  UNION
  SELECT l.task, k.by FROM kept k JOIN links l ON l.other = k.task AND l.kind = 'needs'
)
SELECT t.id, t.title, t.status, t.assigned_to, count(*) AS keeps_back
FROM kept k JOIN tasks t ON t.id = k.by
WHERE :ws IS NULL OR t.workstream = :ws
GROUP BY t.id
ORDER BY keeps_back DESC, t.id

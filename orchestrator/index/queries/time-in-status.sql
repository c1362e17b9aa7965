-- How long tasks stayed in each status: how often, average and longest, in hours.
-- :ws Only of this workstream.
SELECT s.status, count(*) AS times, round(avg(s.seconds) / 3600, 3) AS average_hours,
  round(max(s.seconds) / 3600, 3) AS longest_hours
FROM time_in_status s JOIN tasks t ON t.id = s.task
WHERE s.status NOT IN ('done', 'failed', 'cancelled') AND (:ws IS NULL OR t.workstream = :ws)
GROUP BY s.status
ORDER BY average_hours DESC

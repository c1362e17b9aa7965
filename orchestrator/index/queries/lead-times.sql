-- How long tasks took from added to done, by workstream and type: median, 85th percentile, longest, in hours.
-- :ws Only of this workstream.
-- :since Only done from this time on: 7d, monday, 2026-11-01.
WITH ranked AS (
  SELECT workstream, type, lead_hours, cycle_hours,
    row_number() OVER (PARTITION BY workstream, type ORDER BY lead_hours) AS place,
    count(*) OVER (PARTITION BY workstream, type) AS tasks
  FROM lead_times
  WHERE (:ws IS NULL OR workstream = :ws) AND (:since IS NULL OR ended_at >= :since)
)
SELECT workstream, type, max(tasks) AS tasks,
  min(CASE WHEN place >= 0.5 * tasks THEN lead_hours END) AS median_hours,
  min(CASE WHEN place >= 0.85 * tasks THEN lead_hours END) AS p85_hours,
  max(lead_hours) AS longest_hours,
  round(avg(cycle_hours), 3) AS average_cycle_hours
FROM ranked
GROUP BY workstream, type
ORDER BY workstream, type

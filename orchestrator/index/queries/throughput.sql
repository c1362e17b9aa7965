-- How many tasks were done, failed and added each day (UTC), the newest first.
-- :ws Only of this workstream.
-- :since Only from this day on: 7d, monday, 2026-11-01.
SELECT day, sum(done) AS done, sum(failed) AS failed, sum(cancelled) AS cancelled, sum(added) AS added
FROM daily_throughput
WHERE (:ws IS NULL OR workstream = :ws) AND (:since IS NULL OR day >= substr(:since, 1, 10))
GROUP BY day
ORDER BY day DESC

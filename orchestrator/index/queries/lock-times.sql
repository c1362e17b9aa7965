-- How often and how long each resource was held, in minutes.
SELECT resource, count(*) AS holds, count(DISTINCT agent) AS agents,
  round(avg(1440 * (julianday(coalesce(ended_at, until)) - julianday(since))), 2) AS average_minutes
FROM locks
GROUP BY resource
ORDER BY holds DESC

-- How checks went, by kind: how many, how many passed, how long commands took on average.
-- :ws Only of this workstream.
SELECT e.kind, count(*) AS checks, sum(e.passed) AS passed, round(avg(e.seconds), 2) AS average_seconds
FROM evidence e JOIN tasks t ON t.id = e.task
WHERE :ws IS NULL OR t.workstream = :ws
GROUP BY e.kind
ORDER BY e.kind

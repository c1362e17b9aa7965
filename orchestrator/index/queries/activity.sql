-- How many events each agent made each day (UTC), and of how many types, the newest day first.
-- :agent Only of this agent.
-- :since Only from this time on: 7d, monday, 2026-11-01.
SELECT substr(ts, 1, 10) AS day, agent, count(*) AS events, count(DISTINCT type) AS types,
  count(DISTINCT task) AS tasks
FROM events
WHERE (:agent IS NULL OR agent = :agent) AND (:since IS NULL OR ts >= :since)
GROUP BY day, agent
ORDER BY day DESC, events DESC

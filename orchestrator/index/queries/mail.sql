-- Who writes to whom, and how much of it is unread.
SELECT m.sender, r.agent AS recipient, count(*) AS messages, sum(r.status IN ('new', 'unread')) AS unread
FROM receipts r JOIN messages m ON m.id = r.message
GROUP BY m.sender, r.agent
ORDER BY messages DESC

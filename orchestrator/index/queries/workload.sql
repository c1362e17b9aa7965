-- What each agent has, did and failed, and how much of its mail is unread; least loaded first.
SELECT * FROM agent_workload

"""Plans, briefs, reports of a cycle, and what an agent reads. State and knowledge in; data and text out."""

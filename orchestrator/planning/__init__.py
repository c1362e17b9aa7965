"""Plans, briefs, and reports of cycles: from the state and knowledge to records and texts."""

"""Locks: resources that an agent keeps for a while, alone or shared."""

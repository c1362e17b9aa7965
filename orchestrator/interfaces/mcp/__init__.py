"""The interface for machines: a server of the Model Context Protocol on stdin and stdout.

``server`` speaks the protocol, each tool has a module. It needs the extra ``mcp``.
"""

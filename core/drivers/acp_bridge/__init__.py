"""The client of the Agent Client Protocol: a program that runs beside the agent.

It runs in the agent's sandbox under the launcher, so it outlives the bot, and what the agent
asks of a client's files and terminals is done in there. To us it speaks JSON lines on standard
input and output (`core.drivers.acp_wire` reads them); the agent is its child.
"""

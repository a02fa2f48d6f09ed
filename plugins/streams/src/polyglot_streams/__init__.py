"""Transforms of streams, tees and Server-Sent Events.

Each function takes a stream of `polyglot_core` first. Async streams run on asyncio and trio, by anyio.
"""

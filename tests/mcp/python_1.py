"""The official Python client 1.x, which begins with a handshake."""

import asyncio
import os
from datetime import timedelta

from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.stdio import stdio_client

from checks import as_json, check_diff, check_output, check_progress, check_tools, command, project, text


async def check():
    with project() as folder:
        program, args = command(folder)
        server = StdioServerParameters(command=program, args=args, env=dict(os.environ))
        async with stdio_client(server) as streams, ClientSession(*streams) as session:
            about = await session.initialize()
            assert (about.protocolVersion, about.serverInfo.name) == ("2025-11-25", "runabout"), about
            tools = check_tools([as_json(it) for it in (await session.list_tools()).tools])

            reports = []

            async def report(progress, total, message):
                reports.append((progress, message))

            arguments = {"prompt": "Write a poem about the sea.", "max_tokens": 120, "temperature": 0}
            result = await session.call_tool("generate", arguments, progress_callback=report)
            assert not result.isError, text(result)
            check_output(tools["generate"], result.structuredContent)
            check_progress(reports)

            result = await session.call_tool("complete_code", {"prefix": "def add(a, b):\n    return "})
            assert not result.isError, text(result)
            check_output(tools["complete_code"], result.structuredContent)
            assert result.structuredContent["texts"][0]["text"]
            print("ok: code is completed")

            result = await session.call_tool("generate", {})
            assert result.isError and "`prompt`" in text(result), result
            print("ok: a missing argument is named")

            try:
                arguments = {"prompt": "Count to a million.", "max_tokens": 3000, "regex": "[a-z ]{3000}"}
                await session.call_tool("generate", arguments, read_timeout_seconds=timedelta(seconds=1))
                raise AssertionError("it took less than a second")
            except McpError:
                pass
            result = await session.call_tool("status", {})
            check_output(tools["status"], result.structuredContent)
            print("ok: after a call was given up, the next one is answered")

            arguments = {"instruction": "Rename `add` to `plus`.", "paths": ["*.py"], "max_tokens": 200}
            result = await session.call_tool("edit_files", arguments)
            assert not result.isError, text(result)
            check_output(tools["edit_files"], result.structuredContent)
            check_diff(folder, result.structuredContent)

            # This client gives a call up without saying so, and fails if its answer comes while it closes.
            while (await session.call_tool("status", {})).structuredContent["running"] > 0:
                await asyncio.sleep(0.2)


asyncio.run(check())

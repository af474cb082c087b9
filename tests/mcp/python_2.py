"""The official Python client 2.x, in both ways that it speaks: as of revision 2026-07-28, and with a handshake."""

import asyncio
import os

import anyio
from mcp import Client, MCPError, StdioServerParameters

from checks import as_json, check_diff, check_output, check_progress, check_tools, command, project, text


async def check(mode, version):
    with project() as folder:
        program, args = command(folder)
        server = StdioServerParameters(command=program, args=args, env=dict(os.environ))
        async with Client(server, mode=mode) as client:
            assert client.protocol_version == version, client.protocol_version
            assert client.server_info is None or client.server_info.name == "runabout"
            tools = check_tools([as_json(it) for it in (await client.list_tools()).tools])

            reports = []

            async def report(progress, total, message):
                reports.append((progress, message))

            arguments = {"prompt": "Write a poem about the sea.", "max_tokens": 120, "temperature": 0}
            result = await client.call_tool("generate", arguments, progress_callback=report)
            assert not result.is_error, text(result)
            check_output(tools["generate"], result.structured_content)
            assert result.structured_content["text"] in text(result)
            check_progress(reports)

            result = await client.call_tool("generate", {"prompt": "a", "max_tokens": "many"})
            assert result.is_error and "`max_tokens`" in text(result), result
            try:
                await client.call_tool("no_such_tool", {})
                raise AssertionError("an unknown tool was called")
            except MCPError as error:
                assert error.error.code == -32602, error
            print("ok: a wrong argument and an unknown tool are told apart")

            with anyio.move_on_after(1.0) as scope:
                await client.call_tool("generate", {"prompt": "Count to a million.", "max_tokens": 3000, "regex": "[a-z ]{3000}"})
            assert scope.cancelled_caught
            result = await client.call_tool("status", {})
            check_output(tools["status"], result.structured_content)
            print("ok: after a call was cancelled, the next one is answered")

            arguments = {"instruction": "Rename `add` to `plus`.", "paths": ["*.py"], "max_tokens": 200}
            result = await client.call_tool("edit_files", arguments)
            assert not result.is_error, text(result)
            check_output(tools["edit_files"], result.structured_content)
            check_diff(folder, result.structured_content)


for mode, version in [("auto", "2026-07-28"), ("legacy", "2025-11-25")]:
    print(f"mode {mode}")
    asyncio.run(check(mode, version))

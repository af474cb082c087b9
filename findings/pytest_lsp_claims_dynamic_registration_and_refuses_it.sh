#!/usr/bin/env bash
# What meets: pytest-lsp 1.0.1 in the guise of VS Code, whose capabilities it sends, and a server that registers for
#   changes of the configuration, as it may with these capabilities; both on pygls 2.1.1.
# Guess: the client takes the registration: it claims `workspace.didChangeConfiguration.dynamicRegistration`.
# Seen: it answers `client/registerCapability` with -32601, so a server that asks as VS Code lets it gets an error that it
#   never gets there. The other requests that these capabilities allow, such as `workspace/configuration`, are answered.
# Fails if one of these changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "pytest-lsp==1.0.1" "pygls==2.1.1" "lsprotocol==2025.0.0"
cat > "$folder/server.py" <<'PYTHON'
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

server = LanguageServer("server", "1")


@server.feature(types.INITIALIZED)
async def initialized(_):
    claimed = server.client_capabilities.workspace.did_change_configuration.dynamic_registration
    registration = types.Registration(id="1", method="workspace/didChangeConfiguration")
    configuration = types.ConfigurationParams(items=[types.ConfigurationItem(section="server")])
    seen = [f"claimed: {claimed}"]
    for name, request in [
        ("client/registerCapability",
         server.client_register_capability_async(types.RegistrationParams(registrations=[registration]))),
        ("workspace/configuration", server.workspace_configuration_async(configuration)),
    ]:
        try:
            await request
            seen.append(f"{name}: answered")
        except JsonRpcException as error:
            seen.append(f"{name}: error {error.code}")
    server.window_log_message(types.LogMessageParams(type=types.MessageType.Info, message="\n".join(seen)))


server.start_io()
PYTHON
cat > "$folder/client.py" <<'PYTHON'
import asyncio
import sys

import pytest_lsp
from lsprotocol import types


async def main():
    client = pytest_lsp.make_test_lsp_client()
    await client.start_io(sys.executable, sys.argv[1])
    capabilities = pytest_lsp.client_capabilities("visual-studio-code")
    await client.initialize_session(types.InitializeParams(capabilities=capabilities))
    await client.wait_for_notification(types.WINDOW_LOG_MESSAGE)
    print(client.log_messages[-1].message)
    await client.shutdown_session()
    await client.stop()


asyncio.run(main())
PYTHON
"$folder/venv/bin/python" "$folder/client.py" "$folder/server.py" > "$folder/seen" 2> "$folder/log" || { cat "$folder/log"; exit 1; }
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
claimed: True
client/registerCapability: error -32601
workspace/configuration: answered
EXPECTED

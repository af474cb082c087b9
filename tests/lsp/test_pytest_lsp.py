"""The method set with pytest-lsp, whose client is pygls's: types of lsprotocol, framing and life cycle of its own."""

import asyncio
import os

import pytest
import pytest_lsp
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pytest_lsp import ClientServerConfig, LanguageClient

URI = "file:///code/project/main.py"
TEXT = 'names = ["ada", "grace"]\nfor name in names:\n    print('

COMMAND = [os.environ["RUNABOUT"], "lsp", "--offline", "--model", os.environ["RUNABOUT_TEST_MODEL"]]


def open_document(client: LanguageClient, text: str = TEXT, uri: str = URI) -> None:
    item = types.TextDocumentItem(uri=uri, language_id="python", version=1, text=text)
    client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=item))


async def complete(client: LanguageClient, line: int, character: int, kind=types.InlineCompletionTriggerKind.Automatic):
    params = types.InlineCompletionParams(
        text_document=types.TextDocumentIdentifier(uri=URI),
        position=types.Position(line=line, character=character),
        context=types.InlineCompletionContext(trigger_kind=kind),
    )
    return await client.text_document_inline_completion_async(params)


async def info(client: LanguageClient):
    params = types.ExecuteCommandParams(command="runabout.info", arguments=[])
    return await client.workspace_execute_command_async(params)


async def until_ready(client: LanguageClient) -> None:
    while (await info(client))["state"] != "ready":
        await asyncio.sleep(0.05)


@pytest_lsp.fixture(
    config=ClientServerConfig(server_command=COMMAND),
    params=["visual-studio-code", "neovim", "emacs"],
)
async def client(request, lsp_client: LanguageClient):
    """An editor with the capabilities of a real one. What they do not allow is an error, see `pytest.ini`."""
    params = types.InitializeParams(
        capabilities=pytest_lsp.client_capabilities(request.param),
        workspace_folders=[types.WorkspaceFolder(uri="file:///code/project", name="project")],
    )

    # The client of pytest-lsp claims to register what a server asks for, but has no handler for that.
    @lsp_client.feature(types.CLIENT_REGISTER_CAPABILITY)
    def register(_: types.RegistrationParams) -> None:
        pass

    # Suggestions come whatever the model's confidence.
    lsp_client.set_configuration({"runabout": {"alternatives": 2, "minConfidence": 0}})
    result = await lsp_client.initialize_session(params)
    assert result.server_info.name == "runabout"
    assert result.capabilities.inline_completion_provider is True
    assert result.capabilities.text_document_sync.change == types.TextDocumentSyncKind.Incremental
    yield
    await lsp_client.shutdown_session()


@pytest.mark.asyncio
async def test_text_is_suggested_automatically_and_when_asked_for(client: LanguageClient):
    open_document(client)
    await until_ready(client)
    automatic = await complete(client, 2, 10)
    assert len(automatic.items) == 1
    assert automatic.items[0].insert_text.strip()
    assert automatic.items[0].range.start == types.Position(line=2, character=10)
    invoked = await complete(client, 2, 10, types.InlineCompletionTriggerKind.Invoked)
    assert 1 <= len(invoked.items) <= 2
    assert invoked.items[0].insert_text == automatic.items[0].insert_text


@pytest.mark.asyncio
async def test_the_settings_of_the_client_are_in_effect(client: LanguageClient):
    await until_ready(client)
    assert (await info(client))["settings"]["alternatives"] == 2
    client.set_configuration({"runabout": {"enabled": False}})
    client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings=None))
    while (await info(client))["settings"]["enabled"]:
        await asyncio.sleep(0.01)
    open_document(client)
    assert await complete(client, 2, 10) is None
    assert (await info(client))["last"]["reason"] == "disabled"


@pytest.mark.asyncio
async def test_a_changed_document_is_completed_as_it_is_now(client: LanguageClient):
    open_document(client)
    await until_ready(client)
    change = types.TextDocumentContentChangePartial(
        range=types.Range(start=types.Position(line=0, character=0), end=types.Position(line=9, character=0)),
        text="# 😀\nx = [1, 2, 3, 4,",
    )
    client.text_document_did_change(
        types.DidChangeTextDocumentParams(
            text_document=types.VersionedTextDocumentIdentifier(uri=URI, version=2), content_changes=[change]
        )
    )
    result = await complete(client, 1, 99)
    assert result.items[0].range.start == types.Position(line=1, character=16)
    assert "5" in result.items[0].insert_text


@pytest.mark.asyncio
async def test_commands_and_errors(client: LanguageClient):
    params = types.ExecuteCommandParams(command="runabout.statistics", arguments=[])
    counts = await client.workspace_execute_command_async(params)
    assert counts["offered"] == 0
    with pytest.raises(JsonRpcException):
        await client.workspace_execute_command_async(types.ExecuteCommandParams(command="none"))
    client.text_document_did_close(
        types.DidCloseTextDocumentParams(text_document=types.TextDocumentIdentifier(uri="file:///nowhere"))
    )
    assert await complete(client, 0, 0) is None

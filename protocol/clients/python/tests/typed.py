"""How the types are seen by the type checker of a user: `mypy --strict` checks this file, nothing runs it.

An error that is expected has a comment that allows it, and mypy finds such comments that are not needed.
"""

from typing import Optional

from runabout import AsyncClient, Client, RequestFailed


def script(client: Client) -> Optional[str]:
    result = client.complete("a", suffix="b", max_tokens=3, context=[{"path": "a.py", "text": "x"}])
    text: str = result["text"]
    number: int = result["text"]  # type: ignore[assignment]
    client.complete("a", max_tokens="3")  # type: ignore[arg-type]
    client.complete("a", max_token=3)  # type: ignore[call-arg]
    client.chat([{"role": "user", "content": text}], response_format={"type": "regex", "pattern": "a+"})
    with client.chat_stream("a", tools=[{"function": {"name": f"f{number}"}}]) as stream:
        for delta in stream:
            text += delta["text"]
        calls = stream.result()["message"].get("tool_calls", [])
        name: Optional[str] = calls[0]["function"]["name"] if calls else None
    try:
        client.next_edit("a", edits=[{"original": "", "updated": "a\n"}])["edits"][0]["start"].bit_length()
    except RequestFailed as error:
        return error.kind
    return name


async def task(client: AsyncClient) -> int:
    stream = client.complete_stream("a")
    async for delta in stream:
        delta["seq"].bit_length()
    usage = (await stream.result())["usage"]
    await client.chat("a", on_delta=lambda delta: delta["nothing"])  # type: ignore[typeddict-item]
    return usage["prompt_tokens"]

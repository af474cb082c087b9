"""The types of the protocol, written by `protocol/clients/generate.py` from `protocol/schema.json`: do not edit.

A result is the dict that the worker sent. The worker may add members, and values of enumerations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Mapping, Optional, Sequence, TypedDict, Union

if TYPE_CHECKING:
    from typing_extensions import NotRequired  # For type checkers: they bring it along.

# What happened to a request that was to be stopped.
CancelOutcome = Union[Literal["cancelled", "finished", "unknown"], str]
# Where a completion should end.
CompletionMode = Literal["auto", "line", "block", "raw"]
# A rule that may end a completion before the model does. Text that a rule cuts off is never sent.
CompletionRule = Union[
    Literal[
        "line",
        "statement",
        "block",
        "indentation",
        "bracket",
        "suffix",
        "repetition",
        "blank",
    ],
    str,
]
# Where edits come from.
EditSource = Union[Literal["sweep", "sweep-v2", "zeta-2", "zeta-2.1", "fill_in_the_middle"], str]
# Why the text ended. Clients must accept unknown reasons.
FinishReason = Union[
    Literal[
        "stop",
        "eos",
        "length",
        "rule",
        "budget",
        "cancelled",
        "superseded",
        "low_confidence",
        "tool_calls",
    ],
    str,
]
# How a model is asked for the next edit.
NextEditFormat = Literal["auto", "sweep", "sweep-v2", "zeta-2", "zeta-2.1", "fill_in_the_middle"]
# Which requests go first.
Priority = Literal["interactive", "background"]
# The operation whose progress is reported.
ProgressStage = Union[Literal["download", "load", "prefill"], str]
# The unit of `done` and `total`.
ProgressUnit = Union[Literal["bytes", "tokens"], str]
# The author of a message.
Role = Union[Literal["user", "assistant", "system", "tool"], str]
# Whether speculative decoding may be used: tokens are drafted, then several are checked at a time. It does not change
# the text.
Speculation = Literal["off", "auto"]
# The type of a part; only `text` is supported.
TextPartType = Union[Literal["text"], str]
# Whether the model calls tools.
ToolChoiceMode = Literal["auto", "none", "required"]
# The type of a tool; only `function` is supported.
ToolType = Union[Literal["function"], str]
# The worker's state.
WorkerState = Union[Literal["ready", "loading", "failed"], str]


class CacheStatus(TypedDict):
    """The prompt cache."""
    # The number of cached sequences.
    slots: int
    # The number of tokens in the cached sequences.
    tokens: int
    # The memory that the cached sequences take, in bytes.
    bytes: int
    # The number of prompts looked up since the start.
    lookups: NotRequired[int]
    # The number of prompts of which at least a part was found.
    hits: NotRequired[int]
    # The number of tokens of all prompts looked up.
    prompt_tokens: NotRequired[int]
    # The number of those tokens that were found.
    cached_tokens: NotRequired[int]


class CancelParams(TypedDict):
    """Stops a running or waiting request, which is then answered at once. If `cancel` stopped it, the answer is a result
    that holds the text so far; if `$/cancelRequest` did, it is error -32800 with the text so far in `data.partial`. A
    stopped `tokenize`, which has no text so far, is answered with error -32800 in both cases."""
    # The request to stop.
    id: RequestId


class CancelResult(TypedDict):
    """What happened to the request. Its own response is sent before this one."""
    outcome: CancelOutcome
    # The number of tokens that the request had generated; 0 if the request is unknown.
    completion_tokens: int


class CancelledData(TypedDict):
    """The `data` of error -32800."""
    # The text generated so far.
    partial: str


class Capabilities(TypedDict):
    """What the worker can do, independent of the model."""
    # The names of the methods that the worker answers.
    methods: Sequence[str]
    # The names of the notifications that the worker sends.
    notifications: Sequence[str]
    # The supported types of `response_format`.
    response_formats: Sequence[str]
    # Whether `n` may be greater than 1.
    choices: bool
    # Whether speculative decoding is supported.
    speculation: bool


class ChatOptions(TypedDict):
    """The parameters of `ChatParams` that may be left out."""
    # The tools that the model may call. If its chat template does not support tools, the request fails with an error
    # of kind `unsupported`. Default: none.
    tools: NotRequired[Sequence[Tool]]
    # Whether the model calls tools: `auto`, `none`, `required`, or a tool that it must call. Default: `auto`.
    tool_choice: NotRequired[ToolChoice]
    # The form that the answer must have. The prompt does not mention it, so messages should ask for it too. If the
    # model reasons first, the form applies to what follows. Must not be given where tools can be called. Default: any
    # text.
    response_format: NotRequired[Optional[ResponseFormat]]
    # Additional variables for the chat template, such as `{"enable_thinking": false}`.
    chat_template_kwargs: NotRequired[Mapping[str, Any]]
    # The maximum number of tokens to generate. Default: 1024.
    max_tokens: NotRequired[int]
    # The time limit in milliseconds, including waiting; when it is reached, the result is the text so far. Default:
    # none.
    time_budget_ms: NotRequired[Optional[int]]
    # The request's priority. Default: `background`.
    priority: NotRequired[Priority]
    speculation: NotRequired[Speculation]
    # Up to 16 strings that end the text when they are generated; they are not included in it. Default: none.
    stop: NotRequired[Sequence[str]]
    # Reports the log probability of each generated token, and of this number of the most likely tokens beside it; 0
    # reports the generated token only. Default: no report.
    logprobs: NotRequired[Optional[int]]
    # Whether the result includes the token ids of the answer. Default: false.
    return_tokens: NotRequired[bool]
    # The sampling temperature; 0 always takes the most likely token. Default: 0 for `complete`; for `chat` the value
    # in the model's generation config, else 0.7.
    temperature: NotRequired[Optional[float]]
    # Keeps only the most likely tokens whose probabilities add up to this value. Default: 1 (off); for `chat` the
    # value in the model's generation config.
    top_p: NotRequired[Optional[float]]
    # Keeps only this number of the most likely tokens. Default: 0 (off); for `chat` the value in the model's
    # generation config.
    top_k: NotRequired[Optional[int]]
    # Keeps only tokens whose probability is at least this fraction of the most likely token's. Default: 0 (off).
    min_p: NotRequired[Optional[float]]
    # The minimum number of tokens that `min_p` keeps. Default: 1.
    min_tokens_to_keep: NotRequired[Optional[int]]
    # The probability, at each token, of excluding all tokens above `xtc_threshold` but the least likely of them.
    # Default: 0 (off).
    xtc_probability: NotRequired[Optional[float]]
    # The probability above which `xtc_probability` excludes tokens. Default: 0.1.
    xtc_threshold: NotRequired[Optional[float]]
    # Values above 1 make tokens that already occurred less likely. Default: 1 (off).
    repetition_penalty: NotRequired[Optional[float]]
    # The number of last tokens, including the prompt's, that the three penalties consider. Default: 20.
    repetition_context_size: NotRequired[Optional[int]]
    # Subtracted once from the logit of each token that already occurred. Default: 0 (off).
    presence_penalty: NotRequired[Optional[float]]
    # Subtracted from the logit of a token for each time that it already occurred. Default: 0 (off).
    frequency_penalty: NotRequired[Optional[float]]
    # Values to add to the logits of tokens, by token id. Default: none.
    logit_bias: NotRequired[Optional[Mapping[str, float]]]
    # The seed of random sampling: the same seed gives the same text for the same request, whatever else runs. Has no
    # effect at temperature 0. Default: a new one for each request.
    seed: NotRequired[Optional[int]]


class ChatParams(ChatOptions):
    """Generates the assistant's next turn. The messages are rendered with the model's own chat template; their text is
    never read as control tokens."""
    # The conversation so far, at least one message.
    messages: Sequence[Message]
    # Whether the text is also sent in `delta` notifications; the result holds all of it in any case. Default: true.
    stream: NotRequired[bool]


class ChatResult(TypedDict):
    """The assistant's turn."""
    # The answer. Its `content` is all `delta`s concatenated, except for those marked `reasoning`, which make up its
    # `reasoning`.
    message: Message
    finish_reason: FinishReason
    # What looks like a call of a tool but cannot be called: it is malformed, cut off, or names no tool of `tools`.
    tool_call_errors: NotRequired[Sequence[ToolCallError]]
    # Present if `response_format` is given and the text was ended before it had that form.
    incomplete: NotRequired[Optional[Incomplete]]
    usage: Usage
    timing: Timing
    # The token ids of the answer, without the end token; present if `return_tokens` is set.
    tokens: NotRequired[Optional[Sequence[int]]]
    # One entry for each generated token; present if `logprobs` is given.
    logprobs: NotRequired[Optional[Sequence[TokenLogprobs]]]


class Choice(TypedDict):
    """One of several texts."""
    # The index of the choice, as in `choice` of its `delta`s. Indices of repeated texts are left out.
    index: int
    # The text: the `delta`s with this index, concatenated.
    text: str
    finish_reason: FinishReason
    # The rule that ended the text; present if `finish_reason` is `rule`. Clients must accept unknown rules.
    rule: NotRequired[Optional[CompletionRule]]
    # The probability that the model itself gives to the text's first line, from 0 to 1: the higher, the more often
    # that line is what was meant. Absent if there is no text. If the text is withheld, the confidence as far as it
    # was generated.
    confidence: NotRequired[Optional[float]]
    # Present if `response_format` is given and the text was ended before it had that form.
    incomplete: NotRequired[Optional[Incomplete]]
    # The generated token ids; present if `return_tokens` is set.
    tokens: NotRequired[Optional[Sequence[int]]]
    # One entry for each generated token; present if `logprobs` is given.
    logprobs: NotRequired[Optional[Sequence[TokenLogprobs]]]


class ClientInfo(TypedDict):
    """The client's program."""
    name: str
    version: NotRequired[Optional[str]]


class ClientStatus(TypedDict):
    """A client that is connected."""
    # The command that it started: `serve`, `lsp`, `mcp` or `acp`.
    command: str
    # The process that it started.
    pid: int
    # Milliseconds since it connected.
    connected_ms: int


class CompleteOptions(TypedDict):
    """The parameters of `CompleteParams` that may be left out."""
    # The text after the cursor. A model with fill-in-the-middle generates what belongs between; one without it
    # continues `prefix`.
    suffix: NotRequired[Optional[str]]
    # The path of the file, as the model should see it. The file is not opened.
    path: NotRequired[Optional[str]]
    # The programming language, such as `rust`. Default: derived from `path`.
    language: NotRequired[Optional[str]]
    # Other relevant files, the most relevant one last. Those that do not fit are left out, the first ones first.
    context: NotRequired[Sequence[ContextFile]]
    # A key for the document: a newer `complete` with the same key replaces the older one, which then ends with finish
    # reason `superseded`.
    document: NotRequired[Optional[str]]
    # Where the completion should end. Default: `auto`.
    mode: NotRequired[CompletionMode]
    # Which completion rules apply. Default: all; in mode `raw`, none.
    rules: NotRequired[RuleSwitches]
    # Whether the word before the cursor is generated again, so that a token may span the cursor. The repeated part is
    # not included in the text. Has no effect in mode `raw`. Default: true.
    healing: NotRequired[bool]
    # The maximum number of tokens to generate. Default: 128.
    max_tokens: NotRequired[int]
    # The time limit in milliseconds, including waiting; when it is reached, the result is the text so far. Default:
    # none.
    time_budget_ms: NotRequired[Optional[int]]
    # How long computing the prompt may take, in milliseconds. If it would take longer, by the speed measured so far,
    # the model sees only the text near the cursor (about 1.5 KB before it) and no `context`; `usage.trimmed` reports
    # that. Has no effect on `warm` and in mode `raw`. Default: none.
    patience_ms: NotRequired[Optional[int]]
    # The form that the text must have. With it, no rule ends the text. Default: any text.
    response_format: NotRequired[Optional[ResponseFormat]]
    # The number of texts to generate. At temperature 0 they are all the same. Default: 1.
    n: NotRequired[int]
    # Withholds a text whose `confidence` is lower: its text is empty and its finish reason `low_confidence`. Until
    # that is decided, at the latest when the first line or the text is complete, no `delta` is sent; generation stops
    # as soon as it is certain. Default: 0 (nothing is withheld).
    min_confidence: NotRequired[float]
    # The request's priority. Default: `interactive`.
    priority: NotRequired[Priority]
    speculation: NotRequired[Speculation]
    # Up to 16 strings that end the text when they are generated; they are not included in it. Default: none.
    stop: NotRequired[Sequence[str]]
    # Reports the log probability of each generated token, and of this number of the most likely tokens beside it; 0
    # reports the generated token only. Default: no report.
    logprobs: NotRequired[Optional[int]]
    # Whether the result includes the token ids of the text. Default: false.
    return_tokens: NotRequired[bool]
    # The sampling temperature; 0 always takes the most likely token. Default: 0 for `complete`; for `chat` the value
    # in the model's generation config, else 0.7.
    temperature: NotRequired[Optional[float]]
    # Keeps only the most likely tokens whose probabilities add up to this value. Default: 1 (off); for `chat` the
    # value in the model's generation config.
    top_p: NotRequired[Optional[float]]
    # Keeps only this number of the most likely tokens. Default: 0 (off); for `chat` the value in the model's
    # generation config.
    top_k: NotRequired[Optional[int]]
    # Keeps only tokens whose probability is at least this fraction of the most likely token's. Default: 0 (off).
    min_p: NotRequired[Optional[float]]
    # The minimum number of tokens that `min_p` keeps. Default: 1.
    min_tokens_to_keep: NotRequired[Optional[int]]
    # The probability, at each token, of excluding all tokens above `xtc_threshold` but the least likely of them.
    # Default: 0 (off).
    xtc_probability: NotRequired[Optional[float]]
    # The probability above which `xtc_probability` excludes tokens. Default: 0.1.
    xtc_threshold: NotRequired[Optional[float]]
    # Values above 1 make tokens that already occurred less likely. Default: 1 (off).
    repetition_penalty: NotRequired[Optional[float]]
    # The number of last tokens, including the prompt's, that the three penalties consider. Default: 20.
    repetition_context_size: NotRequired[Optional[int]]
    # Subtracted once from the logit of each token that already occurred. Default: 0 (off).
    presence_penalty: NotRequired[Optional[float]]
    # Subtracted from the logit of a token for each time that it already occurred. Default: 0 (off).
    frequency_penalty: NotRequired[Optional[float]]
    # Values to add to the logits of tokens, by token id. Default: none.
    logit_bias: NotRequired[Optional[Mapping[str, float]]]
    # The seed of random sampling: the same seed gives the same text for the same request, whatever else runs. Has no
    # effect at temperature 0. Default: a new one for each request.
    seed: NotRequired[Optional[int]]


class CompleteParams(CompleteOptions):
    """Completes the text at the cursor: fills in between `prefix` and `suffix`, or continues `prefix`."""
    # The text before the cursor. In mode `raw`, the prompt itself.
    prefix: str
    # Whether the text is also sent in `delta` notifications; the result holds all of it in any case. Default: true.
    stream: NotRequired[bool]


class CompleteResult(TypedDict):
    """The completion."""
    # The text of the first choice: its `delta`s, concatenated.
    text: str
    finish_reason: FinishReason
    # The rule that ended the text; present if `finish_reason` is `rule`. Clients must accept unknown rules.
    rule: NotRequired[Optional[CompletionRule]]
    # The probability that the model itself gives to the text's first line, from 0 to 1: the higher, the more often
    # that line is what was meant. Absent if there is no text. If the text is withheld, the confidence as far as it
    # was generated.
    confidence: NotRequired[Optional[float]]
    # Present if `response_format` is given and the text was ended before it had that form.
    incomplete: NotRequired[Optional[Incomplete]]
    # All distinct texts, including the first one; present if `n` is greater than 1.
    choices: NotRequired[Optional[Sequence[Choice]]]
    usage: Usage
    timing: Timing
    # The generated token ids, without the end token; present if `return_tokens` is set. Besides those of `text`, they
    # include what healing generated again before it and what rules cut off after it.
    tokens: NotRequired[Optional[Sequence[int]]]
    # One entry for each generated token; present if `logprobs` is given.
    logprobs: NotRequired[Optional[Sequence[TokenLogprobs]]]


class ContextFile(TypedDict):
    """Another file that helps to complete this one."""
    # The path of the file, as the model should see it. The file is not opened.
    path: str
    text: str


class DeltaParams(TypedDict):
    """A piece of the text that a request generates. Pieces arrive in order and before the response; concatenated, they
    are the text of the result."""
    # The request that the text belongs to.
    id: RequestId
    # The number of this piece within the request, counted from 0.
    seq: int
    # The piece: whole characters, never empty.
    text: str
    # The index of the choice that the text belongs to; present if `n` is greater than 1.
    choice: NotRequired[Optional[int]]
    # Whether the text belongs to the answer's `reasoning` instead of its `content`. Default: false.
    reasoning: NotRequired[bool]


class ModelLoadFailedData(TypedDict):
    """Code 1001. The model could not be loaded. The worker keeps running and answers `status`."""
    kind: Literal["model_load_failed"]
    # What went wrong.
    cause: str
    # A possible remedy.
    hint: NotRequired[Optional[str]]


class PromptTooLongData(TypedDict):
    """Code 1002. The prompt does not fit into the model's context. `chat` and mode `raw` never shorten a prompt."""
    kind: Literal["prompt_too_long"]
    # The number of tokens of the prompt; a lower bound if its size in bytes is already too large.
    prompt_tokens: int
    # The maximum number of tokens of the prompt.
    limit: int


class OverloadedData(TypedDict):
    """Code 1003. The queue is full; try again later."""
    kind: Literal["overloaded"]
    # The number of waiting requests.
    queued: int
    # The size of the request in bytes; present if the total size of requests is the limit.
    needed_bytes: NotRequired[Optional[int]]
    # The size in bytes that would have been accepted; present with `needed_bytes`.
    available_bytes: NotRequired[Optional[int]]


class GenerationFailedData(TypedDict):
    """Code 1004. Generation failed for this request; others continue."""
    kind: Literal["generation_failed"]


class UnsupportedData(TypedDict):
    """Code 1005. The model or this build does not support what was asked."""
    kind: Literal["unsupported"]
    # The parameter that is not supported; absent if the method itself is not.
    field: NotRequired[Optional[str]]


class ShuttingDownData(TypedDict):
    """Code 1006. The worker is shutting down and refuses further requests."""
    kind: Literal["shutting_down"]


class OutOfMemoryData(TypedDict):
    """Code 1007. The request does not fit into memory and was refused before anything was allocated."""
    kind: Literal["out_of_memory"]
    # The memory that the request needs, in bytes.
    needed_bytes: int
    # The memory that was available, in bytes.
    available_bytes: int


class FunctionCall(TypedDict):
    """The function to call, and its arguments."""
    name: str
    # The arguments: an object, or a string that contains one as JSON.
    arguments: NotRequired[ObjectOrText]


class FunctionDefinition(TypedDict):
    """A function, as described to the model."""
    name: str
    # What the function does, in a sentence.
    description: NotRequired[Optional[str]]
    # The JSON Schema of the arguments, which are an object.
    parameters: NotRequired[Optional[Mapping[str, Any]]]


class FunctionName(TypedDict):
    """A function among the tools."""
    name: str


class Incomplete(TypedDict):
    """Where a text was ended before it had the form of `response_format`."""
    # The JSON Pointer of the innermost value that was begun and not ended; present for `json_schema`.
    pointer: NotRequired[Optional[str]]
    # What is open there, from the outside in: `{`, `[`, and `"` for a string or a name; present for `json_schema`.
    open: NotRequired[Optional[str]]


class InitializeParams(TypedDict):
    """Introduces the client. Optional, and answered at once, even while the model loads."""
    # The client, for the worker's log.
    client: NotRequired[Optional[ClientInfo]]
    # The protocol version that the client prefers. The result has the version that is used; a client that does not
    # support it should end the connection.
    protocol_version: NotRequired[Optional[int]]


class InitializeResult(TypedDict):
    """Introduces the worker."""
    # The protocol version that is used from now on.
    protocol_version: int
    server: ServerInfo
    # Whether the model is loaded. Requests sent before that wait for it.
    state: WorkerState
    capabilities: Capabilities
    limits: Limits
    # What is known of the model so far; once it is loaded, `status` has the rest.
    model: ModelSummary


class InvalidParamsData(TypedDict):
    """The `data` of error -32602."""
    # The path of the parameter, such as `messages[0].role`.
    field: str
    # The most similar known parameter; present if this one is unknown.
    nearest: NotRequired[Optional[str]]


class Limits(TypedDict):
    """The limits of this connection and its requests."""
    # The maximum size of a message, in bytes. A larger one is answered with error -32007 and skipped.
    max_frame_bytes: int
    # The maximum number of entries of a batch. A larger one is refused as a whole with error -32010.
    max_batch_entries: int
    # The maximum number of unanswered requests. Further ones are refused with error -32009.
    max_in_flight: int
    # The maximum number of waiting jobs. Further ones are refused with an error of kind `overloaded`.
    max_queued: int
    # The maximum size in bytes of all waiting requests, and of running ones of `complete` with a `document`,
    # together; a single request may be larger. Further ones are refused with an error of kind `overloaded`.
    max_queued_bytes: int
    # The maximum of `max_tokens`.
    max_tokens: int
    # The maximum of `n`.
    max_choices: int
    # The maximum of `logprobs`.
    max_logprobs: int
    # The maximum number of `stop` strings.
    max_stop_strings: int


class MemoryStatus(TypedDict):
    """Memory of the model's device, in bytes."""
    # The memory in use.
    active_bytes: int
    # The highest `active_bytes` since the start.
    peak_bytes: int
    # Memory that was freed and is kept for reuse.
    cache_bytes: int
    # The part of `active_bytes` that holds the model's weights; absent until the model is loaded.
    weights_bytes: NotRequired[Optional[int]]
    # The part of `active_bytes` that holds the keys and values of running requests and of cached prompts.
    kv_bytes: NotRequired[int]
    # The worker's memory limit; absent if there is none.
    limit_bytes: NotRequired[Optional[int]]


class Message(TypedDict):
    """One message of a conversation. A result's `message` can be sent back as it is."""
    role: Role
    # The text, or a list of its parts. May be absent or null only if there are `tool_calls`.
    content: NotRequired[Optional[Content]]
    # The model's reasoning before its answer, for models that reason. `reasoning_content` is read as this, too.
    reasoning: NotRequired[Optional[str]]
    # In an assistant's message: the tool calls that it makes.
    tool_calls: NotRequired[Sequence[ToolCall]]
    # In a tool's message: the id of the tool call that it answers.
    tool_call_id: NotRequired[Optional[str]]
    # The name of the author or of the tool, for chat templates that write it.
    name: NotRequired[Optional[str]]


class ModelSummary(TypedDict):
    """The model, as far as it is known. While the model loads, only `name` may be present."""
    # The model's name; until a shorter one is known, the reference by which the worker was told to load it.
    name: str
    # The model's architecture, such as `qwen2`.
    architecture: NotRequired[Optional[str]]
    # The maximum number of tokens of a prompt and its answer together.
    context_length: NotRequired[Optional[int]]
    # The size of the weights in memory, in bytes.
    weights_bytes: NotRequired[Optional[int]]
    # Bits per weight; absent if the weights are not quantized.
    quantization_bits: NotRequired[Optional[int]]
    # The arithmetic of products with quantized weights, where it can be chosen: `f32`, `int16` or `int8`.
    precision: NotRequired[Optional[str]]
    # Whether `complete` uses `suffix` and `context`.
    fill_in_the_middle: NotRequired[Optional[bool]]
    # How `complete` prompts the model: the name of its fill-in-the-middle format, such as `qwen`, or `continuation`
    # if it can only continue `prefix`.
    completion_format: NotRequired[Optional[str]]
    # How `next_edit` asks the model: `sweep`, `sweep-v2`, `zeta-2`, `zeta-2.1` or `fill_in_the_middle`; absent if the
    # model cannot predict edits.
    next_edit_format: NotRequired[Optional[str]]
    # Whether the model has a chat template. Without one, `chat` fails with an error of kind `unsupported`.
    chat: NotRequired[Optional[bool]]


class NamedTool(TypedDict):
    """A tool that the model must call."""
    type: ToolType
    function: FunctionName


class NextEditOptions(TypedDict):
    """The parameters of `NextEditParams` that may be left out."""
    # The document after the cursor.
    suffix: NotRequired[str]
    # The path of the file, as the model should see it. The file is not opened.
    path: NotRequired[Optional[str]]
    # The programming language, such as `rust`. Default: derived from `path`.
    language: NotRequired[Optional[str]]
    # Other relevant files, the most relevant one last. Those that do not fit are left out, the first ones first.
    context: NotRequired[Sequence[ContextFile]]
    # What was changed recently, the latest change last. Those that do not fit are left out, the oldest ones first.
    edits: NotRequired[Sequence[RecentEdit]]
    # How the model is asked. Default: `auto`.
    format: NotRequired[NextEditFormat]
    # The maximum number of tokens to generate. An answer that is cut off before it has come back to unchanged lines
    # is of no use. Default: 1024.
    max_tokens: NotRequired[int]
    # The time limit in milliseconds, including waiting. Default: none.
    time_budget_ms: NotRequired[Optional[int]]
    # Withholds edits whose `confidence` is lower: `edits` is empty then and the finish reason `low_confidence`.
    # Default: 0 (nothing is withheld).
    min_confidence: NotRequired[float]
    # The request's priority. Default: `interactive`.
    priority: NotRequired[Priority]
    speculation: NotRequired[Speculation]


class NextEditParams(NextEditOptions):
    """Predicts what will be changed next near the cursor, from what was changed before. A model made for that rewrites
    the lines around the cursor; one that fills in the middle inserts text at the place of the latest edit."""
    # The document before the cursor. If it is not all of it, it begins at the beginning of a line.
    prefix: str


class NextEditResult(TypedDict):
    """What will probably be changed next."""
    # The edits, in ascending order and without overlap; empty if nothing is to be changed. All of them refer to the
    # document as it was sent.
    edits: Sequence[TextEdit]
    # Where the first edit begins, in characters as `start`: the place to jump to. Absent without edits.
    jump_to: NotRequired[Optional[int]]
    # Where the edits come from; absent if the request ended before the model was asked. Clients must accept unknown
    # sources.
    source: NotRequired[Optional[EditSource]]
    # The probability that the model itself gives to the first line that it changes, from where it changes it, from 0
    # to 1. Absent if it changes nothing, or removes the last lines that it was shown.
    confidence: NotRequired[Optional[float]]
    finish_reason: FinishReason
    usage: Usage
    timing: Timing


class NoParams(TypedDict):
    """This method takes no parameters."""


class ProgressParams(TypedDict):
    """How far a long operation has come. Sent at least once a second while it runs; for stage `prefill`, when there is
    progress to report, at most twice a second."""
    # The request that waits for the operation; absent if it belongs to no single request.
    id: NotRequired[Optional[RequestId]]
    stage: ProgressStage
    # The number of units that are done; never decreases within a stage.
    done: int
    # The number of units in total; absent while it is unknown.
    total: NotRequired[Optional[int]]
    unit: ProgressUnit


class QueueStatus(TypedDict):
    """The jobs of the model."""
    # The number of running jobs.
    running: int
    # The number of waiting jobs.
    waiting: int


class RecentEdit(TypedDict):
    """A change that a person has made: some whole lines of a file took the place of others. The end of the last line may
    be missing, and an empty text is no line at all."""
    # The path of the file that was changed. Default: the document itself.
    path: NotRequired[Optional[str]]
    # The lines before the change.
    original: str
    # The lines after the change.
    updated: str
    # The line of the document at which `updated` begins now, counted from 0 at the beginning of `prefix`. Only for
    # changes of the document itself. Default: the line nearest to the cursor where `updated` stands.
    line: NotRequired[Optional[int]]


class TextFormat(TypedDict):
    """Any text; the same as no format."""
    type: Literal["text"]


class JsonSchemaFormat(TypedDict):
    """JSON that is valid by the schema, on one line, with its properties in the schema's order. OpenAI's form, with the
    schema in `json_schema`, and its type `json_object` are read too."""
    type: Literal["json_schema"]
    # The JSON Schema.
    schema: Any


class RegexFormat(TypedDict):
    """Text that the pattern matches as a whole."""
    type: Literal["regex"]
    # The pattern, in the syntax of Rust's `regex` crate, without look-around and `\b`.
    pattern: str


class LarkFormat(TypedDict):
    """Text that the grammar generates from its rule `start`."""
    type: Literal["lark"]
    # The grammar, in llguidance's form of Lark.
    grammar: str


class RuleSwitches(TypedDict):
    """Which completion rules apply."""
    # The rules that do not apply. Default: none.
    off: NotRequired[Sequence[CompletionRule]]


class ServerInfo(TypedDict):
    """The worker's program."""
    name: str
    version: str


class SpeedStatus(TypedDict):
    """Speed, measured over the last requests."""
    # Uncached prompt tokens processed per second; absent until measured.
    prompt_tokens_per_second: NotRequired[Optional[float]]
    # Tokens generated per second; absent until measured.
    generation_tokens_per_second: NotRequired[Optional[float]]


class StatusParams(TypedDict):
    """The worker's state has changed, or memory is running short."""
    state: WorkerState
    # The model, in state `ready`.
    model: NotRequired[Optional[ModelSummary]]
    # Why the model could not be loaded, in state `failed`.
    error: NotRequired[Optional[ErrorData]]
    # Memory usage; present if memory is running short.
    memory: NotRequired[Optional[MemoryStatus]]


class StatusResult(TypedDict):
    """The worker's current state."""
    state: WorkerState
    # Why the model could not be loaded, in state `failed`.
    error: NotRequired[Optional[ErrorData]]
    server: ServerInfo
    # Milliseconds since the process started.
    uptime_ms: int
    model: ModelSummary
    # The device that the model runs on, such as `cpu` or `gpu`; absent until the model is loaded.
    device: NotRequired[Optional[str]]
    memory: MemoryStatus
    queue: QueueStatus
    cache: CacheStatus
    # The number of tokens that the model has computed since the start, of prompts and of generated text.
    computed_tokens: NotRequired[int]
    speed: SpeedStatus
    # The clients that this process serves, this one included, in the order in which they came. Usually all clients
    # with the same model and options share one process.
    clients: NotRequired[Sequence[ClientStatus]]
    # What became of the suggestions that this client was offered as an editor; absent if there were none.
    suggestions: NotRequired[Optional[SuggestionStatus]]


class SuggestionStatus(TypedDict):
    """Counts of suggestions. One that is typed through, piece by piece, is one suggestion."""
    # The number of suggestions that the client was sent.
    offered: int
    # The number of those that it has shown.
    shown: int
    # The number of those that were accepted in full.
    accepted: int
    # The number of those of which a part was accepted first.
    partially_accepted: int
    # The number of those that were dismissed.
    dismissed: int
    # The number of characters (Unicode scalar values) that were accepted.
    accepted_characters: int
    # The number of suggestions that were accepted in full and were unchanged 30 seconds later, but for white space.
    retained: int
    # The number of accepted suggestions that were looked at again after 30 seconds.
    retained_of: int
    # The median time from showing a suggestion to accepting it, in milliseconds; absent if none was accepted in full.
    shown_to_accept_ms: NotRequired[Optional[int]]


class TextEdit(TypedDict):
    """A piece of the document that is replaced."""
    # Where it begins: the number of characters (Unicode scalar values) before it in `prefix` and `suffix` together.
    start: int
    # Where it ends, in the same way; equal to `start` for an insertion.
    end: int
    # The text that takes its place, with the line ends of the document; empty for a removal.
    text: str


class TextPart(TypedDict):
    """A part of a text."""
    type: TextPartType
    text: str


class Timing(TypedDict):
    """Where the time was spent. All times are in milliseconds."""
    # From reading the request until work on it began, including the wait for the model to load.
    queue_ms: float
    # From the beginning of work until the prompt was processed.
    prefill_ms: float
    # From reading the request until the first token; absent if there was none.
    first_token_ms: NotRequired[Optional[float]]
    # From the first token until the end.
    decode_ms: float
    # From reading the request until the end.
    total_ms: float
    # Uncached prompt tokens per second of `prefill_ms`; absent if there was nothing to measure.
    prompt_tokens_per_second: NotRequired[Optional[float]]
    # Tokens after the first per second of `decode_ms`; absent if there was nothing to measure.
    generation_tokens_per_second: NotRequired[Optional[float]]


class TokenLogprobs(TypedDict):
    """The probability of a generated token and of its alternatives."""
    # The id of the token.
    token: int
    # The token's text. An incomplete character is shown as U+FFFD.
    text: str
    # The natural logarithm of the token's probability, after logit bias and penalties, before temperature and
    # truncation.
    logprob: float
    # The most likely tokens, most likely first; as many as `logprobs` asks for.
    top: Sequence[TopLogprob]


class TokenizeParams(TypedDict):
    """Counts the tokens of a text or of a conversation. Exactly one of `text` and `messages` must be given."""
    # The text to count, without the token that the model expects at the start of a prompt.
    text: NotRequired[Optional[str]]
    # The conversation to count, rendered as for `chat`, including the start of the assistant's turn.
    messages: NotRequired[Optional[Sequence[Message]]]
    # With `messages`: the tools to render, as for `chat`.
    tools: NotRequired[Sequence[Tool]]
    # With `messages`: additional variables for the chat template.
    chat_template_kwargs: NotRequired[Mapping[str, Any]]
    # Whether the result includes the token ids. Default: false.
    return_tokens: NotRequired[bool]


class TokenizeResult(TypedDict):
    """The number of tokens."""
    count: int
    # The token ids; present if `return_tokens` is set.
    tokens: NotRequired[Optional[Sequence[int]]]


class Tool(TypedDict):
    """A tool that the model may call."""
    type: NotRequired[ToolType]
    function: FunctionDefinition


class ToolCall(TypedDict):
    """A tool call that the model makes."""
    # The id of the call; the tool's message repeats it as `tool_call_id`.
    id: str
    type: NotRequired[ToolType]
    function: FunctionCall
    # The place of the call among those of its message, which its place in the list says already. Ignored.
    index: NotRequired[Optional[int]]


class ToolCallError(TypedDict):
    """What the model wrote as a call of a tool, but cannot be called."""
    # Why it cannot be called, for people.
    message: str
    # What the model wrote. It is part of the message's `content`, too.
    text: str


class TopLogprob(TypedDict):
    """One of the most likely tokens at a position."""
    token: int
    # The token's text. An incomplete character is shown as U+FFFD.
    text: str
    # The natural logarithm of the token's probability, after logit bias and penalties, before temperature and
    # truncation.
    logprob: float


class Trimmed(TypedDict):
    """What was left out of a prompt that was too long, or would have taken too long. The text nearest to the cursor is
    kept."""
    # The number of characters (Unicode scalar values) removed from the start of `prefix`.
    prefix_chars: int
    # The number of characters (Unicode scalar values) removed from the end of `suffix`.
    suffix_chars: int
    # The number of entries removed from the start of `context`.
    context_files: int


class Usage(TypedDict):
    """What a request used, in tokens."""
    # The number of tokens of the prompt, after trimming.
    prompt_tokens: int
    # The number of prompt tokens that were already in the cache and were not processed again.
    cached_tokens: int
    # The number of generated tokens over all choices, including the token that ended the text.
    completion_tokens: int
    # The number of drafted tokens; 0 without speculative decoding.
    drafted_tokens: int
    # The number of drafted tokens that were accepted.
    accepted_tokens: int
    # What `complete` left out to fit into the model's context, or to answer in time (`patience_ms`); absent if
    # nothing was left out.
    trimmed: NotRequired[Optional[Trimmed]]


class WarmResult(TypedDict):
    """The prompt is now in the cache."""
    # The number of tokens of the prompt.
    prompt_tokens: int
    # The number of those tokens that were already in the cache.
    cached_tokens: int

# The content of a message.
Content = Union[str, Sequence[TextPart]]

# The `data` of the worker's own errors. Clients branch on `kind` and must accept unknown kinds.
ErrorData = Union[
    ModelLoadFailedData,
    PromptTooLongData,
    OverloadedData,
    GenerationFailedData,
    UnsupportedData,
    ShuttingDownData,
    OutOfMemoryData,
]

# How arguments may be written.
ObjectOrText = Union[Mapping[str, Any], str]

# The `id` of a request, exactly as the request wrote it.
RequestId = Union[str, float]

# The form that a text must have. Tokens that would violate it are never generated.
ResponseFormat = Union[
    TextFormat,
    JsonSchemaFormat,
    RegexFormat,
    LarkFormat,
]

# Whether the model calls tools.
ToolChoice = Union[ToolChoiceMode, NamedTool]

# The params of a later `complete` or `chat` that should start fast; those of `chat` if `messages` is present. Only
# the prompt is processed: parameters that concern the answer have no effect.
WarmParams = Union[CompleteParams, ChatParams]

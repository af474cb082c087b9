// The types of the protocol, written by `protocol/clients/generate.py` from `protocol/schema.json`: do not edit.
//
// The worker may add members to what it sends, and values to enumerations.

/** The prompt cache. */
export interface CacheStatus {
  /** The number of cached sequences. */
  slots: number;
  /** The number of tokens in the cached sequences. */
  tokens: number;
  /** The memory that the cached sequences take, in bytes. */
  bytes: number;
  /** The number of prompts looked up since the start. */
  lookups?: number;
  /** The number of prompts of which at least a part was found. */
  hits?: number;
  /** The number of tokens of all prompts looked up. */
  prompt_tokens?: number;
  /** The number of those tokens that were found. */
  cached_tokens?: number;
}

/** What happened to a request that was to be stopped. */
export type CancelOutcome =
  /** It was running or waiting, and has been stopped. */
  | "cancelled"
  /** It had already been answered, or ended by itself before it could be stopped. */
  | "finished"
  /** There is no such request, it was answered too long ago, or it is itself a `cancel`, which cannot be stopped. */
  | "unknown"
  | (string & {});

/**
 * Stops a running or waiting request, which is then answered at once. If `cancel` stopped it, the answer is a result
 * that holds the text so far; if `$/cancelRequest` did, it is error -32800 with the text so far in `data.partial`. A
 * stopped `tokenize`, which has no text so far, is answered with error -32800 in both cases.
 */
export interface CancelParams {
  /** The request to stop. */
  id: RequestId;
}

/** What happened to the request. Its own response is sent before this one. */
export interface CancelResult {
  outcome: CancelOutcome;
  /** The number of tokens that the request had generated; 0 if the request is unknown. */
  completion_tokens: number;
}

/** The `data` of error -32800. */
export interface CancelledData {
  /** The text generated so far. */
  partial: string;
}

/** What the worker can do, independent of the model. */
export interface Capabilities {
  /** The names of the methods that the worker answers. */
  methods: string[];
  /** The names of the notifications that the worker sends. */
  notifications: string[];
  /** The supported types of `response_format`. */
  response_formats: string[];
  /** Whether `n` may be greater than 1. */
  choices: boolean;
  /** Whether speculative decoding is supported. */
  speculation: boolean;
}

/**
 * Generates the assistant's next turn. The messages are rendered with the model's own chat template; their text is
 * never read as control tokens.
 */
export interface ChatParams {
  /** The conversation so far, at least one message. */
  messages: Message[];
  /**
   * The tools that the model may call. If its chat template does not support tools, the request fails with an error
   * of kind `unsupported`. Default: none.
   */
  tools?: Tool[];
  /** Whether the model calls tools: `auto`, `none`, `required`, or a tool that it must call. Default: `auto`. */
  tool_choice?: ToolChoice;
  /**
   * The form that the answer must have. The prompt does not mention it, so messages should ask for it too. If the
   * model reasons first, the form applies to what follows. Must not be given where tools can be called. Default: any
   * text.
   */
  response_format?: ResponseFormat | null;
  /** Additional variables for the chat template, such as `{"enable_thinking": false}`. */
  chat_template_kwargs?: Record<string, unknown>;
  /** The maximum number of tokens to generate. Default: 1024. */
  max_tokens?: number;
  /**
   * The time limit in milliseconds, including waiting; when it is reached, the result is the text so far. Default:
   * none.
   */
  time_budget_ms?: number | null;
  /** Whether the text is also sent in `delta` notifications; the result holds all of it in any case. Default: true. */
  stream?: boolean;
  /** The request's priority. Default: `background`. */
  priority?: Priority;
  speculation?: Speculation;
  /** Up to 16 strings that end the text when they are generated; they are not included in it. Default: none. */
  stop?: string[];
  /**
   * Reports the log probability of each generated token, and of this number of the most likely tokens beside it; 0
   * reports the generated token only. Default: no report.
   */
  logprobs?: number | null;
  /** Whether the result includes the token ids of the answer. Default: false. */
  return_tokens?: boolean;
  /**
   * The sampling temperature; 0 always takes the most likely token. Default: 0 for `complete`; for `chat` the value
   * in the model's generation config, else 0.7.
   */
  temperature?: number | null;
  /**
   * Keeps only the most likely tokens whose probabilities add up to this value. Default: 1 (off); for `chat` the
   * value in the model's generation config.
   */
  top_p?: number | null;
  /**
   * Keeps only this number of the most likely tokens. Default: 0 (off); for `chat` the value in the model's
   * generation config.
   */
  top_k?: number | null;
  /** Keeps only tokens whose probability is at least this fraction of the most likely token's. Default: 0 (off). */
  min_p?: number | null;
  /** The minimum number of tokens that `min_p` keeps. Default: 1. */
  min_tokens_to_keep?: number | null;
  /**
   * The probability, at each token, of excluding all tokens above `xtc_threshold` but the least likely of them.
   * Default: 0 (off).
   */
  xtc_probability?: number | null;
  /** The probability above which `xtc_probability` excludes tokens. Default: 0.1. */
  xtc_threshold?: number | null;
  /** Values above 1 make tokens that already occurred less likely. Default: 1 (off). */
  repetition_penalty?: number | null;
  /** The number of last tokens, including the prompt's, that the three penalties consider. Default: 20. */
  repetition_context_size?: number | null;
  /** Subtracted once from the logit of each token that already occurred. Default: 0 (off). */
  presence_penalty?: number | null;
  /** Subtracted from the logit of a token for each time that it already occurred. Default: 0 (off). */
  frequency_penalty?: number | null;
  /** Values to add to the logits of tokens, by token id. Default: none. */
  logit_bias?: Record<string, number> | null;
  /**
   * The seed of random sampling: the same seed gives the same text for the same request, whatever else runs. Has no
   * effect at temperature 0. Default: a new one for each request.
   */
  seed?: number | null;
}

/** The assistant's turn. */
export interface ChatResult {
  /**
   * The answer. Its `content` is all `delta`s concatenated, except for those marked `reasoning`, which make up its
   * `reasoning`.
   */
  message: Message;
  finish_reason: FinishReason;
  /** What looks like a call of a tool but cannot be called: it is malformed, cut off, or names no tool of `tools`. */
  tool_call_errors?: ToolCallError[];
  /** Present if `response_format` is given and the text was ended before it had that form. */
  incomplete?: Incomplete | null;
  usage: Usage;
  timing: Timing;
  /** The token ids of the answer, without the end token; present if `return_tokens` is set. */
  tokens?: number[] | null;
  /** One entry for each generated token; present if `logprobs` is given. */
  logprobs?: TokenLogprobs[] | null;
}

/** One of several texts. */
export interface Choice {
  /** The index of the choice, as in `choice` of its `delta`s. Indices of repeated texts are left out. */
  index: number;
  /** The text: the `delta`s with this index, concatenated. */
  text: string;
  finish_reason: FinishReason;
  /** The rule that ended the text; present if `finish_reason` is `rule`. Clients must accept unknown rules. */
  rule?: CompletionRule | null;
  /**
   * The probability that the model itself gives to the text's first line, from 0 to 1: the higher, the more often
   * that line is what was meant. Absent if there is no text. If the text is withheld, the confidence as far as it was
   * generated.
   */
  confidence?: number | null;
  /** Present if `response_format` is given and the text was ended before it had that form. */
  incomplete?: Incomplete | null;
  /** The generated token ids; present if `return_tokens` is set. */
  tokens?: number[] | null;
  /** One entry for each generated token; present if `logprobs` is given. */
  logprobs?: TokenLogprobs[] | null;
}

/** The client's program. */
export interface ClientInfo {
  name: string;
  version?: string | null;
}

/** A client that is connected. */
export interface ClientStatus {
  /** The command that it started: `serve`, `lsp`, `mcp` or `acp`. */
  command: string;
  /** The process that it started. */
  pid: number;
  /** Milliseconds since it connected. */
  connected_ms: number;
}

/** Completes the text at the cursor: fills in between `prefix` and `suffix`, or continues `prefix`. */
export interface CompleteParams {
  /** The text before the cursor. In mode `raw`, the prompt itself. */
  prefix: string;
  /**
   * The text after the cursor. A model with fill-in-the-middle generates what belongs between; one without it
   * continues `prefix`.
   */
  suffix?: string | null;
  /** The path of the file, as the model should see it. The file is not opened. */
  path?: string | null;
  /** The programming language, such as `rust`. Default: derived from `path`. */
  language?: string | null;
  /** Other relevant files, the most relevant one last. Those that do not fit are left out, the first ones first. */
  context?: ContextFile[];
  /**
   * A key for the document: a newer `complete` with the same key replaces the older one, which then ends with finish
   * reason `superseded`.
   */
  document?: string | null;
  /** Where the completion should end. Default: `auto`. */
  mode?: CompletionMode;
  /** Which completion rules apply. Default: all; in mode `raw`, none. */
  rules?: RuleSwitches;
  /**
   * Whether the word before the cursor is generated again, so that a token may span the cursor. The repeated part is
   * not included in the text. Has no effect in mode `raw`. Default: true.
   */
  healing?: boolean;
  /** The maximum number of tokens to generate. Default: 128. */
  max_tokens?: number;
  /**
   * The time limit in milliseconds, including waiting; when it is reached, the result is the text so far. Default:
   * none.
   */
  time_budget_ms?: number | null;
  /**
   * How long computing the prompt may take, in milliseconds. If it would take longer, by the speed measured so far,
   * the model sees only the text near the cursor (about 1.5 KB before it) and no `context`; `usage.trimmed` reports
   * that. Has no effect on `warm` and in mode `raw`. Default: none.
   */
  patience_ms?: number | null;
  /** The form that the text must have. With it, no rule ends the text. Default: any text. */
  response_format?: ResponseFormat | null;
  /** The number of texts to generate. At temperature 0 they are all the same. Default: 1. */
  n?: number;
  /**
   * Withholds a text whose `confidence` is lower: its text is empty and its finish reason `low_confidence`. Until
   * that is decided, at the latest when the first line or the text is complete, no `delta` is sent; generation stops
   * as soon as it is certain. Default: 0 (nothing is withheld).
   */
  min_confidence?: number;
  /** Whether the text is also sent in `delta` notifications; the result holds all of it in any case. Default: true. */
  stream?: boolean;
  /** The request's priority. Default: `interactive`. */
  priority?: Priority;
  speculation?: Speculation;
  /** Up to 16 strings that end the text when they are generated; they are not included in it. Default: none. */
  stop?: string[];
  /**
   * Reports the log probability of each generated token, and of this number of the most likely tokens beside it; 0
   * reports the generated token only. Default: no report.
   */
  logprobs?: number | null;
  /** Whether the result includes the token ids of the text. Default: false. */
  return_tokens?: boolean;
  /**
   * The sampling temperature; 0 always takes the most likely token. Default: 0 for `complete`; for `chat` the value
   * in the model's generation config, else 0.7.
   */
  temperature?: number | null;
  /**
   * Keeps only the most likely tokens whose probabilities add up to this value. Default: 1 (off); for `chat` the
   * value in the model's generation config.
   */
  top_p?: number | null;
  /**
   * Keeps only this number of the most likely tokens. Default: 0 (off); for `chat` the value in the model's
   * generation config.
   */
  top_k?: number | null;
  /** Keeps only tokens whose probability is at least this fraction of the most likely token's. Default: 0 (off). */
  min_p?: number | null;
  /** The minimum number of tokens that `min_p` keeps. Default: 1. */
  min_tokens_to_keep?: number | null;
  /**
   * The probability, at each token, of excluding all tokens above `xtc_threshold` but the least likely of them.
   * Default: 0 (off).
   */
  xtc_probability?: number | null;
  /** The probability above which `xtc_probability` excludes tokens. Default: 0.1. */
  xtc_threshold?: number | null;
  /** Values above 1 make tokens that already occurred less likely. Default: 1 (off). */
  repetition_penalty?: number | null;
  /** The number of last tokens, including the prompt's, that the three penalties consider. Default: 20. */
  repetition_context_size?: number | null;
  /** Subtracted once from the logit of each token that already occurred. Default: 0 (off). */
  presence_penalty?: number | null;
  /** Subtracted from the logit of a token for each time that it already occurred. Default: 0 (off). */
  frequency_penalty?: number | null;
  /** Values to add to the logits of tokens, by token id. Default: none. */
  logit_bias?: Record<string, number> | null;
  /**
   * The seed of random sampling: the same seed gives the same text for the same request, whatever else runs. Has no
   * effect at temperature 0. Default: a new one for each request.
   */
  seed?: number | null;
}

/** The completion. */
export interface CompleteResult {
  /** The text of the first choice: its `delta`s, concatenated. */
  text: string;
  finish_reason: FinishReason;
  /** The rule that ended the text; present if `finish_reason` is `rule`. Clients must accept unknown rules. */
  rule?: CompletionRule | null;
  /**
   * The probability that the model itself gives to the text's first line, from 0 to 1: the higher, the more often
   * that line is what was meant. Absent if there is no text. If the text is withheld, the confidence as far as it was
   * generated.
   */
  confidence?: number | null;
  /** Present if `response_format` is given and the text was ended before it had that form. */
  incomplete?: Incomplete | null;
  /** All distinct texts, including the first one; present if `n` is greater than 1. */
  choices?: Choice[] | null;
  usage: Usage;
  timing: Timing;
  /**
   * The generated token ids, without the end token; present if `return_tokens` is set. Besides those of `text`, they
   * include what healing generated again before it and what rules cut off after it.
   */
  tokens?: number[] | null;
  /** One entry for each generated token; present if `logprobs` is given. */
  logprobs?: TokenLogprobs[] | null;
}

/** Where a completion should end. */
export type CompletionMode =
  /** At the end of the line, the statement or the block, depending on the code around the cursor. */
  | "auto"
  /** At the end of the line. */
  | "line"
  /** At the end of the block. */
  | "block"
  /** Where the model ends it: `prefix` is the prompt as it is, and no rules apply. */
  | "raw";

/** A rule that may end a completion before the model does. Text that a rule cuts off is never sent. */
export type CompletionRule =
  /** The line is complete. */
  | "line"
  /** The statement is complete: its line has ended, and every bracket that it opened is closed. */
  | "statement"
  /** The block is complete: its closing line has ended, or an empty line precedes a line of the same level. */
  | "block"
  /** A line is less indented than the block that the cursor is in. */
  | "indentation"
  /** A bracket closes what `suffix` already closes, or what was never opened. */
  | "bracket"
  /** The text begins to repeat `suffix`, literally or nearly. */
  | "suffix"
  /** The text repeats itself or the lines before it. */
  | "repetition"
  /** The text is nothing but white space. */
  | "blank"
  | (string & {});

/** The content of a message. */
export type Content = string | TextPart[];

/** Another file that helps to complete this one. */
export interface ContextFile {
  /** The path of the file, as the model should see it. The file is not opened. */
  path: string;
  text: string;
}

/**
 * A piece of the text that a request generates. Pieces arrive in order and before the response; concatenated, they
 * are the text of the result.
 */
export interface DeltaParams {
  /** The request that the text belongs to. */
  id: RequestId;
  /** The number of this piece within the request, counted from 0. */
  seq: number;
  /** The piece: whole characters, never empty. */
  text: string;
  /** The index of the choice that the text belongs to; present if `n` is greater than 1. */
  choice?: number | null;
  /** Whether the text belongs to the answer's `reasoning` instead of its `content`. Default: false. */
  reasoning?: boolean;
}

/** Where edits come from. */
export type EditSource =
  /** From a model that predicts edits, asked in the format of Sweep's models. */
  | "sweep"
  /** In the format of their second version. */
  | "sweep-v2"
  /** In the format of Zeta 2. */
  | "zeta-2"
  /** In the format of Zeta 2.1. */
  | "zeta-2.1"
  /** From a model that fills in the middle: one insertion, at the place of the latest edit. */
  | "fill_in_the_middle"
  | (string & {});

/** Code 1001. The model could not be loaded. The worker keeps running and answers `status`. */
export interface ModelLoadFailedData {
  kind: "model_load_failed";
  /** What went wrong. */
  cause: string;
  /** A possible remedy. */
  hint?: string | null;
}

/** Code 1002. The prompt does not fit into the model's context. `chat` and mode `raw` never shorten a prompt. */
export interface PromptTooLongData {
  kind: "prompt_too_long";
  /** The number of tokens of the prompt; a lower bound if its size in bytes is already too large. */
  prompt_tokens: number;
  /** The maximum number of tokens of the prompt. */
  limit: number;
}

/** Code 1003. The queue is full; try again later. */
export interface OverloadedData {
  kind: "overloaded";
  /** The number of waiting requests. */
  queued: number;
  /** The size of the request in bytes; present if the total size of requests is the limit. */
  needed_bytes?: number | null;
  /** The size in bytes that would have been accepted; present with `needed_bytes`. */
  available_bytes?: number | null;
}

/** Code 1004. Generation failed for this request; others continue. */
export interface GenerationFailedData {
  kind: "generation_failed";
}

/** Code 1005. The model or this build does not support what was asked. */
export interface UnsupportedData {
  kind: "unsupported";
  /** The parameter that is not supported; absent if the method itself is not. */
  field?: string | null;
}

/** Code 1006. The worker is shutting down and refuses further requests. */
export interface ShuttingDownData {
  kind: "shutting_down";
}

/** Code 1007. The request does not fit into memory and was refused before anything was allocated. */
export interface OutOfMemoryData {
  kind: "out_of_memory";
  /** The memory that the request needs, in bytes. */
  needed_bytes: number;
  /** The memory that was available, in bytes. */
  available_bytes: number;
}

/** The `data` of the worker's own errors. Clients branch on `kind` and must accept unknown kinds. */
export type ErrorData =
  | ModelLoadFailedData
  | PromptTooLongData
  | OverloadedData
  | GenerationFailedData
  | UnsupportedData
  | ShuttingDownData
  | OutOfMemoryData;

/** Why the text ended. Clients must accept unknown reasons. */
export type FinishReason =
  /** One of the `stop` strings was generated. It is not part of the text. */
  | "stop"
  /** The model ended the text. */
  | "eos"
  /** `max_tokens` or the end of the model's context was reached. */
  | "length"
  /** A completion rule ended the text; `rule` names it. */
  | "rule"
  /** `time_budget_ms` was used up. */
  | "budget"
  /** The client cancelled the request, or the connection ended. The result holds the text so far. */
  | "cancelled"
  /** A newer `complete` with the same `document` replaced this one. The result holds the text so far. */
  | "superseded"
  /** The text is withheld: its `confidence` is below `min_confidence`. */
  | "low_confidence"
  /** The model calls tools; the calls are in `message.tool_calls`. */
  | "tool_calls"
  | (string & {});

/** The function to call, and its arguments. */
export interface FunctionCall {
  name: string;
  /** The arguments: an object, or a string that contains one as JSON. */
  arguments?: ObjectOrText;
}

/** A function, as described to the model. */
export interface FunctionDefinition {
  name: string;
  /** What the function does, in a sentence. */
  description?: string | null;
  /** The JSON Schema of the arguments, which are an object. */
  parameters?: Record<string, unknown> | null;
}

/** A function among the tools. */
export interface FunctionName {
  name: string;
}

/** Where a text was ended before it had the form of `response_format`. */
export interface Incomplete {
  /** The JSON Pointer of the innermost value that was begun and not ended; present for `json_schema`. */
  pointer?: string | null;
  /** What is open there, from the outside in: `{`, `[`, and `"` for a string or a name; present for `json_schema`. */
  open?: string | null;
}

/** Introduces the client. Optional, and answered at once, even while the model loads. */
export interface InitializeParams {
  /** The client, for the worker's log. */
  client?: ClientInfo | null;
  /**
   * The protocol version that the client prefers. The result has the version that is used; a client that does not
   * support it should end the connection.
   */
  protocol_version?: number | null;
}

/** Introduces the worker. */
export interface InitializeResult {
  /** The protocol version that is used from now on. */
  protocol_version: number;
  server: ServerInfo;
  /** Whether the model is loaded. Requests sent before that wait for it. */
  state: WorkerState;
  capabilities: Capabilities;
  limits: Limits;
  /** What is known of the model so far; once it is loaded, `status` has the rest. */
  model: ModelSummary;
}

/** The `data` of error -32602. */
export interface InvalidParamsData {
  /** The path of the parameter, such as `messages[0].role`. */
  field: string;
  /** The most similar known parameter; present if this one is unknown. */
  nearest?: string | null;
}

/** The limits of this connection and its requests. */
export interface Limits {
  /** The maximum size of a message, in bytes. A larger one is answered with error -32007 and skipped. */
  max_frame_bytes: number;
  /** The maximum number of entries of a batch. A larger one is refused as a whole with error -32010. */
  max_batch_entries: number;
  /** The maximum number of unanswered requests. Further ones are refused with error -32009. */
  max_in_flight: number;
  /** The maximum number of waiting jobs. Further ones are refused with an error of kind `overloaded`. */
  max_queued: number;
  /**
   * The maximum size in bytes of all waiting requests, and of running ones of `complete` with a `document`, together;
   * a single request may be larger. Further ones are refused with an error of kind `overloaded`.
   */
  max_queued_bytes: number;
  /** The maximum of `max_tokens`. */
  max_tokens: number;
  /** The maximum of `n`. */
  max_choices: number;
  /** The maximum of `logprobs`. */
  max_logprobs: number;
  /** The maximum number of `stop` strings. */
  max_stop_strings: number;
}

/** Memory of the model's device, in bytes. */
export interface MemoryStatus {
  /** The memory in use. */
  active_bytes: number;
  /** The highest `active_bytes` since the start. */
  peak_bytes: number;
  /** Memory that was freed and is kept for reuse. */
  cache_bytes: number;
  /** The part of `active_bytes` that holds the model's weights; absent until the model is loaded. */
  weights_bytes?: number | null;
  /** The part of `active_bytes` that holds the keys and values of running requests and of cached prompts. */
  kv_bytes?: number;
  /** The worker's memory limit; absent if there is none. */
  limit_bytes?: number | null;
}

/** One message of a conversation. A result's `message` can be sent back as it is. */
export interface Message {
  role: Role;
  /** The text, or a list of its parts. May be absent or null only if there are `tool_calls`. */
  content?: Content | null;
  /** The model's reasoning before its answer, for models that reason. `reasoning_content` is read as this, too. */
  reasoning?: string | null;
  /** In an assistant's message: the tool calls that it makes. */
  tool_calls?: ToolCall[];
  /** In a tool's message: the id of the tool call that it answers. */
  tool_call_id?: string | null;
  /** The name of the author or of the tool, for chat templates that write it. */
  name?: string | null;
}

/** The model, as far as it is known. While the model loads, only `name` may be present. */
export interface ModelSummary {
  /** The model's name; until a shorter one is known, the reference by which the worker was told to load it. */
  name: string;
  /** The model's architecture, such as `qwen2`. */
  architecture?: string | null;
  /** The maximum number of tokens of a prompt and its answer together. */
  context_length?: number | null;
  /** The size of the weights in memory, in bytes. */
  weights_bytes?: number | null;
  /** Bits per weight; absent if the weights are not quantized. */
  quantization_bits?: number | null;
  /** The arithmetic of products with quantized weights, where it can be chosen: `f32`, `int16` or `int8`. */
  precision?: string | null;
  /** Whether `complete` uses `suffix` and `context`. */
  fill_in_the_middle?: boolean | null;
  /**
   * How `complete` prompts the model: the name of its fill-in-the-middle format, such as `qwen`, or `continuation` if
   * it can only continue `prefix`.
   */
  completion_format?: string | null;
  /**
   * How `next_edit` asks the model: `sweep`, `sweep-v2`, `zeta-2`, `zeta-2.1` or `fill_in_the_middle`; absent if the
   * model cannot predict edits.
   */
  next_edit_format?: string | null;
  /** Whether the model has a chat template. Without one, `chat` fails with an error of kind `unsupported`. */
  chat?: boolean | null;
}

/** A tool that the model must call. */
export interface NamedTool {
  type: ToolType;
  function: FunctionName;
}

/** How a model is asked for the next edit. */
export type NextEditFormat =
  /** Decided by the model's name and its vocabulary. */
  | "auto"
  /** As Sweep's next-edit models of the first version. */
  | "sweep"
  /** As the second version of Sweep's models. */
  | "sweep-v2"
  /** As Zed's Zeta 2. */
  | "zeta-2"
  /** As Zed's Zeta 2.1. */
  | "zeta-2.1"
  /** By filling in the middle. */
  | "fill_in_the_middle";

/**
 * Predicts what will be changed next near the cursor, from what was changed before. A model made for that rewrites
 * the lines around the cursor; one that fills in the middle inserts text at the place of the latest edit.
 */
export interface NextEditParams {
  /** The document before the cursor. If it is not all of it, it begins at the beginning of a line. */
  prefix: string;
  /** The document after the cursor. */
  suffix?: string;
  /** The path of the file, as the model should see it. The file is not opened. */
  path?: string | null;
  /** The programming language, such as `rust`. Default: derived from `path`. */
  language?: string | null;
  /** Other relevant files, the most relevant one last. Those that do not fit are left out, the first ones first. */
  context?: ContextFile[];
  /** What was changed recently, the latest change last. Those that do not fit are left out, the oldest ones first. */
  edits?: RecentEdit[];
  /** How the model is asked. Default: `auto`. */
  format?: NextEditFormat;
  /**
   * The maximum number of tokens to generate. An answer that is cut off before it has come back to unchanged lines is
   * of no use. Default: 1024.
   */
  max_tokens?: number;
  /** The time limit in milliseconds, including waiting. Default: none. */
  time_budget_ms?: number | null;
  /**
   * Withholds edits whose `confidence` is lower: `edits` is empty then and the finish reason `low_confidence`.
   * Default: 0 (nothing is withheld).
   */
  min_confidence?: number;
  /** The request's priority. Default: `interactive`. */
  priority?: Priority;
  speculation?: Speculation;
}

/** What will probably be changed next. */
export interface NextEditResult {
  /**
   * The edits, in ascending order and without overlap; empty if nothing is to be changed. All of them refer to the
   * document as it was sent.
   */
  edits: TextEdit[];
  /** Where the first edit begins, in characters as `start`: the place to jump to. Absent without edits. */
  jump_to?: number | null;
  /**
   * Where the edits come from; absent if the request ended before the model was asked. Clients must accept unknown
   * sources.
   */
  source?: EditSource | null;
  /**
   * The probability that the model itself gives to the first line that it changes, from where it changes it, from 0
   * to 1. Absent if it changes nothing, or removes the last lines that it was shown.
   */
  confidence?: number | null;
  finish_reason: FinishReason;
  usage: Usage;
  timing: Timing;
}

/** This method takes no parameters. */
export interface NoParams {
}

/** How arguments may be written. */
export type ObjectOrText = Record<string, unknown> | string;

/** Which requests go first. */
export type Priority =
  /**
   * A person is waiting: goes before background requests, from the next token on; while both run, about one token in
   * eight is still a background request's.
   */
  | "interactive"
  /** Uses the capacity that interactive requests leave. */
  | "background";

/**
 * How far a long operation has come. Sent at least once a second while it runs; for stage `prefill`, when there is
 * progress to report, at most twice a second.
 */
export interface ProgressParams {
  /** The request that waits for the operation; absent if it belongs to no single request. */
  id?: RequestId | null;
  stage: ProgressStage;
  /** The number of units that are done; never decreases within a stage. */
  done: number;
  /** The number of units in total; absent while it is unknown. */
  total?: number | null;
  unit: ProgressUnit;
}

/** The operation whose progress is reported. */
export type ProgressStage =
  /** The model is being downloaded. */
  | "download"
  /** The model is being loaded. */
  | "load"
  /** The model is reading a prompt. */
  | "prefill"
  | (string & {});

/** The unit of `done` and `total`. */
export type ProgressUnit =
  /** The unit of `done` and `total`. */
  | "bytes"
  /** The unit of `done` and `total`. */
  | "tokens"
  | (string & {});

/** The jobs of the model. */
export interface QueueStatus {
  /** The number of running jobs. */
  running: number;
  /** The number of waiting jobs. */
  waiting: number;
}

/**
 * A change that a person has made: some whole lines of a file took the place of others. The end of the last line may
 * be missing, and an empty text is no line at all.
 */
export interface RecentEdit {
  /** The path of the file that was changed. Default: the document itself. */
  path?: string | null;
  /** The lines before the change. */
  original: string;
  /** The lines after the change. */
  updated: string;
  /**
   * The line of the document at which `updated` begins now, counted from 0 at the beginning of `prefix`. Only for
   * changes of the document itself. Default: the line nearest to the cursor where `updated` stands.
   */
  line?: number | null;
}

/** The `id` of a request, exactly as the request wrote it. */
export type RequestId = string | number;

/** Any text; the same as no format. */
export interface TextFormat {
  type: "text";
}

/**
 * JSON that is valid by the schema, on one line, with its properties in the schema's order. OpenAI's form, with the
 * schema in `json_schema`, and its type `json_object` are read too.
 */
export interface JsonSchemaFormat {
  type: "json_schema";
  /** The JSON Schema. */
  schema: unknown;
}

/** Text that the pattern matches as a whole. */
export interface RegexFormat {
  type: "regex";
  /** The pattern, in the syntax of Rust's `regex` crate, without look-around and `\b`. */
  pattern: string;
}

/** Text that the grammar generates from its rule `start`. */
export interface LarkFormat {
  type: "lark";
  /** The grammar, in llguidance's form of Lark. */
  grammar: string;
}

/** The form that a text must have. Tokens that would violate it are never generated. */
export type ResponseFormat =
  | TextFormat
  | JsonSchemaFormat
  | RegexFormat
  | LarkFormat;

/** The author of a message. */
export type Role =
  | "user"
  | "assistant"
  /** Instructions for the model. `developer` is read as this, too. */
  | "system"
  /** The result of a tool call. */
  | "tool"
  | (string & {});

/** Which completion rules apply. */
export interface RuleSwitches {
  /** The rules that do not apply. Default: none. */
  off?: CompletionRule[];
}

/** The worker's program. */
export interface ServerInfo {
  name: string;
  version: string;
}

/**
 * Whether speculative decoding may be used: tokens are drafted, then several are checked at a time. It does not
 * change the text.
 */
export type Speculation =
  | "off"
  /** Used where it is expected to be faster. */
  | "auto";

/** Speed, measured over the last requests. */
export interface SpeedStatus {
  /** Uncached prompt tokens processed per second; absent until measured. */
  prompt_tokens_per_second?: number | null;
  /** Tokens generated per second; absent until measured. */
  generation_tokens_per_second?: number | null;
}

/** The worker's state has changed, or memory is running short. */
export interface StatusParams {
  state: WorkerState;
  /** The model, in state `ready`. */
  model?: ModelSummary | null;
  /** Why the model could not be loaded, in state `failed`. */
  error?: ErrorData | null;
  /** Memory usage; present if memory is running short. */
  memory?: MemoryStatus | null;
}

/** The worker's current state. */
export interface StatusResult {
  state: WorkerState;
  /** Why the model could not be loaded, in state `failed`. */
  error?: ErrorData | null;
  server: ServerInfo;
  /** Milliseconds since the process started. */
  uptime_ms: number;
  model: ModelSummary;
  /** The device that the model runs on, such as `cpu` or `gpu`; absent until the model is loaded. */
  device?: string | null;
  memory: MemoryStatus;
  queue: QueueStatus;
  cache: CacheStatus;
  /** The number of tokens that the model has computed since the start, of prompts and of generated text. */
  computed_tokens?: number;
  speed: SpeedStatus;
  /**
   * The clients that this process serves, this one included, in the order in which they came. Usually all clients
   * with the same model and options share one process.
   */
  clients?: ClientStatus[];
  /** What became of the suggestions that this client was offered as an editor; absent if there were none. */
  suggestions?: SuggestionStatus | null;
}

/** Counts of suggestions. One that is typed through, piece by piece, is one suggestion. */
export interface SuggestionStatus {
  /** The number of suggestions that the client was sent. */
  offered: number;
  /** The number of those that it has shown. */
  shown: number;
  /** The number of those that were accepted in full. */
  accepted: number;
  /** The number of those of which a part was accepted first. */
  partially_accepted: number;
  /** The number of those that were dismissed. */
  dismissed: number;
  /** The number of characters (Unicode scalar values) that were accepted. */
  accepted_characters: number;
  /** The number of suggestions that were accepted in full and were unchanged 30 seconds later, but for white space. */
  retained: number;
  /** The number of accepted suggestions that were looked at again after 30 seconds. */
  retained_of: number;
  /** The median time from showing a suggestion to accepting it, in milliseconds; absent if none was accepted in full. */
  shown_to_accept_ms?: number | null;
}

/** A piece of the document that is replaced. */
export interface TextEdit {
  /** Where it begins: the number of characters (Unicode scalar values) before it in `prefix` and `suffix` together. */
  start: number;
  /** Where it ends, in the same way; equal to `start` for an insertion. */
  end: number;
  /** The text that takes its place, with the line ends of the document; empty for a removal. */
  text: string;
}

/** A part of a text. */
export interface TextPart {
  type: TextPartType;
  text: string;
}

/** The type of a part; only `text` is supported. */
export type TextPartType =
  /** The type of a part; only `text` is supported. */
  | "text"
  | (string & {});

/** Where the time was spent. All times are in milliseconds. */
export interface Timing {
  /** From reading the request until work on it began, including the wait for the model to load. */
  queue_ms: number;
  /** From the beginning of work until the prompt was processed. */
  prefill_ms: number;
  /** From reading the request until the first token; absent if there was none. */
  first_token_ms?: number | null;
  /** From the first token until the end. */
  decode_ms: number;
  /** From reading the request until the end. */
  total_ms: number;
  /** Uncached prompt tokens per second of `prefill_ms`; absent if there was nothing to measure. */
  prompt_tokens_per_second?: number | null;
  /** Tokens after the first per second of `decode_ms`; absent if there was nothing to measure. */
  generation_tokens_per_second?: number | null;
}

/** The probability of a generated token and of its alternatives. */
export interface TokenLogprobs {
  /** The id of the token. */
  token: number;
  /** The token's text. An incomplete character is shown as U+FFFD. */
  text: string;
  /**
   * The natural logarithm of the token's probability, after logit bias and penalties, before temperature and
   * truncation.
   */
  logprob: number;
  /** The most likely tokens, most likely first; as many as `logprobs` asks for. */
  top: TopLogprob[];
}

/** Counts the tokens of a text or of a conversation. Exactly one of `text` and `messages` must be given. */
export interface TokenizeParams {
  /** The text to count, without the token that the model expects at the start of a prompt. */
  text?: string | null;
  /** The conversation to count, rendered as for `chat`, including the start of the assistant's turn. */
  messages?: Message[] | null;
  /** With `messages`: the tools to render, as for `chat`. */
  tools?: Tool[];
  /** With `messages`: additional variables for the chat template. */
  chat_template_kwargs?: Record<string, unknown>;
  /** Whether the result includes the token ids. Default: false. */
  return_tokens?: boolean;
}

/** The number of tokens. */
export interface TokenizeResult {
  count: number;
  /** The token ids; present if `return_tokens` is set. */
  tokens?: number[] | null;
}

/** A tool that the model may call. */
export interface Tool {
  type?: ToolType;
  function: FunctionDefinition;
}

/** A tool call that the model makes. */
export interface ToolCall {
  /** The id of the call; the tool's message repeats it as `tool_call_id`. */
  id: string;
  type?: ToolType;
  function: FunctionCall;
  /** The place of the call among those of its message, which its place in the list says already. Ignored. */
  index?: number | null;
}

/** What the model wrote as a call of a tool, but cannot be called. */
export interface ToolCallError {
  /** Why it cannot be called, for people. */
  message: string;
  /** What the model wrote. It is part of the message's `content`, too. */
  text: string;
}

/** Whether the model calls tools. */
export type ToolChoice = ToolChoiceMode | NamedTool;

/** Whether the model calls tools. */
export type ToolChoiceMode =
  /** If it wants to. */
  | "auto"
  /** Not at all: the prompt does not mention any. */
  | "none"
  /** At least one. */
  | "required";

/** The type of a tool; only `function` is supported. */
export type ToolType =
  /** The type of a tool; only `function` is supported. */
  | "function"
  | (string & {});

/** One of the most likely tokens at a position. */
export interface TopLogprob {
  token: number;
  /** The token's text. An incomplete character is shown as U+FFFD. */
  text: string;
  /**
   * The natural logarithm of the token's probability, after logit bias and penalties, before temperature and
   * truncation.
   */
  logprob: number;
}

/**
 * What was left out of a prompt that was too long, or would have taken too long. The text nearest to the cursor is
 * kept.
 */
export interface Trimmed {
  /** The number of characters (Unicode scalar values) removed from the start of `prefix`. */
  prefix_chars: number;
  /** The number of characters (Unicode scalar values) removed from the end of `suffix`. */
  suffix_chars: number;
  /** The number of entries removed from the start of `context`. */
  context_files: number;
}

/** What a request used, in tokens. */
export interface Usage {
  /** The number of tokens of the prompt, after trimming. */
  prompt_tokens: number;
  /** The number of prompt tokens that were already in the cache and were not processed again. */
  cached_tokens: number;
  /** The number of generated tokens over all choices, including the token that ended the text. */
  completion_tokens: number;
  /** The number of drafted tokens; 0 without speculative decoding. */
  drafted_tokens: number;
  /** The number of drafted tokens that were accepted. */
  accepted_tokens: number;
  /**
   * What `complete` left out to fit into the model's context, or to answer in time (`patience_ms`); absent if nothing
   * was left out.
   */
  trimmed?: Trimmed | null;
}

/**
 * The params of a later `complete` or `chat` that should start fast; those of `chat` if `messages` is present. Only
 * the prompt is processed: parameters that concern the answer have no effect.
 */
export type WarmParams = CompleteParams | ChatParams;

/** The prompt is now in the cache. */
export interface WarmResult {
  /** The number of tokens of the prompt. */
  prompt_tokens: number;
  /** The number of those tokens that were already in the cache. */
  cached_tokens: number;
}

/** The worker's state. */
export type WorkerState =
  | "ready"
  /** The model is being downloaded or loaded. Requests that need it wait. */
  | "loading"
  /** The model could not be loaded. Requests that need it fail with an error of kind `model_load_failed`. */
  | "failed"
  | (string & {});

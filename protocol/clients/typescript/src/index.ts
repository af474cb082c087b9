// A client for runabout, a local language model for everyday coding errands.
//
// It starts `runabout serve` as a subprocess and speaks its protocol.

export { Client, type ClientSettings, type RequestOptions } from "./client.js";
export {
  ClientClosed,
  IncompleteAnswer,
  ProgramNotFound,
  RequestCancelled,
  RequestFailed,
  RequestTimedOut,
  RunaboutError,
  WorkerEnded,
} from "./errors.js";
export { findProgram } from "./program.js";
export type * from "./protocol.js";
export type { Stream } from "./stream.js";

// llama.cpp through node-llama-cpp, driven by JSON lines: `{op, text, n_tokens}` in, `{n_tokens, seconds}` out.
//
// Only evaluation is timed, never tokenizing. `prefill` asks for no logits at all, which spares llama.cpp the
// output matrix; `decode` takes the most likely token each time, as the worker does.
//
// Arguments: the GGUF file, threads, context size.

import {readFileSync} from "node:fs";
import {createInterface} from "node:readline";
import {getLlama} from "node-llama-cpp";

const [modelPath, threads, contextSize] = process.argv.slice(2);
const answer = (it) => process.stdout.write(JSON.stringify(it) + "\n");
const seconds = (from) => (performance.now() - from) / 1e3;
const peakBytes = () => 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);

const hostPeakBytes = peakBytes();
const llama = await getLlama({gpu: false, build: "never", logLevel: "error", maxThreads: Number(threads)});
const loading = performance.now();
const model = await llama.loadModel({modelPath});
const context = await model.createContext({
  contextSize: Number(contextSize),
  threads: {ideal: Number(threads), min: Number(threads)},
});
const sequence = context.getSequence();
answer({
  version: `llama.cpp ${llama.llamaCppRelease.release}`,
  load_seconds: seconds(loading),
  host_peak_bytes: hostPeakBytes,
  threads: context.currentThreads,
  batch_size: context.batchSize,
  system: llama.systemInfo.trim(),
});

for await (const line of createInterface({input: process.stdin})) {
  const {op, text, n_tokens: nTokens} = JSON.parse(line);
  const tokens = model.tokenize(text);
  await sequence.clearHistory();
  if (op === "prefill") {
    const start = performance.now();
    await sequence.evaluateWithoutGeneratingNewTokens(tokens);
    answer({n_prompt_tokens: tokens.length, n_tokens: tokens.length, seconds: seconds(start)});
  } else {
    await sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(0, -1));
    // The first token belongs to the prompt's evaluation, as in the worker's own figures.
    let start;
    let nDecoded = -1;
    for await (const _ of sequence.evaluate(tokens.slice(-1), {temperature: 0, yieldEogToken: true})) {
      start ??= performance.now();
      nDecoded += 1;
      if (nDecoded === nTokens) break;
    }
    answer({n_prompt_tokens: tokens.length, n_tokens: nDecoded, seconds: seconds(start)});
  }
}
process.exit(0);

// llama.cpp through node-llama-cpp as an editor's completion server would use it, driven by JSON lines.
//
// One sequence keeps its cells from key to key: of each prompt only what differs from the last one is evaluated, which
// is llama.cpp's prompt caching. A newer request aborts the older one between two tokens; what is being evaluated of a
// prompt cannot be stopped. In: `{id, prefix, suffix, n_tokens}`; out: `{id, first_ms, n_prompt, n_cached, n_drawn}`.
//
// Arguments: the GGUF file, threads, context size.

import {createInterface} from "node:readline";
import {getLlama} from "node-llama-cpp";

const [modelPath, threads, contextSize] = process.argv.slice(2);
const say = (it) => process.stdout.write(JSON.stringify(it) + "\n");

const llama = await getLlama({gpu: false, build: "never", logLevel: "error", maxThreads: Number(threads)});
const model = await llama.loadModel({modelPath});
const context = await model.createContext({
  contextSize: Number(contextSize),
  threads: {ideal: Number(threads), min: Number(threads)},
});
const sequence = context.getSequence();
const {infill} = model.tokens;
say({version: `llama.cpp ${llama.llamaCppRelease.release}`, fills_in: infill.prefix != null});

/** The prompt that fills in the middle, or the prefix where the model cannot. */
function prompt({prefix, suffix}) {
  if (infill.prefix == null) return model.tokenize(prefix);
  return [infill.prefix, ...model.tokenize(prefix), infill.suffix, ...model.tokenize(suffix), infill.middle];
}

let newest = 0;
let last = Promise.resolve();

async function complete(request, came) {
  const tokens = prompt(request);
  const answer = {id: request.id, first_ms: null, n_prompt: tokens.length, n_cached: 0, n_drawn: 0};
  if (request.id === newest) {
    // One token at least is evaluated again, as the next is drawn from what it yields.
    await sequence.adaptStateToTokens(tokens.slice(0, -1), false);
    answer.n_cached = sequence.nextTokenIndex;
    for await (const _ of sequence.evaluate(tokens.slice(answer.n_cached), {temperature: 0, yieldEogToken: true})) {
      answer.first_ms ??= performance.now() - came;
      answer.n_drawn += 1;
      if (answer.n_drawn === request.n_tokens || request.id !== newest) break;
    }
  }
  say(answer);
}

for await (const line of createInterface({input: process.stdin})) {
  const request = JSON.parse(line);
  const came = performance.now();
  newest = request.id;
  last = last.then(() => complete(request, came));
}
await last;
process.exit(0);

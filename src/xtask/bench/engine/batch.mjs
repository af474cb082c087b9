// llama.cpp through node-llama-cpp with several texts at once, driven by JSON lines.
//
// Each text has a sequence of its own in one context, and the library evaluates in one batch what they ask for at the
// same time. In: `{prompts, n_tokens}`; out: `{n_drawn, seconds}`, counted from when all of them generate.
//
// Arguments: the GGUF file, threads, context size of each sequence, sequences.

import {createInterface} from "node:readline";
import {getLlama} from "node-llama-cpp";

const [modelPath, threads, contextSize, nSequences] = process.argv.slice(2);
const say = (it) => process.stdout.write(JSON.stringify(it) + "\n");

const llama = await getLlama({gpu: false, build: "never", logLevel: "error", maxThreads: Number(threads)});
const model = await llama.loadModel({modelPath});
const context = await model.createContext({
  contextSize: Number(contextSize),
  sequences: Number(nSequences),
  threads: {ideal: Number(threads), min: Number(threads)},
});
const sequences = Array.from({length: Number(nSequences)}, () => context.getSequence());
say({version: `llama.cpp ${llama.llamaCppRelease.release}`});

/** When each token of a text came. */
async function generate(sequence, prompt, nTokens) {
  const times = [];
  await sequence.clearHistory();
  for await (const _ of sequence.evaluate(model.tokenize(prompt), {temperature: 0, yieldEogToken: true})) {
    times.push(performance.now());
    if (times.length === nTokens) break;
  }
  return times;
}

for await (const line of createInterface({input: process.stdin})) {
  const {prompts, n_tokens} = JSON.parse(line);
  const texts = await Promise.all(prompts.map((prompt, idx) => generate(sequences[idx], prompt, n_tokens)));
  const decoding = Math.max(...texts.map((times) => times[0]));
  const last = Math.max(...texts.map((times) => times.at(-1)));
  // As of the worker: those that began earlier have a few tokens more than that.
  const n_drawn = texts.reduce((sum, times) => sum + times.length - 1, 0);
  say({n_drawn, seconds: (last - decoding) / 1000});
}
process.exit(0);
